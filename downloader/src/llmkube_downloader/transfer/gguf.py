"""How many bytes a GGUF file has to have, as its header says: one that was cut off begins like a whole one."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

_START = struct.Struct("<4sIQQ")
_WORD = struct.Struct("<I")
_LONG = struct.Struct("<Q")
# Bytes of the values that have a fixed size, by their type.
_VALUES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UNSIGNED, _STRING, _ARRAY = 4, 8, 9
_ALIGNMENT_KEY = b"general.alignment"
_ALIGNMENT = 32
_MOST_DIMENSIONS = 4
_LONGEST_NAME = 65535
# Many times what any model has: large vocabularies take 20 MB.
_LONGEST_HEADER = 256 * 1024 * 1024
_DEEPEST_ARRAY = 8
# Bytes of the blocks that the data of a tensor consists of, by the elements of a block and the tensor's type.
_SIZES = {
    1: {0: 4, 1: 2, 24: 1, 25: 2, 26: 4, 27: 8, 28: 8, 30: 2},
    32: {2: 18, 3: 20, 6: 22, 7: 24, 8: 34, 9: 40, 20: 18, 39: 17},
    64: {40: 36},
    128: {41: 18},
    256: {10: 84, 11: 110, 12: 144, 13: 176, 14: 210, 15: 292, 16: 66, 17: 74, 18: 98, 19: 50, 21: 110}
    | {22: 82, 23: 136, 29: 56, 34: 54, 35: 66},
}
_BLOCKS = {kind: (elements, length) for elements, sizes in _SIZES.items() for kind, length in sizes.items()}


def promised_bytes(file: BinaryIO, size: int) -> int:
    """Return where the last tensor of a GGUF file of version 2 or 3 ends; of an unknown type, where its data begins.

    - file: its bytes, at the first one.
    - size: how many there are.

    Raises ValueError: when the header ends too early, or is none.
    Raises OSError: when the file can not be read.
    """
    header = _Header(file, size)
    _, _, tensors, pairs = header.unpack(_START)
    alignment = _ALIGNMENT
    for _ in range(pairs):
        name, kind = header.name(), header.word()
        if name == _ALIGNMENT_KEY and kind == _UNSIGNED:
            alignment = header.word()
        else:
            header.pass_value(kind)
    if not alignment or alignment & (alignment - 1):
        raise ValueError("the alignment is no power of two")
    end = max((_tensor_end(header) for _ in range(tensors)), default=0)
    return (header.place + alignment - 1) // alignment * alignment + end if end else header.place


def _tensor_end(header: _Header) -> int:
    """Return where the data of the next tensor ends, from where the data of all begins."""
    header.name()
    count = header.word()
    if count > _MOST_DIMENSIONS:
        raise ValueError("a tensor has too many dimensions")
    shape = [header.long() for _ in range(count)]
    kind, offset = header.word(), header.long()
    elements, length = _BLOCKS.get(kind, (1, 0))
    return offset + (math.prod(shape) if shape else 0) // elements * length


class _Header:
    """Reads a header, never beyond the end of the file nor for ever.

    - place: bytes read so far.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.place = 0
        self._file = file
        self._end = min(size, _LONGEST_HEADER)

    def unpack(self, form: struct.Struct) -> tuple[int, ...]:
        self._advance(form.size)
        return form.unpack(self._file.read(form.size))

    def word(self) -> int:
        return self.unpack(_WORD)[0]

    def long(self) -> int:
        return self.unpack(_LONG)[0]

    def name(self) -> bytes:
        length = self.long()
        if length > _LONGEST_NAME:
            raise ValueError("a name is too long")
        self._advance(length)
        return self._file.read(length)

    def pass_value(self, kind: int, depth: int = 0) -> None:
        """Go on after a value."""
        if kind == _STRING:
            self._pass(self.long())
        elif kind == _ARRAY and depth < _DEEPEST_ARRAY:
            self._pass_array(self.word(), self.long(), depth)
        elif kind in _VALUES:
            self._pass(_VALUES[kind])
        else:
            raise ValueError("a value has a type that is not known")

    def _pass_array(self, kind: int, count: int, depth: int) -> None:
        if kind in _VALUES:
            self._pass(count * _VALUES[kind])
            return
        for _ in range(count):
            self.pass_value(kind, depth + 1)

    def _pass(self, length: int) -> None:
        self._advance(length)
        self._file.seek(self.place)

    def _advance(self, length: int) -> None:
        self.place += length
        if self.place > self._end:
            raise ValueError("it goes on for too long")
