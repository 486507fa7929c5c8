"""Beacons: what a writer leaves, holds and lets go."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from pathlib import Path

import pytest
from building import failing, idle

from llmkube_downloader.store import beacon
from llmkube_downloader.store.beacon import Beacon, Heartbeat, is_stale, read_record


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_writer_holds_a_lock_before_it_says_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, how: held.append(how | os.fstat(descriptor).st_size << 8))
    Beacon(tmp_path / "build").withdraw()
    assert held == [fcntl.LOCK_EX]


def test_where_there_are_no_locks_there_is_a_beacon_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(errno.ENOLCK))
    spoken = Beacon(tmp_path / "build")
    assert read_record(tmp_path / "build")["pid"] == os.getpid()
    spoken.withdraw()


def test_a_beacon_is_another_ones_when_its_name_is(tmp_path: Path) -> None:
    before = open_files()
    first = Beacon(tmp_path / "build")
    with pytest.raises(FileExistsError):
        Beacon(tmp_path / "build")
    (tmp_path / "build").rename(tmp_path / "away")
    second = Beacon(tmp_path / "build")
    first.withdraw()
    assert (tmp_path / "build").exists()
    second.withdraw()
    assert not (tmp_path / "build").exists()
    assert open_files() == before


def test_a_beacon_that_can_not_be_written_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_files()
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        Beacon(tmp_path / "build")
    assert (open_files(), list(tmp_path.iterdir())) == (before, [])


def test_each_beat_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    spoken = Beacon(tmp_path / "build")
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    spoken.beat(3)
    assert synced == [(tmp_path / "build").stat().st_ino]
    assert read_record(tmp_path / "build")["done"] == 3
    spoken.withdraw()


def test_a_released_beacon_stays_and_holds_nothing(tmp_path: Path) -> None:
    before = open_files()
    spoken = Beacon(tmp_path / "build")
    spoken.release()
    spoken.release()
    assert open_files() == before
    assert read_record(tmp_path / "build")["released"] is True


@pytest.mark.parametrize("end", ["release", "withdraw"])
def test_trouble_with_the_volume_does_not_keep_a_writer_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    before = open_files()
    spoken = Beacon(tmp_path / "build")
    monkeypatch.setattr(os, "pwrite", failing(errno.EIO))
    monkeypatch.setattr(beacon, "read_small", failing(errno.EIO))
    getattr(spoken, end)()
    assert open_files() == before
    assert (tmp_path / "build").exists()


def test_a_beat_that_hangs_is_waited_for_a_second_and_keeps_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    class Hanging:
        def acquire(self, timeout: float) -> bool:
            waited.append(timeout)
            return False

    spoken = Beacon(tmp_path / "build")
    before = open_files()
    with monkeypatch.context() as patched:
        patched.setattr(spoken, "_lock", Hanging())
        spoken.withdraw()
    assert (waited, open_files()) == ([1.0], before)
    spoken.withdraw()
    assert open_files() == before - 1


@pytest.mark.parametrize(("seconds", "stale"), [(0, False), (60, False), (60.001, True)])
def test_silence_of_more_than_a_minute_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, stale: bool
) -> None:
    before = open_files()
    (tmp_path / "build").touch()
    os.utime(tmp_path / "build", (1, 1000))
    monkeypatch.setattr(beacon, "file_server_now", lambda directory: {tmp_path: 1000.0 + seconds}[directory])
    assert is_stale(tmp_path / "build") is stale
    assert open_files() == before


def test_what_is_gone_is_not_stale(tmp_path: Path) -> None:
    assert not is_stale(tmp_path / "build")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"1", b"null", b"\xff"])
def test_what_is_no_record_says_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "build").write_bytes(data)
    assert read_record(tmp_path / "build") == {}
    assert read_record(tmp_path / "x") == {}


def test_a_heart_beats_every_ten_seconds_for_those_that_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, dropped = Beacon(tmp_path / "kept"), Beacon(tmp_path / "dropped")
    heart = Heartbeat(lambda: (4, 8))
    waits: list[float] = []

    def three_times(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) > 3

    monkeypatch.setattr(heart._stop, "wait", three_times)
    heart.keep(kept)
    heart.keep(dropped)
    heart.drop(dropped)
    heart.start()
    assert (heart._thread.name, heart._thread.daemon) == ("heartbeat", True)
    heart._thread.join()
    assert waits == [10.0] * 4
    said = [(record["done"], record["total"]) for record in map(read_record, (kept.path, dropped.path))]
    assert said == [(4, 8), (0, None)]
    kept.withdraw()
    dropped.withdraw()


def test_a_heart_that_hangs_is_waited_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    heart, waited = Heartbeat(idle), []
    monkeypatch.setattr(heart._thread, "join", lambda timeout: waited.append(timeout))
    heart.stop()
    assert (waited, heart._stop.is_set()) == ([1.0], True)
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_who_can_not_be_told_apart_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "readlink", failing(errno.EACCES))
    monkeypatch.setattr("pathlib.Path.read_text", failing(errno.EACCES))
    beacon._boot_id.cache_clear()
    try:
        assert [beacon.me()[name] for name in ("started", "pidNamespace", "bootId")] == ["", "", ""]
    finally:
        beacon._boot_id.cache_clear()
