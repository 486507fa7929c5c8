"""What a disk was told, in order: writes, flushes, and marks that say what was going on.

The file only grows, by one append for each record, so several processes may add to it and nobody has to be asked for
the order.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WRITE, FLUSH, MARK, OVER = 1, 2, 3, 4
_HEADER = struct.Struct("=BQQ")  # kind, offset on the disk, bytes that follow


@dataclass(frozen=True)
class Record:
    """One thing that the disk was told.

    - kind: WRITE; FLUSH, which says that all writes before it are durable; or MARK, whose data is a text.
    - offset: where on the disk the data belongs.
    """

    kind: int
    offset: int
    data: memoryview


class Log:
    """A log that is being written."""

    def __init__(self, path: Path) -> None:
        """Go on with a log, or begin it."""
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def add(self, kind: int, offset: int = 0, data: bytes | memoryview = b"") -> None:
        """Add a record."""
        written = os.writev(self._descriptor, [_HEADER.pack(kind, offset, len(data)), data])
        if written != _HEADER.size + len(data):
            raise OSError(f"the log took {written} bytes of {len(data)}")

    def mark(self, text: str) -> None:
        """Add a mark."""
        self.add(MARK, data=text.encode())


def read_log(path: Path) -> list[Record]:
    """Return the records of a log up to where it says OVER."""
    with path.open("rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    records, position = [], 0
    while position < len(data):
        kind, offset, length = _HEADER.unpack_from(data, position)
        if kind == OVER:
            break
        position += _HEADER.size
        records.append(Record(kind, offset, data[position : position + length]))
        position += length
    return records
