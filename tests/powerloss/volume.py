"""File systems on disks in memory. Only for a process in namespaces of its own."""

from __future__ import annotations

import mmap
import os
import subprocess
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

from powerloss.fuse import NAME, serve
from powerloss.log import FLUSH, WRITE, Log

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_BYTES = 384 * 1024 * 1024
# Nothing becomes durable by itself, as long as a test takes; and copies of a disk may be there at the same time.
_OPTIONS = {"ext4": "loop,commit=900", "xfs": "loop,nouuid"}
_MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}
ROOT = "models"


class Disk:
    """Memory that is read and written like a disk.

    - size: bytes.
    """

    def __init__(self, image: Path) -> None:
        """Begin with what a file holds."""
        self.size = image.stat().st_size
        self._memory = mmap.mmap(-1, self.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._data = memoryview(self._memory)
        self.share(on=False)
        with image.open("rb", buffering=0) as file:
            for start, end in _extents(file.fileno(), self.size):
                os.preadv(file.fileno(), [self._data[start:end]], start)

    def share(self, *, on: bool) -> None:
        """Let processes that are forked have a copy from now on, or not: most of them do without, and begin faster."""
        self._memory.madvise(mmap.MADV_DOFORK if on else mmap.MADV_DONTFORK)

    def read(self, offset: int, count: int) -> memoryview:
        """Return bytes."""
        return self._data[offset : offset + count]

    def write(self, offset: int, data: memoryview) -> None:
        """Take bytes."""
        self._data[offset : offset + len(data)] = data

    def flush(self) -> None:
        """Do nothing: the power is never cut."""


class RecordedDisk(Disk):
    """A disk with a log of what it is told."""

    def __init__(self, image: Path, log: Log) -> None:
        """Begin with what a file holds."""
        super().__init__(image)
        self._log = log

    def write(self, offset: int, data: memoryview) -> None:
        """Take bytes."""
        super().write(offset, data)
        self._log.add(WRITE, offset, data)

    def flush(self) -> None:
        """Say that all bytes are durable."""
        self._log.add(FLUSH)


def make_image(kind: str, image: Path) -> None:
    """Make a file system with an empty directory ROOT in a new file."""
    with image.open("wb") as file:
        file.truncate(_BYTES)
    subprocess.run([*_MAKE[kind], str(image)], check=True, stdout=subprocess.DEVNULL)
    with _mounted(kind, image, image.with_suffix(".mount")) as point:
        (point / ROOT).mkdir()


@contextmanager
def mounted(kind: str, disk: Disk, point: Path, told: Sequence[tuple[int, memoryview]] = ()) -> Iterator[Path]:
    """Mount the file system of a disk in the block, and yield where. All that happens, happens to a copy of the disk.

    - told: what is written to the copy beforehand, by offset.
    """
    directory = point.with_suffix(".disk")
    directory.mkdir(exist_ok=True)
    server = _start_server(directory, disk, told)
    try:
        with _mounted(kind, directory / NAME, point):
            yield point
    finally:
        # Lazily: the kernel may let go of the loop device a moment later.
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
        os.waitpid(server, 0)


@contextmanager
def _mounted(kind: str, image: Path, point: Path) -> Iterator[Path]:
    point.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", kind, "-o", _OPTIONS[kind], str(image), str(point)], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True)


def _start_server(point: Path, disk: Disk, told: Sequence[tuple[int, memoryview]]) -> int:
    """Serve a disk by a process of its own, because this one waits for the file system that waits for the disk."""
    ready, tell = os.pipe()
    disk.share(on=True)
    server = os.fork()
    if server == 0:
        try:
            for offset, data in told:
                disk.write(offset, data)
            serve(point, disk, lambda: os.close(tell))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    disk.share(on=False)
    os.close(tell)
    os.read(ready, 1)
    os.close(ready)
    return server


def _extents(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Return where a file is not empty."""
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError:
            return  # nothing follows
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end
