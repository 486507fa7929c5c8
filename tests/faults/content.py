"""Bytes of which every process can tell any part, without keeping or sending a copy of the whole."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Odd, and larger than any number of blocks a test has: no two blocks of a power of two bytes are alike.
PERIOD = 1_048_583
_LENGTH = struct.Struct("<Q")
_HEADER_BYTES = 120


class Content:
    """The first bytes of an endless sequence that repeats itself after PERIOD bytes.

    - size: how many they are.
    """

    def __init__(self, size: int, seed: int, head: bytes = b"") -> None:
        """Other seeds make other sequences; `head` stands in place of the first bytes."""
        self.size = size
        self._head = memoryview(head)
        once = random.Random(seed).randbytes(PERIOD)  # noqa: S311 - it is no secret
        self._twice = memoryview(once + once)

    def piece(self, start: int, count: int) -> memoryview:
        """The bytes from `start`: `count` at most, fewer also after the head and after PERIOD, none after the end."""
        if start < len(self._head):
            return self._head[start : start + count]
        begin = start % PERIOD
        return self._twice[begin : begin + max(0, min(count, PERIOD, self.size - start))]

    @cached_property
    def sha256(self) -> str:
        """The hash of all bytes."""
        digest = hashlib.sha256()
        for piece in self._pieces():
            digest.update(piece)
        return digest.hexdigest()

    def write(self, path: Path) -> None:
        """Write all bytes into a file."""
        with path.open("wb") as file:
            for piece in self._pieces():
                file.write(piece)

    def is_in(self, path: Path) -> bool:
        """Whether a file has exactly these bytes."""
        with path.open("rb") as file:
            return all(file.read(len(piece)) == piece.tobytes() for piece in self._pieces()) and not file.read(1)

    def _pieces(self) -> Iterator[memoryview]:
        start = 0
        while start < self.size:
            yield self.piece(start, PERIOD)
            start += len(self.piece(start, PERIOD))


def weights(size: int, seed: int = 0) -> Content:
    """A safetensors file with one tensor."""
    length = size - _LENGTH.size - _HEADER_BYTES
    tensor = {"dtype": "U8", "shape": [length], "data_offsets": [0, length]}
    header = json.dumps({"weights": tensor}).ljust(_HEADER_BYTES).encode()
    return Content(size, seed, _LENGTH.pack(len(header)) + header)
