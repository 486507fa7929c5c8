"""Leases and the volume: who works on what, and whether it can be worked on."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from building import KEY, age, build, failing, idle

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store import lease as lease_module
from llmkube_downloader.store import volume
from llmkube_downloader.store.beacon import Beacon, read_record
from llmkube_downloader.store.entry import Entry, State, look
from llmkube_downloader.store.layout import Layout
from llmkube_downloader.store.lease import held, holder_of, is_abandoned, take, take_or_join, try_take
from llmkube_downloader.store.life import life_of
from llmkube_downloader.store.trash import discard, empty_trash
from llmkube_downloader.store.volume import check_space, prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from command_line import Run


# Leases.


def test_one_lease_has_one_holder(layout: Layout) -> None:
    taken = try_take(layout, KEY)
    assert taken
    assert try_take(layout, KEY) is None
    assert holder_of(layout, KEY) == os.uname().nodename
    taken.withdraw()
    assert holder_of(layout, KEY) is None
    assert try_take(layout, KEY)


def test_a_lease_that_nobody_keeps_alive_is_taken_over(layout: Layout) -> None:
    dead = try_take(layout, KEY)
    assert dead
    age(dead.path)
    assert holder_of(layout, KEY) is None
    successor = try_take(layout, KEY)
    assert successor
    # The old holder wakes up again: neither its beat nor its end touches the lease of its successor.
    record = read_record(successor.path)
    dead.beat(done=5)
    dead.withdraw()
    assert read_record(successor.path) == record


def test_whoever_finds_a_lease_stale_that_another_one_takes_over_meanwhile_leaves_it_alone(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandon(layout)
    first: list[Beacon | None] = []

    def take_over() -> None:
        monkeypatch.setattr(lease_module, "life_of", life_of)
        first.append(try_take(layout, KEY))

    monkeypatch.setattr(Path, "hardlink_to", failing(errno.EOPNOTSUPP))
    monkeypatch.setattr(lease_module, "life_of", with_others(life_of, after=take_over))
    assert try_take(layout, KEY) is None
    assert first[0]
    assert holder_of(layout, KEY)


def test_whoever_takes_away_what_another_one_took_over_in_that_moment_gives_it_back(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandon(layout)
    first: list[Beacon | None] = []

    def take_over() -> None:
        monkeypatch.undo()
        first.append(try_take(layout, KEY))

    monkeypatch.setattr(Path, "rename", with_others(Path.rename, before=take_over))
    assert try_take(layout, KEY) is None
    assert first[0]
    first[0].beat(done=7)
    assert read_record(layout.leases(KEY) / "build")["done"] == 7
    assert [path.name for path in layout.leases(KEY).iterdir()] == ["build"]


def test_a_lease_that_is_given_back_replaces_no_other(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    abandon(layout)
    taken: list[Beacon | None] = []

    def take_over() -> None:
        monkeypatch.undo()
        taken.append(try_take(layout, KEY))
        monkeypatch.setattr(Path, "hardlink_to", with_others(Path.hardlink_to, before=take_too))

    def take_too() -> None:
        monkeypatch.undo()
        taken.append(try_take(layout, KEY))

    monkeypatch.setattr(Path, "rename", with_others(Path.rename, before=take_over))
    assert try_take(layout, KEY) is None
    record = read_record(layout.leases(KEY) / "build")
    assert taken[0]
    assert taken[1]
    taken[0].withdraw()
    assert read_record(taken[1].path) == record


def abandon(layout: Layout) -> None:
    """Leave a lease that nobody keeps alive."""
    dead = try_take(layout, KEY)
    assert dead
    age(dead.path)


def with_others(
    call: Callable[..., Any], before: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None
) -> Callable[..., Any]:
    """Return a call before or after which somebody else does something."""

    def called(*arguments: Any) -> Any:
        before()
        result = call(*arguments)
        after()
        return result

    return called


def test_a_heartbeat_keeps_a_lease_from_being_taken_over(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmkube_downloader.store.beacon.HEARTBEAT_SECONDS", 0.001)
    taken = try_take(layout, KEY)
    assert taken
    age(taken.path)
    with held(taken, lambda: (300, 1000)):
        while not holder_of(layout, KEY):
            pass
        assert try_take(layout, KEY) is None
        assert holder_of(layout, KEY) == f"{os.uname().nodename} (30 % done)"
    assert not taken.path.exists()


def test_ages_are_measured_with_the_clock_of_the_file_server(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = try_take(layout, KEY)
    assert taken
    age(taken.path, 30)
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert holder_of(layout, KEY)
    monkeypatch.setattr("llmkube_downloader.store.beacon.file_server_now", lambda _: taken.path.stat().st_mtime + 61)
    assert holder_of(layout, KEY) is None


def test_a_lease_whose_writer_died_before_its_first_word_goes_stale(layout: Layout) -> None:
    path = layout.leases(KEY) / "build"
    path.parent.mkdir(parents=True)
    path.touch()
    assert holder_of(layout, KEY) == "another process"
    age(path)
    assert try_take(layout, KEY)


@pytest.mark.parametrize("listed", [True, False])
def test_a_name_that_is_listed_and_not_found_is_looked_for_again(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    if listed:
        build(layout)
    answers = [lambda layout, key: Entry(layout.entry(key), key, State.ABSENT), look, look]
    refreshed: list[Path] = []
    monkeypatch.setattr(lease_module, "look", lambda *arguments: answers.pop(0)(*arguments))
    monkeypatch.setattr(lease_module, "refresh_names", refreshed.append)
    found = take_or_join(layout, KEY, 60, print, lambda entry: entry.key == KEY)
    assert (isinstance(found, Entry), refreshed) == (listed, [layout.root] if listed else [])


def test_a_complete_entry_is_not_looked_for_again(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    build(layout)
    monkeypatch.setattr(lease_module, "refresh_names", lambda _: pytest.fail("it was complete"))
    assert isinstance(take_or_join(layout, KEY, 60, print), Entry)


def test_a_stale_lease_that_somebody_else_takes_away_is_free(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("rename", "unlink"):
        abandon(layout)
        call = getattr(Path, method)

        def overtaken(path: Path, *rest: Any, call: Any = call, **named: Any) -> Any:
            if path.name.startswith("build"):
                os.remove(path)  # noqa: PTH107 - it stands for somebody else
            return call(path, *rest, **named)

        with monkeypatch.context() as patched:
            patched.setattr(Path, method, overtaken)
            successor = try_take(layout, KEY)
        assert successor
        successor.withdraw()


def test_a_holder_is_told_with_how_far_it_is(layout: Layout) -> None:
    taken = try_take(layout, KEY)
    assert taken
    for done, percent in ((0, 0), (199, 19), (1000, 100)):
        taken.beat(done, 1000)
        assert holder_of(layout, KEY) == f"{os.uname().nodename} ({percent} % done)"


def test_a_lease_that_is_taken_away_meanwhile_has_no_holder(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    assert try_take(layout, KEY)
    monkeypatch.setattr(lease_module, "life_of", failing(errno.ENOENT))
    assert holder_of(layout, KEY) is None
    monkeypatch.setattr(lease_module, "try_take", lambda *_: None)
    with pytest.raises(DownloaderError, match=f"waiting for another process, which fetches {KEY}$"):
        take(layout, KEY, 0, print)


def test_a_lease_is_abandoned_when_it_is_there_and_its_holder_is_not(layout: Layout) -> None:
    assert not is_abandoned(layout, KEY)
    taken = try_take(layout, KEY)
    assert taken
    assert not is_abandoned(layout, KEY)
    age(taken.path)
    assert is_abandoned(layout, KEY)
    assert not is_abandoned(layout, "0" * 16)
    taken.withdraw()
    assert not is_abandoned(layout, KEY)


def test_waiting_ends_with_the_limit(layout: Layout) -> None:
    assert try_take(layout, KEY)
    told: list[str] = []
    with pytest.raises(DownloaderError) as failure:
        take_or_join(layout, KEY, 0, told.append)
    assert failure.value.code is ExitCode.DELETED_OR_LOCK_TIMEOUT
    assert os.uname().nodename in failure.value.cause


def test_whoever_waits_joins_the_entry_that_was_published(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = try_take(layout, KEY)
    assert taken

    def publish_meanwhile(_: float) -> None:
        build(layout)

    monkeypatch.setattr("llmkube_downloader.store.lease.sleep", publish_meanwhile)
    told: list[str] = []
    joined = take_or_join(layout, KEY, 60, told.append)
    assert not isinstance(joined, Beacon)
    assert joined.state is State.COMPLETE
    assert os.uname().nodename in told[0]


def test_whoever_gets_the_lease_of_a_published_entry_gives_it_back(layout: Layout) -> None:
    build(layout)
    assert not isinstance(take_or_join(layout, KEY, 60, print), Beacon)
    assert holder_of(layout, KEY) is None


def test_a_beat_that_fails_does_not_end_the_work(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmkube_downloader.store.beacon.HEARTBEAT_SECONDS", 0.001)
    taken = try_take(layout, KEY)
    assert taken
    beats: list[int] = []

    def no_space(*_: Any) -> int:
        beats.append(1)
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "pwrite", no_space)
    with held(taken, idle):
        while len(beats) < 2:
            pass


def test_a_lease_that_can_not_be_written_is_not_left_behind(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", failing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        try_take(layout, KEY)
    assert list(layout.leases(KEY).iterdir()) == []


def test_a_withdrawn_lease_is_never_written_again(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = try_take(layout, KEY)
    assert taken
    taken.withdraw()
    # Another file may have the number of the descriptor by now.
    monkeypatch.setattr(os, "ftruncate", failing(errno.EIO))
    taken.beat()


# The volume.


def test_a_volume_is_marked_with_its_format_once(layout: Layout) -> None:
    assert json.loads(layout.format.read_text()) == {"formatVersion": 1}
    inode = layout.format.stat().st_ino
    prepare(layout)
    assert layout.format.stat().st_ino == inode
    assert sorted(path.name for path in layout.state.iterdir()) == ["format.json", "staging", "trash"]
    assert [path.name for path in layout.root.iterdir()] == [".llmkube"]


def test_a_volume_of_a_newer_format_is_left_alone(run: Run, layout: Layout) -> None:
    build(layout)
    layout.format.write_text('{"formatVersion": 2}')
    for command in (["fetch", "file:///x"], ["list"], ["verify"], ["remove", KEY]):
        done = run(*command, "--root", layout.root)
        assert done.code == 10
        assert "format 2" in done.err
    assert look(layout, KEY).state is State.COMPLETE


def test_a_damaged_format_names_its_file(layout: Layout) -> None:
    layout.format.write_text("{")
    with pytest.raises(DownloaderError) as failure:
        prepare(layout)
    assert failure.value.code is ExitCode.VOLUME
    assert str(layout.format) in failure.value.cause


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, ExitCode.VOLUME),
        (errno.EPERM, ExitCode.VOLUME),
        (errno.EROFS, ExitCode.VOLUME),
        (errno.EIO, ExitCode.VOLUME),
        (errno.ENOSPC, ExitCode.NO_SPACE),
        (errno.EDQUOT, ExitCode.NO_SPACE),
        (errno.ENOSYS, ExitCode.FILE_SYSTEM),
    ],
)
def test_a_volume_that_can_not_be_written_is_found_out_before_the_network_is_used(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: ExitCode
) -> None:
    root.mkdir()
    monkeypatch.setattr(Path, "rename", failing(number))
    with pytest.raises(DownloaderError) as failure:
        prepare(Layout(root))
    assert failure.value.code is code
    assert list((root / ".llmkube" / "staging").iterdir()) == []


def test_a_volume_of_somebody_else_names_who_and_what_to_set(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir()
    root.chmod(0o2775)
    monkeypatch.setattr(os, "getgroups", lambda: [7, 8])
    monkeypatch.setattr(volume, "Beacon", failing(errno.EACCES))
    with pytest.raises(DownloaderError) as failure:
        prepare(Layout(root))
    status = root.stat()
    assert f"uid {os.geteuid()}, gid {os.getegid()}, groups 7,8" in failure.value.cause
    assert f"belongs to {status.st_uid}:{status.st_gid} with mode 2775" in failure.value.cause
    assert f"podSecurityContext.fsGroup: {status.st_gid or os.getegid()}." in failure.value.action


def test_what_can_not_fit_is_refused_with_both_numbers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume, "usage", lambda _: volume.Usage(total=10 * 1024**3, free=2 * 1024**3))
    check_space(root, 1024**3)
    with pytest.raises(DownloaderError) as failure:
        check_space(root, 4 * 1024**3)
    assert failure.value.code is ExitCode.NO_SPACE
    assert "2.0 GiB free of 10.0 GiB" in failure.value.cause
    assert "needed are 4.0 GiB" in failure.value.cause


def test_what_can_not_be_unlinked_now_is_unlinked_later(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    build(layout)
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", failing(errno.EBUSY))
        discard(layout, layout.entry(KEY))
    assert look(layout, KEY).state is State.ABSENT
    assert list(layout.trash.iterdir())
    empty_trash(layout)
    assert list(layout.trash.iterdir()) == []
