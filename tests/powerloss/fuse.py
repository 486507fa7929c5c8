"""A FUSE file system of one file, spoken directly to the kernel: what a disk behind a loop device needs, and no more.

The kernel's side is described in its header `fuse.h`; the structures below have the names they have there.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "disk"
# The largest request: a piece of data and its headers.
_PIECE_BYTES = 1024 * 1024
_REQUEST_BYTES = _PIECE_BYTES + 4096
_ROOT, _FILE = 1, 2
_S_IFDIR, _S_IFREG = 0o040000, 0o100000
_FOREVER = 2**31

_IN_HEADER = struct.Struct("=IIQQIIIHH")  # length, opcode, unique, node, uid, gid, pid, extensions, padding
_OUT_HEADER = struct.Struct("=IiQ")  # length, error, unique
_INIT_IN = struct.Struct("=IIII")  # major, minor, readahead, flags
_INIT_OUT = struct.Struct("=IIIIHHIIHHI28x")
_ATTRIBUTES = struct.Struct("=QQQQQQIIIIIIIIII")
_ENTRY_OUT = struct.Struct("=QQQQII")  # node, generation, validity of name and attributes
_ATTR_OUT = struct.Struct("=QII")  # validity
_OPEN_OUT = struct.Struct("=QIi")  # handle, flags
_READ_WRITE_IN = struct.Struct("=QQIIQII")  # handle, offset, size, flags, owner, flags of the file
_WRITE_OUT = struct.Struct("=II")  # size
_STATFS_OUT = struct.Struct("=QQQQQIIII24x")

_LOOKUP, _FORGET, _GETATTR, _SETATTR, _OPEN, _READ, _WRITE = 1, 2, 3, 4, 14, 15, 16
_STATFS, _RELEASE, _FSYNC, _FLUSH, _INIT, _OPENDIR, _RELEASEDIR = 17, 18, 20, 25, 26, 27, 29
_DESTROY, _BATCH_FORGET = 38, 42
_SILENT = frozenset((_FORGET, _BATCH_FORGET, _DESTROY))
_DIRECT_IO = 1 << 0  # of an open file: every read and write comes here
_BIG_WRITES, _MAX_PAGES = 1 << 5, 1 << 22  # of the connection
_VERSION = (7, 31)
_CLONE_NEWNS, _MNT_DETACH = 0x00020000, 2


class Disk(Protocol):
    """What the file is made of.

    - size: bytes.
    """

    size: int

    def read(self, offset: int, count: int) -> bytes | memoryview:
        """Return bytes."""

    def write(self, offset: int, data: memoryview) -> None:
        """Take bytes."""

    def flush(self) -> None:
        """Make all bytes durable that were taken."""


def serve(mount_point: Path, disk: Disk, ready: Callable[[], None]) -> None:
    """Mount a directory that holds the disk as the file NAME, call ``ready``, and serve until it is unmounted.

    Afterwards this process is in a mount namespace of its own.
    """
    channel = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        _mount(mount_point, f"fd={channel},rootmode=40000,user_id=0,group_id=0")
        _leave(mount_point)
        ready()
        connection = _Connection(disk)
        request = memoryview(bytearray(_REQUEST_BYTES))
        while (count := _next(channel, request)) > 0:
            answer = connection.answer(request[:count])
            if answer is not None:
                # Nobody waits for the last answers before the file system is gone.
                with suppress(FileNotFoundError):
                    os.writev(channel, answer)
    finally:
        os.close(channel)


@dataclass
class _Connection:
    """Answers requests, one after the other."""

    disk: Disk

    def answer(self, request: memoryview) -> list[bytes | memoryview] | None:
        """Return the pieces of an answer; None where none is wanted."""
        _, opcode, unique, node, *_ = _IN_HEADER.unpack_from(request)
        if opcode in _SILENT:
            return None
        try:
            body = self._body(opcode, node, request[_IN_HEADER.size :])
            number = 0
        except OSError as error:
            body, number = b"", -(error.errno or errno.EIO)
        return [_OUT_HEADER.pack(_OUT_HEADER.size + len(body), number, unique), body]

    def _body(self, opcode: int, node: int, request: memoryview) -> bytes | memoryview:
        if opcode in (_READ, _WRITE, _FSYNC):
            return self._transfer(opcode, request)
        if opcode == _INIT:
            return _init(request)
        if opcode == _LOOKUP:
            if bytes(request) != NAME.encode() + b"\0":
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            return _ENTRY_OUT.pack(_FILE, 0, _FOREVER, _FOREVER, 0, 0) + self._attributes(_FILE)
        if opcode in (_GETATTR, _SETATTR):
            return _ATTR_OUT.pack(_FOREVER, 0, 0) + self._attributes(node)
        if opcode in (_OPEN, _OPENDIR):
            return _OPEN_OUT.pack(0, _DIRECT_IO, 0)
        if opcode == _STATFS:
            return _STATFS_OUT.pack(0, 0, 0, 2, 0, 4096, 255, 4096, 0)
        if opcode in (_RELEASE, _RELEASEDIR, _FLUSH):
            return b""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def _transfer(self, opcode: int, request: memoryview) -> bytes | memoryview:
        if opcode == _FSYNC:
            self.disk.flush()
            return b""
        _, offset, size, *_ = _READ_WRITE_IN.unpack_from(request)
        if opcode == _READ:
            return self.disk.read(offset, size)
        self.disk.write(offset, request[_READ_WRITE_IN.size :][:size])
        return _WRITE_OUT.pack(size, 0)

    def _attributes(self, node: int) -> bytes:
        mode, size = (_S_IFREG | 0o600, self.disk.size) if node == _FILE else (_S_IFDIR | 0o700, 0)
        return _ATTRIBUTES.pack(node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def _init(request: memoryview) -> bytes:
    _, _, readahead, flags = _INIT_IN.unpack_from(request)
    wanted = flags & (_BIG_WRITES | _MAX_PAGES)
    pages = _PIECE_BYTES // os.sysconf("SC_PAGE_SIZE")
    return _INIT_OUT.pack(*_VERSION, readahead, wanted, 16, 12, _PIECE_BYTES, 1, pages, 0, 0)


def _mount(point: Path, options: str) -> None:
    _call(f"mounting FUSE on {point}", "mount", b"llmkube-disk", os.fsencode(point), b"fuse", 0, options.encode())


def _leave(point: Path) -> None:
    """Go where neither the directory is mounted nor what others will mount from the disk.

    When all are killed at once, the kernel unmounts that on behalf of whoever is the last in its namespace, and waits
    for the disk meanwhile. Were it this process, it would wait for itself, for ever.
    """
    _call("leaving the mount namespace", "unshare", _CLONE_NEWNS)
    _call(f"unmounting {point}", "umount2", os.fsencode(point), _MNT_DETACH)


def _call(what: str, name: str, *arguments: bytes | int) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _next(channel: int, request: memoryview) -> int:
    """Read the next request and return its length; 0 when the directory was unmounted."""
    while True:
        try:
            return os.readv(channel, [request])
        except OSError as error:  # noqa: PERF203 - it is rare
            if error.errno == errno.ENODEV:
                return 0
            if error.errno not in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                raise
