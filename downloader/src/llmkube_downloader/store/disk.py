"""The few operations on files that everything in the store is made of, and what their failures mean."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.layout import nonce

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NO_PERMISSION = (errno.EACCES, errno.EPERM)
_UNSUITABLE = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENAMETOOLONG, errno.EILSEQ)
# A directory can not be synced on every file system; where it can not, there is nothing to sync.
_NO_DIRECTORY_SYNC = (errno.EINVAL, errno.EOPNOTSUPP, errno.EACCES, errno.EBADF)
_STALE_RETRIES = 3
# linux/fs.h: let a file share the blocks of another one until either changes.
_FICLONE = 0x40049409


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Turn every OSError of the block into a DownloaderError that says what was being done."""
    try:
        yield
    except OSError as error:
        raise storage_failure(error, doing) from error


def storage_failure(error: OSError, doing: str) -> DownloaderError:
    """Return the DownloaderError that stands for an OSError of the volume."""
    cause = f"{doing}: {os.strerror(error.errno) if error.errno else error}"
    if error.errno in NO_SPACE:
        return DownloaderError(
            ExitCode.NO_SPACE, cause, "Free space on the volume (llmkube-downloader remove) or enlarge the claim."
        )
    if error.errno == errno.EROFS:
        return DownloaderError(
            ExitCode.VOLUME, cause, "Mount the volume writable, or fetch the entry from where it is writable."
        )
    if error.errno in _NO_PERMISSION:
        return DownloaderError(
            ExitCode.VOLUME, f"{cause} ({identity()})", "Give this user write access: set podSecurityContext.fsGroup."
        )
    if error.errno in _UNSUITABLE:
        return DownloaderError(
            ExitCode.FILE_SYSTEM, cause, "Use a volume whose file system can rename directories and hold these names."
        )
    return DownloaderError(ExitCode.VOLUME, cause, "Check the health of the volume, then start again.")


def identity() -> str:
    """Return who this process is to a file system, such as ``uid 10001, gid 10001, groups 10001``."""
    groups = ",".join(map(str, os.getgroups())) or "none"
    return f"uid {os.geteuid()}, gid {os.getegid()}, groups {groups}"


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut, where the file system has a way to."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make the bytes of a file survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create_exclusively(path: Path) -> int:
    """Create a file that must not exist yet and return its descriptor, open for reading and writing."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def share_blocks(source: Path, target: Path) -> bool:
    """Create a file that shares the blocks of another one, and return whether the file system can do that.

    Raises OSError: when one can not be read, or the other one not be made.
    """
    reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        writer = create_exclusively(target)
        try:
            fcntl.ioctl(writer, _FICLONE, reader)
        except OSError:
            target.unlink()
            return False
        finally:
            os.close(writer)
    finally:
        os.close(reader)
    return True


def write_durably(path: Path, data: bytes) -> None:
    """Create a file that must not exist yet, with its bytes on disk when this returns."""
    descriptor = create_exclusively(path)
    try:
        write_all(descriptor, memoryview(data))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: memoryview) -> None:
    """Write every byte; a single write may stop short, for instance in front of a full disk."""
    while data:
        data = data[os.write(descriptor, data) :]


def read_small(path: Path) -> bytes:
    """Read a file whole, again when an NFS server says that its handle went stale meanwhile."""
    for _ in range(_STALE_RETRIES):
        with _suppress_stale():
            return path.read_bytes()
    return path.read_bytes()


@contextmanager
def _suppress_stale() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise


def names_in(path: Path) -> list[str]:
    """Return the names in a directory, sorted; none when there is no directory.

    Reading a directory is fresh where looking up one name is not: NFS clients remember for 30 seconds that a
    name was absent.
    """
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries)
    except FileNotFoundError:
        return []


def refresh_names(directory: Path) -> None:
    """Make an NFS client forget which names it believes absent: it does when it changes the directory itself."""
    probe = directory / f".llmkube.probe.{nonce()}"
    probe.mkdir()
    probe.rmdir()


def file_server_now(directory: Path) -> float:
    """Return the time of the machine that gives files in this directory their times, in seconds.

    The age of a file is only ever its distance from this, so clocks of different nodes are never compared.
    """
    probe = directory / f".probe.{nonce()}"
    descriptor = create_exclusively(probe)
    try:
        with suppress(OSError):
            # A full volume has no room for this, but has given the file a time when it created it.
            os.write(descriptor, b"?")
        return os.fstat(descriptor).st_mtime
    finally:
        with suppress(OSError):
            os.close(descriptor)
        probe.unlink(missing_ok=True)


def size_of_tree(path: Path) -> int:
    """Return the bytes of all files below a directory; what vanishes meanwhile does not count."""
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(directory) / name).lstat().st_size
    return total
