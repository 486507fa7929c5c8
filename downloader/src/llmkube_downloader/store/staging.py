"""Staging: the private directory of one attempt to build an entry."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.beacon import Beacon, is_stale
from llmkube_downloader.store.disk import create_exclusively, names_in, storage_errors
from llmkube_downloader.store.layout import nonce
from llmkube_downloader.store.trash import discard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmkube_downloader.store.beacon import Heartbeat
    from llmkube_downloader.store.layout import Layout

_OWNER = "owner.json"
_FILES = "files"


@contextmanager
def attempt(layout: Layout, key: str, heartbeat: Heartbeat) -> Iterator[Path]:
    """Yield an empty directory that nobody else writes into; whatever is left of it afterwards is removed.

    What was published is no longer in it. The owner record beside the files is kept alive, so that others can
    tell this attempt from the leftovers of a dead one.
    """
    directory = layout.staging(key) / nonce()
    files = directory / _FILES
    with storage_errors(f"creating {directory}"):
        files.mkdir(parents=True)
        owner = Beacon(directory / _OWNER)
    heartbeat.keep(owner)
    try:
        yield files
    finally:
        heartbeat.drop(owner)
        with suppress(OSError):
            # What can not be removed now is a leftover for the next holder of the build lease.
            owner.withdraw()
            discard(layout, directory)


def create_file(files: Path, relative: str) -> int:
    """Create a file of an attempt, with the directories above it, and return its descriptor.

    Raises DownloaderError: FILE_SYSTEM, when the file system takes the name for that of another file of the attempt;
    DELETED_OR_LOCK_TIMEOUT, when somebody removed the attempt meanwhile; and what storage_errors makes.
    """
    with storage_errors(f"creating {relative} in {files}"):
        try:
            for parent in reversed(PurePosixPath(relative).parents[:-1]):
                # One level at a time: the attempt itself must not come back when somebody removed it.
                (files / parent).mkdir(exist_ok=True)
            return create_exclusively(files / relative)
        except FileNotFoundError as error:
            raise deleted_meanwhile(files) from error
        except FileExistsError as error:
            raise DownloaderError(
                ExitCode.FILE_SYSTEM,
                f"the file system does not tell {relative} from another file of the same model",
                "Use a volume with case-sensitive names, or exclude one of the files.",
            ) from error


def deleted_meanwhile(path: Path) -> DownloaderError:
    """Return the error for an attempt that somebody else removed."""
    return DownloaderError(
        ExitCode.DELETED_OR_LOCK_TIMEOUT,
        f"{path} was removed meanwhile",
        "Fetch the model again if it is still wanted.",
    )


def sweep(layout: Layout, key: str) -> None:
    """Remove what dead attempts of a key left. Only the holder of its build lease calls this.

    A live attempt is left alone even so: two processes may both believe that they hold the lease.
    """
    parent = layout.staging(key)
    with storage_errors(f"sweeping {parent}"):
        for name in names_in(parent):
            if _is_dead(parent / name):
                discard(layout, parent / name)


def _is_dead(directory: Path) -> bool:
    # Between creating the directory and the record lies a moment; only an old one without a record is dead.
    owner = directory / _OWNER
    return is_stale(owner if _OWNER in names_in(directory) else directory)
