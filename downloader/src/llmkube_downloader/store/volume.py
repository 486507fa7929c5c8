"""The volume as a whole: its format, its space, and whether it can be written."""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.beacon import Beacon
from llmkube_downloader.store.disk import (
    identity,
    names_in,
    read_small,
    size_of_tree,
    storage_errors,
    storage_failure,
    sync_directory,
    write_all,
)
from llmkube_downloader.store.layout import FORMAT_VERSION, OWNER, nonce
from llmkube_downloader.store.life import Life, life_of_attempt
from llmkube_downloader.store.manifest import newer_format
from llmkube_downloader.units import human_size

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.store.layout import Layout

# Room for the manifest, the lease and directory blocks.
_RESERVE = 1024 * 1024
# A directory in which a volume is tried.
_PROBE = ".llmkube.probe."
_FORMAT = (json.dumps({"formatVersion": FORMAT_VERSION}) + "\n").encode("ascii")


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
    if not data:
        # Whoever made the file was killed before its first byte.
        return
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
        now = _probe(layout)
        if now is not None:
            _sweep_probes(layout, now)
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


def _probe(layout: Layout) -> float | None:
    """Do once, with a directory of one file, what publishing and removing will do with full ones.

    Returns the file server's time in seconds; None when somebody took this process for dead.
    """
    name = f"{_PROBE}{nonce()}"
    first, second = layout.all_staging / name, layout.root / name
    first.mkdir()
    try:
        owner = Beacon(first / OWNER)
        try:
            now = (first / OWNER).stat().st_mtime
            first.rename(second)
            first, second = second, first
        finally:
            # While its lock is held: others sweep it as soon as that is free.
            with suppress(FileNotFoundError):
                _remove_probe(first)
            owner.withdraw()
    except FileNotFoundError:
        # Whoever did so could do all of this.
        return None
    return now


def _mark_format(layout: Layout) -> None:
    """Write the format where there is none yet. Whoever else does at the same time writes the same bytes."""
    with suppress(FileNotFoundError):
        if layout.format.stat().st_size:
            return
    descriptor = os.open(layout.format, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        write_all(descriptor, memoryview(_FORMAT))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_directory(layout.state)


def _sweep_probes(layout: Layout, now: float) -> None:
    """Remove the probes of those who died. Nothing is written into them: the living could not remove theirs then."""
    for directory in (layout.all_staging, layout.root):
        for probe in (directory / name for name in names_in(directory) if name.startswith(_PROBE)):
            with suppress(OSError):
                # Below the root, where it was moved to, an empty one has served its purpose.
                is_over = directory == layout.root and not names_in(probe)
                if is_over or life_of_attempt(probe, now) is not Life.LIVE:
                    _remove_probe(probe)


def _remove_probe(probe: Path) -> None:
    for name in names_in(probe):
        (probe / name).unlink(missing_ok=True)
    probe.rmdir()


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
