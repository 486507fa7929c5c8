"""The volume as a whole: its format, its space, and whether it can be written."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.disk import (
    identity,
    names_in,
    read_small,
    size_of_tree,
    storage_errors,
    storage_failure,
    write_durably,
)
from llmkube_downloader.store.layout import FORMAT_VERSION, nonce
from llmkube_downloader.store.manifest import newer_format
from llmkube_downloader.units import human_size

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.store.layout import Layout

# Room for the manifest, the lease and directory blocks.
_RESERVE = 1024 * 1024


@dataclass(frozen=True)
class Usage:
    """Space on the volume in bytes, as an unprivileged process may use it."""

    total: int
    free: int


def usage(root: Path) -> Usage:
    """Return the space on the volume that holds root."""
    with storage_errors(f"asking {root} for its free space"):
        status = os.statvfs(root)
    return Usage(total=status.f_blocks * status.f_frsize, free=status.f_bavail * status.f_frsize)


def check_format(layout: Layout) -> None:
    """Refuse a volume that a newer version of llmkube wrote; a volume without a format is a new one.

    Raises DownloaderError: USAGE.
    """
    with storage_errors(f"reading {layout.format}"):
        if layout.format.name not in names_in(layout.state):
            return
        data = read_small(layout.format)
    try:
        version = int(json.loads(data)["formatVersion"])
    except (ValueError, KeyError, TypeError) as error:
        raise DownloaderError(
            ExitCode.VOLUME, f"{layout.format} is damaged", "Remove this file; the next fetch writes it anew."
        ) from error
    if version > FORMAT_VERSION:
        raise newer_format(str(layout.root), version)


def prepare(layout: Layout) -> None:
    """Make a root ready for writing: create it, prove that it can be written, and mark its format.

    Raises DownloaderError: VOLUME, saying who may not write where and which value to set; FILE_SYSTEM; USAGE.
    """
    try:
        layout.root.mkdir(parents=True, exist_ok=True)
        check_format(layout)
        for directory in (layout.all_staging, layout.trash):
            directory.mkdir(parents=True, exist_ok=True)
        _probe(layout)
    except OSError as error:
        raise unwritable(error, layout.root) from error
    with storage_errors(f"writing {layout.format}"):
        _mark_format(layout)


def check_space(root: Path, needed: int) -> None:
    """Refuse to begin what can not fit.

    Raises DownloaderError: NO_SPACE, with both numbers.
    """
    space = usage(root)
    if needed + _RESERVE > space.free:
        raise DownloaderError(
            ExitCode.NO_SPACE,
            f"{root} has {human_size(space.free)} free of {human_size(space.total)}, needed are {human_size(needed)}",
            "Free space (llmkube-downloader list, then remove) or enlarge the claim.",
        )


def check_budget(root: Path, needed: int, budget: int) -> None:
    """Refuse to begin what would make the cache larger than its user wants.

    Raises DownloaderError: NO_SPACE, with the numbers.
    """
    with storage_errors(f"measuring {root}"):
        taken = size_of_tree(root)
    if taken + needed > budget:
        raise DownloaderError(
            ExitCode.NO_SPACE,
            f"{root} may take {human_size(budget)} and takes {human_size(taken)}, needed are {human_size(needed)} more",
            "Free space (llmkube-downloader list, then remove or prune) or raise --budget.",
        )


def _probe(layout: Layout) -> None:
    """Do once, with an empty directory, what publishing and removing will do with full ones."""
    name = f"{layout.state.name}.probe.{nonce()}"
    first, second = layout.all_staging / name, layout.root / name
    first.mkdir()
    try:
        write_durably(first / "file", b"probe")
        first.rename(second)
        first, second = second, first
    finally:
        (first / "file").unlink(missing_ok=True)
        first.rmdir()


def _mark_format(layout: Layout) -> None:
    if layout.format.exists():
        return
    temporary = layout.format.with_name(f"format.json.{nonce()}")
    write_durably(temporary, (json.dumps({"formatVersion": FORMAT_VERSION}) + "\n").encode("ascii"))
    try:
        temporary.rename(layout.format)
    except FileExistsError:
        # Where a rename does not replace, another first starter was faster with the same content.
        temporary.unlink()


def unwritable(error: OSError, root: Path) -> DownloaderError:
    """Return the DownloaderError for a root in which nothing can be made: who may not, and which value to set."""
    if error.errno not in (errno.EACCES, errno.EPERM):
        return storage_failure(error, f"preparing {root}")
    existing = next(path for path in (root, *root.parents) if path.exists())
    status = existing.stat()
    group = status.st_gid if status.st_mode & 0o020 and status.st_gid else os.getegid()
    return DownloaderError(
        ExitCode.VOLUME,
        f"{root} can not be written by {identity()}: {existing} belongs to {status.st_uid}:{status.st_gid} "
        f"with mode {status.st_mode & 0o7777:04o}",
        f"Set podSecurityContext.fsGroup: {group}. Where the storage driver ignores fsGroup, let the export or the "
        "mount options grant that group write access.",
    )
