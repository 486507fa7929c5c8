"""Who lives and who is dead: death is believed when it is proven, and silence proves nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attempts import ELSEWHERE, leave, say
from building import age, failing

from llmkube_downloader.store import beacon, life
from llmkube_downloader.store.beacon import Beacon, read_record
from llmkube_downloader.store.layout import OWNER
from llmkube_downloader.store.life import Life, life_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkube_downloader.store.layout import Layout


@pytest.fixture
def _remote(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the volume for one whose locks prove nothing."""
    monkeypatch.setattr(life, "file_system_type", lambda _: "nfs4")


@pytest.fixture
def beacon_of(layout: Layout) -> Callable[..., Path]:
    """The beacon of a writer that is gone, saying what is asked for."""

    def make(**owner: Any) -> Path:
        old = leave(layout)
        say(old, **owner)
        return old.directory / OWNER

    return make


def test_a_free_lock_proves_death_on_a_local_file_system(beacon_of: Callable[..., Path]) -> None:
    assert life_of(beacon_of()) is Life.DEAD


def test_a_held_lock_proves_life_on_a_local_file_system(beacon_of: Callable[..., Path]) -> None:
    path = beacon_of()
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert life_of(path) is Life.LIVE
        age(path)
        assert life_of(path) is Life.STALE
    assert life_of(path) is Life.DEAD


def test_a_beacon_that_may_not_be_written_proves_nothing(
    beacon_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = beacon_of()
    monkeypatch.setattr(os, "open", failing(errno.EACCES))
    assert not life._lock_is_free(path)


def test_an_empty_beacon_is_about_to_be_locked(beacon_of: Callable[..., Path]) -> None:
    path = beacon_of()
    path.write_bytes(b"")
    assert life_of(path) is Life.LIVE
    age(path)
    assert life_of(path) is Life.STALE


@pytest.mark.parametrize("vanishes", ["before", "meanwhile"])
def test_a_beacon_that_is_gone_is_not_taken_for_one_that_lives(
    beacon_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, vanishes: str
) -> None:
    path = beacon_of(**ELSEWHERE)
    if vanishes == "before":
        path.unlink()
    else:
        monkeypatch.setattr(life, "file_system_type", lambda gone: gone.unlink() or "nfs4")
    with pytest.raises(FileNotFoundError):
        life_of(path)


@pytest.mark.parametrize(
    ("owner", "heard", "silent"),
    [
        ({}, Life.LIVE, Life.STALE),  # this very process, which runs
        ({"started": "0"}, Life.DEAD, Life.DEAD),  # its process id belongs to another one now
        ({"pid": 2**22 + 1}, Life.DEAD, Life.DEAD),
        ({"pid": 0, "started": beacon.started_at(1)}, Life.DEAD, Life.DEAD),
        ({"pidNamespace": "pid:[1]"}, Life.LIVE, Life.STALE),  # another container of this machine
        (ELSEWHERE, Life.LIVE, Life.STALE),
        ({**ELSEWHERE, "released": True}, Life.DEAD, Life.DEAD),
        ({**ELSEWHERE, "podUID": "mine"}, Life.LIVE, Life.DEAD),  # it may be another container of the pod
        ({**ELSEWHERE, "podUID": "another"}, Life.LIVE, Life.STALE),
        ({**ELSEWHERE, "podUID": ""}, Life.LIVE, Life.STALE),
        ({**ELSEWHERE, "node": "here"}, Life.LIVE, Life.DEAD),  # nodes of two clusters may have one name
        ({"pidNamespace": "pid:[1]", "node": "here"}, Life.LIVE, Life.STALE),  # not switched off since
        ({**ELSEWHERE, "node": "there"}, Life.LIVE, Life.STALE),
    ],
)
@pytest.mark.usefixtures("_remote")
def test_on_a_shared_file_system_only_this_proves_death(
    beacon_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, owner: dict[str, Any], heard: Life, silent: Life
) -> None:
    path = beacon_of(**owner)
    monkeypatch.setenv("LLMKUBE_POD_UID", "mine")
    monkeypatch.setenv("LLMKUBE_NODE_NAME", "here")
    assert life_of(path) is heard
    age(path)
    assert life_of(path) is silent


@pytest.mark.usefixtures("_remote")
def test_who_does_not_know_its_pod_and_node_proves_nothing_by_them(beacon_of: Callable[..., Path]) -> None:
    path = beacon_of(**ELSEWHERE, podUID="", node="")
    age(path)
    assert life_of(path) is Life.STALE


def test_the_last_word_of_a_beacon_is_its_last(layout: Layout) -> None:
    old = leave(layout)
    path = old.directory / "second.json"
    spoken = Beacon(path)
    spoken.beat(done=1, released=True)
    # The thread that beats may have been about to.
    spoken.beat(done=2)
    assert read_record(path)["released"] is True
    spoken.withdraw()


def test_a_beacon_can_be_read_in_the_middle_of_a_beat(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    path = leave(layout).directory / "second.json"
    spoken = Beacon(path)
    spoken.beat(done=10**12, total=10**12)
    with monkeypatch.context() as patched:
        patched.setattr(os, "ftruncate", failing(errno.EIO))
        with suppress(OSError):
            spoken.beat(done=1, total=1)
    assert read_record(path)["done"] == 1
    spoken.withdraw()


def test_beacons_are_told_apart_by_more_than_their_process_id() -> None:
    assert beacon.started_at(os.getpid()) == beacon.me()["started"] != ""
    assert beacon.started_at(2**22 + 1) == ""


def test_a_process_may_be_called_like_the_fields_around_its_name(tmp_path: Path) -> None:
    program = tmp_path / "a) S 1 é"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as process:
        try:
            fields = Path(f"/proc/{process.pid}/stat").read_bytes().split(program.name.encode() + b") ", 1)[1].split()
            assert beacon.started_at(process.pid) == fields[19].decode()
        finally:
            process.kill()
