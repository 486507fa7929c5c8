"""Blocks on their way from the connections to the hash and to disk: each in memory of its own, until it is used."""

from __future__ import annotations

import errno
import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
from attempts import promised, write
from building import content, failing
from weights import gguf

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sources.interface import RemoteFile
from llmkube_downloader.store.part import Part
from llmkube_downloader.transfer.feed import Feed, Incoming, Mode, Stretch
from llmkube_downloader.transfer.ring import Ring, StoppedError
from llmkube_downloader.transfer.sync import Syncer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BLOCK = 4096


@pytest.fixture
def ring() -> Ring:
    return Ring(BLOCK, 4)


def in_thread(action: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Run an action in a thread of its own; the list gets what it returns or raises."""
    came: list[Any] = []

    def run() -> None:
        try:
            came.append(action())
        except BaseException as error:
            came.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, came


def waits_for(condition: threading.Condition, came: list[Any]) -> bool:
    """Return whether a thread, started in between, has come to wait and not to an end."""
    while not (came or cast(Any, condition)._waiters):
        pass
    return not came


# The ring.


def test_blocks_are_taken_in_order_whenever_they_came(ring: Ring) -> None:
    for number in (2, 0, 1):
        ring.room(number)[:2] = bytes([number, number])
        ring.fill(number, 2)
    for number in range(3):
        taken = ring.take(number, 0)
        assert taken is not None
        assert bytes(taken) == bytes([number, number])
        ring.release(number)


def test_a_block_that_has_not_come_is_not_waited_for_too_long(ring: Ring) -> None:
    ring.fill(1, 2)
    assert ring.take(0, 0) is None


def test_a_block_of_the_next_file_is_not_taken_for_one_of_a_file_that_has_ended(ring: Ring) -> None:
    ring.fill(0, 2)
    assert ring.take(0, 600, lambda: True) is None
    assert ring.take(0, 600) is not None


def test_memory_is_used_again_only_after_its_block_was_hashed(ring: Ring) -> None:
    ring.room(0)[:5] = b"first"
    assert ring.admits(3)
    assert not ring.admits(4)
    thread, came = in_thread(lambda: ring.room(4))
    while not ring._turns:
        assert not came
    ring.release(0)
    thread.join()
    came[0][:5] = b"fifth"
    assert bytes(ring.room(4)[:5]) == b"fifth"


def test_whoever_waits_for_the_block_that_comes_is_woken_up(ring: Ring) -> None:
    thread, came = in_thread(lambda: ring.take(0, 600))
    assert waits_for(ring._arrival, came)
    ring.fill(1, 2)
    ring.fill(0, 2)
    thread.join()
    assert len(came[0]) == 2


def test_room_for_several_blocks_wakes_up_all_whose_blocks_they_are(ring: Ring) -> None:
    waiting = [in_thread(partial(ring.room, number)) for number in (4, 5, 7)]
    while len(ring._turns) < 3:
        pass
    ring.release(1)
    for thread, _ in waiting[:2]:
        thread.join()
    assert list(ring._turns) == [7]
    ring.release(3)
    waiting[2][0].join()


def test_a_failure_ends_whoever_waits(ring: Ring) -> None:
    waiting = [in_thread(lambda: ring.room(9)), in_thread(lambda: ring.rest(600))]
    taking = in_thread(lambda: ring.take(0, 600))
    failure = ValueError("the first")
    ring.fail(failure)
    ring.fail(ValueError("the second"))
    for thread, came in [*waiting, taking]:
        thread.join()
        assert len(came) == 1
    assert taking[1] == [failure]
    assert all(isinstance(came[0], StoppedError) for _, came in waiting)
    assert ring.failure is failure


def test_the_end_ends_whoever_waits_without_a_failure(ring: Ring) -> None:
    thread, came = in_thread(lambda: ring.room(9))
    ring.stop()
    thread.join()
    assert isinstance(came[0], StoppedError)
    assert ring.stopped
    assert ring.failure is None


# What is handed out.


@pytest.fixture
def incoming(tmp_path: Path) -> Iterator[Callable[..., Incoming]]:
    """Make a file of some blocks that is to be received, of which some are present."""
    made: list[Incoming] = []

    def make(count: int | None, present: tuple[int, ...] = (), **changes: Any) -> Incoming:
        name = f"file{len(made)}"
        body = gguf(count * BLOCK if count else 0)
        identity = content(name, body, **({"size": None} if count is None else {}))
        part = Part(tmp_path / name, tmp_path / f"{name}.journal", identity, same_boot=True)
        write(part, *present, body=body, block=BLOCK)
        part.close()

        def open_part(_: Any) -> Part:
            file.opened = True  # type: ignore[attr-defined]
            return Part(tmp_path / name, tmp_path / f"{name}.journal", identity, same_boot=True)

        remote = RemoteFile(name, identity.size, None, failing(errno.EIO), changes.get("validator"))
        file = Incoming(remote, changes.get("sha256", identity.sha256), identity, open_part)
        file.opened = False  # type: ignore[attr-defined]
        made.append(file)
        return file

    yield make
    for file in made:
        file.close()


def was_opened(file: Incoming) -> bool:
    return cast(Any, file).opened is True


def handed_out(stretch: Stretch | None) -> tuple[str, int, int | None]:
    assert stretch
    assert stretch.start == stretch.position
    return stretch.file.remote.path, stretch.start // BLOCK, stretch.end and stretch.end // BLOCK


def test_the_first_answer_of_a_file_decides_before_more_of_it_is_handed_out(
    ring: Ring, incoming: Callable[..., Incoming]
) -> None:
    feed = Feed([incoming(3), incoming(1)], ring, 4)
    first = feed.take()
    assert handed_out(first) == ("file0", 0, 1)
    assert handed_out(feed.take()) == ("file1", 0, 1)
    assert first
    thread, came = in_thread(feed.take)
    assert waits_for(ring.space, came)
    feed.decide(first, whole=False)
    thread.join()
    assert handed_out(came[0]) == ("file0", 1, 2)
    assert handed_out(feed.take()) == ("file0", 2, 3)
    assert feed.take() is None


def test_a_file_that_is_sent_whole_is_handed_out_once(ring: Ring, incoming: Callable[..., Incoming]) -> None:
    feed = Feed([incoming(3)], ring, 4)
    stretch = feed.take()
    assert stretch
    feed.decide(stretch, whole=True)
    assert stretch.end == 3 * BLOCK
    assert feed.take() is None


@pytest.mark.parametrize("changes", [{"sha256": None}, {"sha256": None, "validator": None}])
def test_what_could_be_of_two_contents_is_asked_for_whole(
    ring: Ring, incoming: Callable[..., Incoming], changes: dict[str, Any]
) -> None:
    file = incoming(3, **changes)
    assert handed_out(Feed([file], ring, 4).take()) == ("file0", 0, 3)
    assert file.mode is Mode.STREAM


def test_nothing_is_handed_out_that_there_is_no_memory_for(ring: Ring, incoming: Callable[..., Incoming]) -> None:
    file = incoming(6, validator='"1"')
    file.mode = Mode.STRETCHES
    feed = Feed([file], ring, 4)
    assert [handed_out(feed.take())[1] for _ in range(4)] == [0, 1, 2, 3]
    thread, came = in_thread(feed.take)
    assert waits_for(ring.space, came)
    ring.release(0)
    thread.join()
    assert handed_out(came[0]) == ("file0", 4, 5)


def test_whoever_finds_something_to_receive_lets_the_next_one_look(
    ring: Ring, incoming: Callable[..., Incoming]
) -> None:
    file = incoming(8, validator='"1"')
    file.mode = Mode.STRETCHES
    feed = Feed([file], ring, 4)
    for _ in range(4):
        feed.take()
    waiting = [in_thread(feed.take) for _ in range(3)]
    while len(cast(Any, ring.space)._waiters) < 3:
        pass
    ring.release(2)
    for thread, _ in waiting:
        thread.join()
    assert sorted(handed_out(came[0])[1] for _, came in waiting) == [4, 5, 6]


def test_stretches_are_as_long_as_the_memory_allows_for_all_connections(incoming: Callable[..., Incoming]) -> None:
    file = incoming(20, present=(10,))
    file.mode = Mode.STRETCHES
    feed = Feed([file], Ring(BLOCK, 32), 32)
    feed.suit(4)
    assert [handed_out(feed.take())[1:] for _ in range(4)] == [(0, 4), (4, 8), (8, 10), (11, 15)]


def test_what_is_present_is_passed_over(ring: Ring, incoming: Callable[..., Incoming]) -> None:
    files = [incoming(3, present=(0, 2)), incoming(2, present=(0, 1)), incoming(0), incoming(1)]
    feed = Feed(files, ring, 4)
    first = feed.take()
    assert handed_out(first) == ("file0", 1, 2)
    assert first
    feed.decide(first, whole=False)
    ring.release(1)
    assert handed_out(feed.take()) == ("file3", 0, 1)
    assert feed.take() is None


def test_a_file_is_opened_when_its_turn_comes(ring: Ring, incoming: Callable[..., Incoming]) -> None:
    files = [incoming(1, present=(0,)) for _ in range(8)]
    feed = Feed(files, ring, 4)
    thread, came = in_thread(feed.take)
    for number in range(8):
        while not was_opened(files[min(number + 3, 7)]):
            pass
        assert not any(was_opened(file) for file in files[number + 4 :])
        ring.release(number)
    thread.join()
    assert came == [None]


def test_what_follows_a_file_of_unknown_size_waits_for_its_end(ring: Ring, incoming: Callable[..., Incoming]) -> None:
    files = [incoming(None), incoming(1)]
    feed = Feed(files, ring, 4)
    assert handed_out(feed.take()) == ("file0", 0, None)
    thread, came = in_thread(feed.take)
    assert waits_for(ring.space, came)
    feed.ended(files[0], BLOCK + 1)
    thread.join()
    assert handed_out(came[0]) == ("file1", 0, 1)
    assert files[1].first == 2


def test_nothing_is_handed_out_after_the_end(ring: Ring, incoming: Callable[..., Incoming]) -> None:
    ring.stop()
    with pytest.raises(StoppedError):
        Feed([incoming(3)], ring, 4).take()


# What is made durable meanwhile.


@pytest.fixture
def part(tmp_path: Path) -> Iterator[Part]:
    opened = Part(tmp_path / "file", tmp_path / "journal", content("file", gguf(8 * BLOCK)), same_boot=True)
    yield opened
    opened.close()


@pytest.fixture
def syncer(ring: Ring) -> Iterator[Syncer]:
    """One that syncs every two blocks."""
    syncer = Syncer(2 * BLOCK, ring)
    syncer.start()
    yield syncer
    syncer.end(60)


def note(syncer: Syncer, part: Part, *blocks: int) -> None:
    for block in blocks:
        write(part, block, body=gguf(8 * BLOCK), block=BLOCK)
        syncer.wrote(part, BLOCK)


def test_every_so_many_bytes_are_synced_while_more_arrive(syncer: Syncer, part: Part, tmp_path: Path) -> None:
    note(syncer, part, 0, 1)
    while not promised(tmp_path / "journal", same_boot=False):
        pass
    syncer.forget(part)
    assert promised(tmp_path / "journal", same_boot=False) == [(0, 2 * BLOCK)]


def test_connections_wait_for_a_disk_that_can_not_follow(
    syncer: Syncer, part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on, sync = threading.Event(), threading.Event(), os.fdatasync

    def slowly(descriptor: int) -> None:
        began.set()
        go_on.wait()
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", slowly)
    note(syncer, part, 0, 1)
    began.wait()
    note(syncer, part, 2, 3, 4)
    thread, came = in_thread(lambda: note(syncer, part, 5))
    waited = waits_for(syncer._condition, came)
    go_on.set()
    thread.join()
    assert waited
    assert came == [None]


def test_a_disk_that_fails_ends_the_transfer(
    syncer: Syncer, part: Part, ring: Ring, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "fdatasync", failing(errno.EIO))
    note(syncer, part, 0, 1)
    with pytest.raises(DownloaderError) as failure:
        ring.take(0, 60)
    assert failure.value.code is ExitCode.VOLUME
    assert "syncing file" in failure.value.cause
    assert promised(tmp_path / "journal") == []


def test_whoever_waits_for_the_disk_is_let_go_at_the_end(syncer: Syncer, part: Part, ring: Ring) -> None:
    with syncer._busy:
        write(part, 0, body=gguf(8 * BLOCK), block=BLOCK)
        thread, came = in_thread(lambda: syncer.wrote(part, 100 * BLOCK))
        assert waits_for(syncer._condition, came)
        ring.stop()
        syncer.let_go()
        thread.join()
    assert came == [None]


def test_a_last_sync_is_for_whoever_goes_on_on_another_machine(syncer: Syncer, part: Part, tmp_path: Path) -> None:
    note(syncer, part, 0)
    assert promised(tmp_path / "journal", same_boot=False) == []
    syncer.end(60)
    assert promised(tmp_path / "journal", same_boot=False) == [(0, BLOCK)]
