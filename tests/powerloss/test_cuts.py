"""Promises about the power cuts themselves: they take what a disk may lose, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from powerloss.cuts import Cut, Replay, choose
from powerloss.log import FLUSH, MARK, OVER, WRITE, Log, read_log
from powerloss.volume import Disk

if TYPE_CHECKING:
    from pathlib import Path

    from powerloss.log import Record

_SECTOR = 512
_DISK = 16 * _SECTOR


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """An empty disk of 16 sectors."""
    image = tmp_path / "image"
    image.write_bytes(bytes(_DISK))
    return Disk(image)


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    """A is flushed, B and C are not, and all after the end of the log is not there."""
    log = Log(tmp_path / "log")
    log.mark("begin")
    log.add(WRITE, 0, b"A" * 4 * _SECTOR)
    log.add(FLUSH)
    log.add(WRITE, 0, b"B" * 2 * _SECTOR)
    log.add(WRITE, 8 * _SECTOR, b"C" * 8 * _SECTOR)
    log.mark("end")
    log.add(OVER)
    log.add(WRITE, 0, b"D" * _SECTOR)
    return read_log(tmp_path / "log")


def test_the_log_keeps_the_order_and_ends_where_it_says_so(records: list[Record]) -> None:
    assert [record.kind for record in records] == [MARK, WRITE, FLUSH, WRITE, WRITE, MARK]
    assert bytes(records[-1].data) == b"end"


def test_what_was_flushed_survives_and_all_else_may_be_lost(disk: Disk, records: list[Record]) -> None:
    assert Replay(records, disk).go_to(Cut(len(records))) == []
    assert _sectors(disk) == "AAAA" + "." * 12


def test_what_was_not_flushed_may_be_lost_with_what_was_not_yet_written(disk: Disk, records: list[Record]) -> None:
    assert _after(disk, records, Cut(2)) == "." * 16
    assert _after(disk, records, Cut(4, kept=1.0)) == "BBAA" + "." * 12


def test_what_was_not_flushed_may_be_there_all_the_same(disk: Disk, records: list[Record]) -> None:
    assert _after(disk, records, Cut(len(records), kept=1.0)) == "BBAA....CCCCCCCC"


def test_a_later_write_may_survive_an_earlier_one(disk: Disk, records: list[Record]) -> None:
    cuts = [Cut(len(records), kept=0.5, seed=str(seed)) for seed in range(20)]
    survivors = {tuple(bytes(data[:1]) for _, data in Replay(records, disk).go_to(cut)) for cut in cuts}
    assert survivors == {(), (b"B",), (b"C",), (b"B", b"C")}


def test_of_a_torn_write_some_sectors_survive(disk: Disk, records: list[Record]) -> None:
    torn = _after(disk, records, Cut(len(records), kept=0.5, torn=1.0, seed="1"))[8:]
    assert set(torn) == {"C", "."}


def test_the_power_is_cut_after_every_flush_that_wrote_something_and_at_random(records: list[Record]) -> None:
    assert [cut.at for cut in choose(records, 0, 0)] == [1, 3, 6]
    assert len(choose(records, 10, 0)) == 13
    assert choose(records, 10, 0) == choose(records, 10, 0) != choose(records, 10, 1)


def _after(disk: Disk, records: list[Record], cut: Cut) -> str:
    for offset, data in Replay(records, disk).go_to(cut):
        disk.write(offset, data)
    return _sectors(disk)


def _sectors(disk: Disk) -> str:
    """The first byte of each sector; a point for none."""
    return bytes(disk.read(0, _DISK)[::_SECTOR]).decode().replace("\0", ".")
