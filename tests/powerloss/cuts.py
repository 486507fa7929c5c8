"""What a disk holds after a power cut.

What was written before the last completed flush is there. Of what was written after it, each sector of 512 bytes may be
there or not: disks keep writes in a cache and empty it in any order.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from powerloss.log import FLUSH, MARK, WRITE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from powerloss.log import Record
    from powerloss.volume import Disk

_SECTOR = 512
# The shares of the writes since the last flush that random cuts leave, and of those of which they leave a part.
_KEPT = (0.0, 0.1, 0.5, 0.9, 1.0)
_TORN = 0.2


@dataclass(frozen=True)
class Cut:
    """A power cut.

    - at: how many records the disk had been told.
    - kept: the share of the writes since the last flush that are there.
    - torn: the share of these of which only some sectors are.
    - seed: chooses which.
    """

    at: int
    kept: float = 0.0
    torn: float = 0.0
    seed: str = ""


def choose(records: Sequence[Record], count: int, seed: int) -> list[Cut]:
    """Return cuts in their order: after every flush, at every mark, and ``count`` at random."""
    cuts = [Cut(at) for at in _places(records)]
    chance = random.Random(seed)  # noqa: S311 - it is no secret
    writes = [at for at, record in enumerate(records, 1) if record.kind == WRITE]
    for number in range(count):
        torn = chance.choice((0.0, _TORN))
        cuts.append(Cut(chance.choice(writes), chance.choice(_KEPT), torn, f"{seed}-{number}"))
    return sorted(cuts, key=lambda cut: cut.at)


def _places(records: Sequence[Record]) -> Iterator[int]:
    """Return where something became durable, and where marks are."""
    written = False
    for at, record in enumerate(records, 1):
        if record.kind == MARK or (record.kind == FLUSH and written):
            yield at
        written = record.kind == WRITE or (record.kind == MARK and written)


class Replay:
    """Tells a disk again what it was told."""

    def __init__(self, records: Sequence[Record], disk: Disk) -> None:
        """Begin with a disk as it was before the first record."""
        self._records = records
        self._disk = disk
        self._position = 0

    def go_to(self, cut: Cut) -> list[tuple[int, memoryview]]:
        """Bring the disk to what is durable at a cut, and return what else survives, by offset.

        No cut may lie before an earlier one.
        """
        for at in range(cut.at, self._position, -1):
            if self._records[at - 1].kind == FLUSH:
                self._write(at)
                break
        return list(_survivors(self._records[self._position : cut.at], cut))

    def _write(self, until: int) -> None:
        for record in self._records[self._position : until]:
            if record.kind == WRITE:
                self._disk.write(record.offset, record.data)
        self._position = until


def _survivors(records: Sequence[Record], cut: Cut) -> Iterator[tuple[int, memoryview]]:
    """Return what of writes in the cache of a disk is there after a cut, by offset."""
    chance = random.Random(cut.seed)  # noqa: S311 - it is no secret
    for record in records:
        if record.kind != WRITE or chance.random() >= cut.kept:
            continue
        if chance.random() >= cut.torn:
            yield record.offset, record.data
            continue
        for start in range(0, len(record.data), _SECTOR):
            if chance.random() < cut.kept:
                yield record.offset + start, record.data[start : start + _SECTOR]
