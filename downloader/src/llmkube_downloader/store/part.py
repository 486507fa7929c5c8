"""One file of an attempt while it grows: written anywhere in any order, journaled, and finished once it is whole."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from llmkube_downloader.store.disk import create_exclusively, storage_errors
from llmkube_downloader.store.journal import Identity, Journal, Kept, begin_journal, go_on_with_journal, read_journal
from llmkube_downloader.store.mounts import file_system_type

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

# What O_DIRECT wants offsets, lengths and memory to be multiples of, on every file system known.
ALIGNMENT = 4096
# Smaller files are written through the page cache: there is nothing to gain.
_DIRECT_BYTES = 32 * 1024 * 1024
# Here the page cache is the disk.
_IN_MEMORY = ("tmpfs", "ramfs")
_NO_DIRECT = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY)
_NO_PREALLOCATION = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV, errno.EPERM)


class Part:
    """A file that is being written.

    - identity: which content it is to become.
    - kept: what was there when it was opened.
    """

    def __init__(self, path: Path, journal_path: Path, identity: Identity, *, same_boot: bool) -> None:
        """Go on with what is there of the same content, or begin.

        - path: the file. The directories above it exist.
        - same_boot: whether this machine wrote what is there since it was switched on.

        Raises OSError.
        """
        self.identity = identity
        self._path = path
        self._journal_path = journal_path
        self._lock = threading.Lock()
        self._use = threading.Lock()
        self._users = 0
        self._closed = False
        kept = read_journal(journal_path, same_boot=same_boot)
        if kept is not None and identity.proves(kept.identity) and path.is_file():
            self.kept = kept
            self._journal: Journal = go_on_with_journal(journal_path, kept)
            self._descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        else:
            if journal_path.exists():
                # Without a journal it is not this file: the file system takes two names for one.
                path.unlink(missing_ok=True)
                journal_path.unlink()
            self.kept = Kept(identity, 0)
            self._descriptor = create_exclusively(path)
            self._journal = begin_journal(journal_path, identity)
        self._direct = self._open_direct()
        if self._direct is not None:
            _fallocate(self._descriptor, identity.size or 0)

    def write(self, offset: int, data: memoryview) -> None:
        """Write bytes and journal them; several threads may.

        - data: the bytes, at an address that is a multiple of ALIGNMENT where they are to go past the page cache.

        Raises OSError: also when it was closed.
        """
        with self._used():
            done = self._write_direct(offset, data)
            if done < len(data):
                # One writer at a time: the others would only spin for the lock of the inode.
                with self._lock:
                    _write_at(self._descriptor, offset + done, data[done:])
            self._journal.wrote(offset, offset + len(data))

    def read(self, offset: int, data: memoryview) -> None:
        """Fill memory with bytes that were written.

        Raises OSError: also when they are not there.
        """
        while data:
            count = os.preadv(self._descriptor, [data], offset)
            if not count:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            offset, data = offset + count, data[count:]

    def reached(self, offset: int, state: bytes) -> None:
        """Journal the SHA-256 state of everything before ``offset``."""
        self._journal.reached(offset, state)

    def sync(self) -> None:
        """Make what was written so far durable.

        Raises OSError: then the bytes on disk are unknown, and a second try would not tell. Also when it was closed.
        """
        with self._used(), self._honestly():
            told = self._journal.length
            os.fdatasync(self._descriptor)
            self._journal.synced(told)

    def finish(self, size: int, sha256: str) -> None:
        """Make the file, which is whole, durable.

        Raises OSError.
        """
        with self._honestly():
            os.ftruncate(self._descriptor, size)
            os.fsync(self._descriptor)
            self._journal.whole(sha256)

    @property
    def in_use(self) -> bool:
        """Whether bytes may still be written to it."""
        return not self._closed or self._users > 0

    def close(self) -> None:
        """Let go of the files, once no thread uses them any more: another file may get the numbers they have here."""
        with self._use:
            if not self._closed:
                self._closed = True
                self._let_go_if_unused()

    def discard(self) -> None:
        """Remove the file: its bytes are not those that were promised."""
        self._journal_path.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    def open_whole(self, size: int) -> BinaryIO:
        """Return the file, which has this size now, for reading.

        Raises DownloaderError: when that is not possible.
        """
        with storage_errors(f"reading {self.identity.path} again"):
            os.ftruncate(self._descriptor, size)
            return os.fdopen(os.dup(self._descriptor), "rb")

    @contextmanager
    def _used(self) -> Iterator[None]:
        with self._use:
            if self._closed:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._users += 1
        try:
            yield
        finally:
            with self._use:
                self._users -= 1
                self._let_go_if_unused()

    @contextmanager
    def _honestly(self) -> Iterator[None]:
        """Take back, when the volume fails in the block, what the journal says of bytes that may be lost with it."""
        try:
            yield
        except OSError:
            with suppress(OSError):
                self._journal.take_back()
            raise

    def _let_go_if_unused(self) -> None:
        if not self._closed or self._users:
            return
        # Network file systems say as late as here that what was written did not fit.
        with suppress(OSError), self._honestly():
            os.close(self._descriptor)
        with suppress(OSError):
            if self._direct is not None:
                os.close(self._direct)
            self._journal.close()

    def _open_direct(self) -> int | None:
        """Return a descriptor that goes past the page cache, which costs a copy and later a wait for the disk."""
        small = self.identity.size is None or self.identity.size < _DIRECT_BYTES
        if small or not hasattr(os, "O_DIRECT") or file_system_type(self._path) in _IN_MEMORY:
            return None
        try:
            return os.open(self._path, os.O_WRONLY | os.O_DIRECT | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in _NO_DIRECT:
                return None
            raise

    def _write_direct(self, offset: int, data: memoryview) -> int:
        """Write past the page cache, where the file system does that, and return how many bytes these were.

        The last bytes of a file are not filled up for it: nothing is ever written that is not of the content. Who is
        taken for dead by mistake, and writes on, then changes nothing of a file that others have finished meanwhile.
        """
        length = len(data) - len(data) % ALIGNMENT
        if self._direct is None or offset % ALIGNMENT or not length:
            return 0
        try:
            _write_at(self._direct, offset, data[:length])
        except OSError as error:
            if error.errno not in _NO_DIRECT:
                raise
            return 0
        return length


def _write_at(descriptor: int, offset: int, data: memoryview) -> None:
    """Write every byte; a single write may stop short, for instance in front of a full disk."""
    while data:
        count = os.pwrite(descriptor, data, offset)
        offset, data = offset + count, data[count:]


def _fallocate(descriptor: int, size: int) -> None:
    """Reserve room by fallocate(2). Where it is missing, posix_fallocate(3) would write every block instead.

    Raises OSError: when there is no room.
    """
    try:
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    except AttributeError:
        return
    while fallocate(descriptor, 0, ctypes.c_int64(0), ctypes.c_int64(size)) != 0:
        number = ctypes.get_errno()
        if number in _NO_PREALLOCATION:
            return
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))
