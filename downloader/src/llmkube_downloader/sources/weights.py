"""Which files are weights, and which of those a server wants: once, in one format, and no programs."""

from __future__ import annotations

from collections import defaultdict
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sources.shards import whole_name
from llmkube_downloader.units import human_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmkube_downloader.key import Source

# What loading may run as a program of whoever wrote the file.
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.joblib", "*.dill")
# The same weights in formats that servers read less well; left out where the better ones are there.
BETTER_WEIGHTS = ("*.safetensors", "*.gguf")
OTHER_WEIGHTS = (
    *PICKLES,
    *("*.h5", "*.keras", "*.msgpack", "*.onnx", "*.onnx_data", "*.onnx.data", "*.tflite", "*.ot", "*.mlpackage/*"),
)
# The same weights once more, where the repository has them as model*.safetensors.
SECOND_COPIES = ("consolidated*", "original/*", "*.gguf")

_MAIN_WEIGHTS = "model*.safetensors"
_PROJECTOR = "mmproj"
_SHOWN = 12


def second_copies(available: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns of weights that are left out because better ones are there."""
    paths = list(available)
    found: tuple[str, ...] = ()
    if any(matches(path, BETTER_WEIGHTS) for path in paths):
        found += OTHER_WEIGHTS
    if any("/" not in path and fnmatchcase(path, _MAIN_WEIGHTS) for path in paths):
        found += SECOND_COPIES
    return found


def refuse_pickles(chosen: Iterable[str], source: Source) -> None:
    """Refuse files that may be programs, unless an include pattern ends in their suffix.

    Raises DownloaderError: POLICY.
    """
    asked_for = {PurePosixPath(pattern).suffix.lower() for pattern in source.include}
    pickles = [path for path in chosen if matches(path.lower(), PICKLES)]
    unasked = [path for path in pickles if PurePosixPath(path).suffix.lower() not in asked_for]
    if not unasked:
        return
    suffix = PurePosixPath(unasked[0]).suffix
    more = f" and {len(unasked) - 1} more" if len(unasked) > 1 else ""
    raise DownloaderError(
        ExitCode.POLICY,
        f"{source.base} holds pickles ({unasked[0]}{more}), which can run their author's programs when they are loaded",
        f"Take safetensors or GGUF weights, or leave these out with --exclude '*{suffix}'; if you trust their author, "
        f"ask for them: --include '*{suffix}' beside patterns for everything else that is wanted.",
    )


def refuse_choice(chosen: Iterable[str], files: Mapping[str, int | None], source: Source) -> None:
    """Refuse several GGUF models, usually quantisations of one, because servers read one: nobody wants all of them.

    - chosen: paths that were chosen by default.
    - files: the bytes of all paths, None where unknown.

    Raises DownloaderError: POLICY, naming them with their sizes.
    """
    models = _models(path for path in chosen if path.lower().endswith(".gguf"))
    projectors = [name for name in models if is_projector(name)]
    if len(models) - len(projectors) < 2 and len(projectors) < 2:
        return
    shown = [f"{paths[0]} ({_size(paths, files)})" for _, paths in sorted(models.items())]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    example = next(paths[0] for name, paths in sorted(models.items()) if name not in projectors or len(projectors) > 1)
    raise DownloaderError(
        ExitCode.POLICY,
        f"{source.base} holds {len(models)} GGUF models: {', '.join(shown[:_SHOWN])}{more}",
        f"Choose one with --file {example} or an --include pattern; --include '*.gguf' takes all of them.",
    )


def is_projector(path: str) -> bool:
    """Return whether a GGUF file is what lets a model see, and no model by itself."""
    return _PROJECTOR in PurePosixPath(path).name.lower()


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Return whether a path matches one of the patterns: ``*`` matches ``/`` too, ``folder/`` means all below it."""
    return any(fnmatchcase(path, pattern + "*" if pattern.endswith("/") else pattern) for pattern in patterns)


def _models(paths: Iterable[str]) -> dict[str, list[str]]:
    """Map each model to its files: one, or its shards."""
    models = defaultdict(list)
    for path in sorted(paths):
        models[whole_name(path)].append(path)
    return models


def _size(paths: Iterable[str], files: Mapping[str, int | None]) -> str:
    sizes = [files[path] for path in paths]
    known = [size for size in sizes if size is not None]
    return human_size(sum(known)) if len(known) == len(sizes) else "size unknown"
