"""Which of an origin's files are wanted, and whether their names may be used on a volume."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sources.shards import check_shards, is_first_shard, with_shards
from llmkube_downloader.sources.weights import matches, refuse_choice, refuse_pickles, second_copies
from llmkube_downloader.store.layout import MANIFEST_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkube_downloader.key import Source

# What a server never reads. It is skipped when a source is given without files and include patterns.
NEVER_SERVED: tuple[str, ...] = (
    *(".git*", "*/.git*", ".cache/*", "README*", "*.md", "imatrix*", "*/imatrix*", "*.imatrix"),
    *("*.png", "*.jpg", "*.jpeg", "*.gif", "*.svg", "*.webp", "*.mp4", "*.pdf"),
)

_NAME_BYTES = 255


def select(files: Mapping[str, int | None], source: Source) -> list[str]:
    """Return the wanted paths, sorted.

    Files that are named are always wanted; patterns match whole paths, ``*`` matches ``/`` too, and a pattern that
    ends in ``/`` means everything below. Without files and include patterns it is everything that a server reads: the
    weights once. The first shard of a GGUF file stands for all of them.

    - files: the bytes of every path that there is, None where unknown.

    Raises DownloaderError: NOT_FOUND, when a named file or a shard is not there or nothing matches; POLICY for pickles
    that nobody asked for, and for several GGUF models of which nobody chose one.
    """
    for path in source.files:
        if path not in files:
            raise _missing(path, sorted(files), source)
    matching = _matching(files, source) if source.include or not source.files else []
    # Whoever names other shards one by one has asked for just these.
    whole = {*matching, *filter(is_first_shard, source.files)}
    wanted = {*source.files, *(shard for path in whole for shard in with_shards(path, files))}
    if not wanted:
        raise DownloaderError(
            ExitCode.NOT_FOUND,
            f"nothing in {source.base} matches the selection",
            f"Change --include or --exclude; it holds {_examples(sorted(files))}.",
        )
    check_shards(whole, files, source.base)
    return sorted(wanted)


def refuse_selection(source: Source) -> None:
    """Refuse to select something of what is one file.

    Raises DownloaderError: USAGE.
    """
    if source.files or source.include or source.exclude:
        raise DownloaderError(
            ExitCode.USAGE,
            f"{source.display} is one file, from which nothing can be selected",
            "Leave --file, --include and --exclude out.",
        )


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


def _matching(files: Mapping[str, int | None], source: Source) -> list[str]:
    """Return what the patterns choose, or what is chosen without any."""
    if source.include:
        chosen = [path for path in files if matches(path, source.include) and not matches(path, source.exclude)]
        refuse_pickles(chosen, source)
        return chosen
    allowed = [path for path in files if not matches(path, (*NEVER_SERVED, *source.exclude))]
    skipped = second_copies(allowed)
    chosen = [path for path in allowed if not matches(path, skipped)]
    refuse_pickles(chosen, source)
    refuse_choice(chosen, files, source)
    return chosen


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
