"""Files are read again on all cores, in stretches, and what comes out is the same on one."""

from __future__ import annotations

import os
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from weights import gguf, sha256

from llmkube_downloader.cores import usable_cores
from llmkube_downloader.maintenance import checking
from llmkube_downloader.maintenance.checking import Reading, Segment, WholeHash, check

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE = 1000


def halves(data: bytes) -> list[Segment]:
    """Return the segments of a file that is checked in two stretches."""
    middle = len(data) // 2
    stretches = ((0, data[:middle]), (middle, data[middle:]))
    return [Segment(offset, len(part), partial(WholeHash, sha256(part))) for offset, part in stretches]


def broken_halves(readings: list[Reading], advance: Callable[[int], None] = lambda _: None) -> list[list[int]]:
    """Check files and return for each the offsets of the segments that are wrong."""
    return [[finding.segment.offset for finding in found] for found in check(readings, advance)]


@pytest.fixture(params=[1, 3])
def _cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "usable_cores", lambda: request.param)
    monkeypatch.setattr(checking, "_PIECE_BYTES", PIECE)


@pytest.fixture
def files(tmp_path: Path) -> list[Reading]:
    """Files of different sizes, all of them right."""
    readings = []
    for number in range(20):
        data = gguf(50 + number * 700, seed=number)
        (tmp_path / str(number)).write_bytes(data)
        readings.append(Reading(tmp_path / str(number), halves(data)))
    return readings


@pytest.mark.usefixtures("_cores")
def test_what_is_right_has_no_findings_and_is_counted_once(files: list[Reading]) -> None:
    counted: list[int] = []
    assert broken_halves(files, counted.append) == [[]] * 20
    assert sum(counted) == sum(reading.path.stat().st_size for reading in files)


@pytest.mark.usefixtures("_cores")
def test_every_changed_byte_is_found_in_its_file_and_stretch(files: list[Reading]) -> None:
    for number, reading in enumerate(files):
        data = bytearray(reading.path.read_bytes())
        middle = len(data) // 2
        for place in (0, middle - 1, middle, len(data) - 1):
            data[place] ^= 1
            reading.path.write_bytes(data)
            expected: list[list[int]] = [[] for _ in files]
            expected[number] = [0] if place < middle else [middle]
            assert broken_halves(files) == expected
            data[place] ^= 1
        reading.path.write_bytes(data)


@pytest.mark.usefixtures("_cores")
def test_findings_come_in_the_order_of_files_and_stretches(files: list[Reading]) -> None:
    for reading in files:
        reading.path.write_bytes(bytes(reading.path.stat().st_size))
    assert broken_halves(files) == [[segment.offset for segment in reading.segments] for reading in files]


@pytest.mark.usefixtures("_cores")
def test_what_ends_early_or_can_not_be_read_is_said(files: list[Reading]) -> None:
    os.truncate(files[5].path, 10)
    files[7].path.unlink()
    found = check(files, lambda _: None)
    assert [finding.problem for finding in found[5]] == ["ends after 10 bytes", "ends after 1775 bytes"]
    assert {finding.problem for finding in found[7]} == {"can not be read: No such file or directory"}


@pytest.mark.usefixtures("_cores")
def test_an_empty_file_is_right_when_it_should_be_empty(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for expected, count in ((b"", 0), (b"1", 1)):
        segment = Segment(0, 0, partial(WholeHash, sha256(expected)))
        assert len(check([Reading(tmp_path / "empty", [segment])], print)[0]) == count


class _BrokenError(Exception):
    pass


@pytest.mark.usefixtures("_cores")
def test_a_failure_in_a_thread_is_a_failure_of_all(files: list[Reading]) -> None:
    def fail(_: int) -> None:
        raise _BrokenError

    with pytest.raises(_BrokenError):
        check(files, fail)


def test_all_cores_read_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "usable_cores", lambda: 3)
    meeting = threading.Barrier(3)

    class Meeting:
        """Comes to its end only when all three have begun."""

        def update(self, data: memoryview) -> None:
            meeting.wait(60)

        def problem(self) -> str:
            return ""

    (tmp_path / "file").write_bytes(b"123")
    segments = [Segment(offset, 1, Meeting) for offset in range(3)]
    assert check([Reading(tmp_path / "file", segments)], lambda _: None) == [[]]


def test_a_signal_ends_the_reading(files: list[Reading], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "usable_cores", lambda: 2)
    monkeypatch.setattr(checking, "_PIECE_BYTES", 1)
    reading, ended = threading.Event(), threading.Event()
    join = threading.Thread.join

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        if timeout is None:
            reading.wait(60)
            ended.set()
            raise KeyboardInterrupt
        join(thread, timeout)

    def advance(_: int) -> None:
        reading.set()
        ended.wait(60)

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check(files, advance)
    assert not [thread for thread in threading.enumerate() if thread.name == "verify"]


# Cores.


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """The control group of the process."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("1:cpu:/old\n0::/pods/mine\n")
    group = tmp_path / "sys" / "fs" / "cgroup" / "pods" / "mine"
    group.mkdir(parents=True)
    return group


@pytest.mark.parametrize(
    ("own", "above", "cores"),
    [
        ("max 100000", "max 100000", 64),
        ("200000 100000", "max 100000", 2),
        ("150000 100000", "400000 100000", 2),
        ("max 100000", "300000 100000", 3),
        ("1000 100000", "max 100000", 1),
        ("nonsense", "max 100000", 64),
    ],
)
def test_no_more_cores_are_used_than_the_control_groups_allow(
    group: Path, monkeypatch: pytest.MonkeyPatch, own: str, above: str, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    (group / "cpu.max").write_text(f"{own}\n")
    (group.parent / "cpu.max").write_text(f"{above}\n")
    assert usable_cores(group.parents[4]) == cores


def test_no_more_cores_are_used_than_the_process_may_run_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert usable_cores(tmp_path) == 2
