"""Which of an origin's files are wanted, and whether their names may be used on a volume."""

from __future__ import annotations

import unicodedata
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.layout import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkube_downloader.key import Source

# What a server never reads. It is skipped when a source is given without files and include patterns.
NEVER_SERVED: tuple[str, ...] = (
    *(".git*", "*/.git*", "README*", "*.md"),
    *("*.png", "*.jpg", "*.jpeg", "*.gif", "*.svg", "*.webp", "*.mp4", "*.pdf"),
)
# The same weights in formats that servers read less well; skipped where the better ones are there.
BETTER_WEIGHTS = ("*.safetensors", "*.gguf")
OTHER_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.onnx", "*.tflite", "*.ot")

_NAME_BYTES = 255


def select(paths: Iterable[str], source: Source) -> list[str]:
    """Return the wanted paths, sorted.

    Files that are named are always wanted; patterns match whole paths, ``*`` matches ``/`` too, and a pattern that
    ends in ``/`` means everything below. Without files and include patterns it is everything that a server reads.

    Raises DownloaderError: NOT_FOUND, when a named file is not there or nothing matches.
    """
    available = sorted(set(paths))
    for path in source.files:
        if path not in available:
            raise _missing(path, available, source)
    chosen = set(source.files)
    if source.include or not source.files:
        chosen |= {path for path in _candidates(available, source) if not _matches(path, source.exclude)}
    if not chosen:
        raise DownloaderError(
            ExitCode.NOT_FOUND,
            f"nothing in {source.base} matches the selection",
            f"Change --include or --exclude; it holds {_examples(available)}.",
        )
    return sorted(chosen)


def checked_path(path: str) -> str:
    """Return a remote path that is safe below a directory.

    Raises DownloaderError: POLICY, when it could lead out of the directory, hide in it, or not be told from another.
    """
    parts = path.split("/")
    odd = any(character == "\\" or unicodedata.category(character) in ("Cc", "Cs") for character in path)
    if odd or any(part in ("", ".", "..") for part in parts) or path == MANIFEST_NAME:
        raise _unsafe(path)
    if any(len(part.encode("utf-8")) > _NAME_BYTES for part in parts):
        raise _unsafe(path)
    return path


def _candidates(available: list[str], source: Source) -> list[str]:
    if source.include:
        return [path for path in available if _matches(path, source.include)]
    skipped = NEVER_SERVED
    if any(_matches(path, BETTER_WEIGHTS) for path in available):
        skipped += OTHER_WEIGHTS
    return [path for path in available if not _matches(path, skipped)]


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern + "*" if pattern.endswith("/") else pattern) for pattern in patterns)


def _missing(path: str, available: list[str], source: Source) -> DownloaderError:
    if any(other.startswith(path + "/") for other in available):
        action = f"{path} is a folder: select what is in it with --include '{path}/*'."
    else:
        action = f"Name one of its files; it holds {_examples(available)}."
    return DownloaderError(ExitCode.NOT_FOUND, f"there is no file {path!r} in {source.base}", action)


def _examples(available: list[str]) -> str:
    shown = ", ".join(available[:5]) or "no files"
    return f"{shown} and {len(available) - 5} more" if len(available) > 5 else shown


def _unsafe(path: str) -> DownloaderError:
    return DownloaderError(
        ExitCode.POLICY,
        f"the origin names a file {path!r}, which can not be stored safely",
        "Exclude this file, or select the files you need by name.",
    )
