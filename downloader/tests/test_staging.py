"""Attempts: what a dead one received is gone on with, what a silent one received is copied, and nothing is believed."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from attempts import BLOCK, BODY, ELSEWHERE, die_at, leave, promised, say, write
from building import KEY, age, content, idle

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store import life, staging
from llmkube_downloader.store.beacon import Beacon, Heartbeat, read_record
from llmkube_downloader.store.journal import begin_journal
from llmkube_downloader.store.layout import OWNER, Layout
from llmkube_downloader.store.life import Life, life_of_attempt
from llmkube_downloader.store.staging import Attempt, attempt

WANTED = content("model.gguf", BODY)
OTHER_BOOT: dict[str, Any] = {"bootId": "another"}


class EndedError(Exception):
    """What ends an attempt in these tests."""


@pytest.fixture
def _remote(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the volume for one whose locks prove nothing."""
    monkeypatch.setattr(life, "file_system_type", lambda _: "nfs4")


def blocks(*numbers: int) -> list[tuple[int, int]]:
    """The ranges of blocks that do not touch each other."""
    return [(number * BLOCK, (number + 1) * BLOCK) for number in numbers]


def survive(layout: Layout) -> list[tuple[int, int]]:
    """Begin an attempt and return what it can go on with, having read it and looked at what else is there."""
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        reused = opened.keep_only([WANTED])
        part = opened.open(WANTED)
        for start, end in part.kept.ranges:
            data = memoryview(bytearray(end - start))
            part.read(start, data)
            assert data == BODY[start:end]
        assert reused == part.kept.ranges.size
        assert list(layout.staging(KEY).iterdir()) == [opened.directory]
        part.close()
        return list(part.kept.ranges)


# Going on.


def test_what_a_dead_attempt_received_is_gone_on_with_in_place(layout: Layout) -> None:
    old = leave(layout, synced=[0, 4], written=[2])
    inode = (old.files / "model.gguf").stat().st_ino
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        assert (opened.files / "model.gguf").stat().st_ino == inode
        assert promised(opened.journal("model.gguf")) == blocks(0, 2, 4)
        assert list(layout.staging(KEY).iterdir()) == [opened.directory]


def test_after_a_power_cut_only_what_was_synced_counts(layout: Layout) -> None:
    leave(layout, synced=[0, 4], written=[2], **OTHER_BOOT)
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        journal = opened.journal("model.gguf")
        assert promised(journal) == promised(journal, same_boot=False) == blocks(0, 4)


@pytest.mark.usefixtures("_remote")
@pytest.mark.parametrize(("owner", "kept"), [({}, blocks(0, 2, 4)), (ELSEWHERE, blocks(0, 4))])
def test_what_a_silent_attempt_received_is_copied(
    layout: Layout, owner: dict[str, Any], kept: list[tuple[int, int]]
) -> None:
    old = leave(layout, synced=[0, 4], written=[2], **owner)
    age(old.directory / OWNER)
    frozen = os.open(old.files / "model.gguf", os.O_RDWR)
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        # The writer thaws: it reaches its own file, not ours.
        os.pwrite(frozen, b"late", 0)
        os.close(frozen)
        journal = opened.journal("model.gguf")
        assert promised(journal) == promised(journal, same_boot=False) == kept
        assert (opened.files / "model.gguf").read_bytes()[:BLOCK] == BODY[:BLOCK]
        assert not old.directory.exists()


@pytest.mark.usefixtures("_remote")
def test_states_are_copied_with_the_ranges_that_lead_to_them(layout: Layout) -> None:
    old = leave(layout, synced=[0, 1], **ELSEWHERE)
    part = old.open(WANTED)
    part.reached(2 * BLOCK, bytes(32))
    part.sync()
    part.close()
    age(old.directory / OWNER)
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        part = opened.open(WANTED)
        assert part.kept.states == {2 * BLOCK: bytes(32)}
        part.close()


def test_a_live_attempt_is_left_alone(layout: Layout) -> None:
    old = leave(layout, synced=[0])
    with (old.directory / OWNER).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with attempt(layout, KEY, Heartbeat(idle)) as opened:
            assert old.files.exists()
            assert promised(opened.journal("model.gguf")) == []


def test_of_several_dead_attempts_nothing_is_lost(layout: Layout) -> None:
    leave(layout, synced=[0], identity=content("config.json", BODY))
    leave(layout, synced=[0, 1, 2])
    leave(layout, synced=[3], identity=content("deep/er.json", BODY))
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        assert promised(opened.journal("model.gguf")) == [(0, 3 * BLOCK)]
        assert promised(opened.journal("config.json")) == blocks(0)
        assert promised(opened.journal("deep/er.json")) == blocks(3)
        assert (opened.files / "deep/er.json").read_bytes()[3 * BLOCK :] == BODY[3 * BLOCK : 4 * BLOCK]


def test_what_was_only_begun_here_is_copied_from_whoever_has_it(layout: Layout) -> None:
    fuller = leave(layout, synced=[0, 1, 2], identity=content("config.json", BODY))
    fuller.open(WANTED).close()
    leave(layout, synced=[0])
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        assert promised(opened.journal("config.json")) == [(0, 3 * BLOCK)]
        assert promised(opened.journal("model.gguf")) == blocks(0)


def test_an_attempt_is_taken_over_once(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    old, rename = leave(layout, synced=[0]), Path.rename
    stolen = old.directory.with_name("faster")

    def rename_second(self: Path, target: Path) -> Path:
        if self == old.received:
            os.rename(old.received, stolen)  # noqa: PTH104 - the method is the one that is replaced
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_second)
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        assert promised(opened.journal("model.gguf")) == []
        opened.open(WANTED).close()


def test_an_attempt_taken_for_a_leftover_before_its_first_word_is_begun_again(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_a_word(path: Path) -> Beacon:
        born = Beacon(path)
        path.write_bytes(b"")
        monkeypatch.setattr(staging, "Beacon", Beacon)
        survive(layout)  # another process that believes in holding the lease
        return born

    monkeypatch.setattr(staging, "Beacon", without_a_word)
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        assert opened.files.is_dir()
        assert list(layout.staging(KEY).iterdir()) == [opened.directory]


def test_a_journal_that_leads_out_of_its_attempt_is_not_followed(layout: Layout, tmp_path: Path) -> None:
    old = leave(layout)
    say(old, released=True)
    leave(layout, synced=[0])  # is fuller, so the first one would be copied
    for path in ("../secret", f"{tmp_path}/secret"):
        (old.files / path).write_bytes(BODY)
        journal = begin_journal(old.journal(path), content(path, BODY))
        journal.wrote(0, 10)
        journal.close()
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        assert not (opened.files / "../secret").exists()


def test_while_much_is_copied_the_owner_stays_alive(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(layout, synced=[0, 1])
    leave(layout, synced=[0], identity=content("config.json", BODY))
    heartbeat, kept, copy = Heartbeat(idle), list[Path](), staging.copy_range

    def note(*arguments: int) -> None:
        kept.extend(beacon.path for beacon in heartbeat._beacons)
        copy(*arguments)

    monkeypatch.setattr(staging, "copy_range", note)
    with attempt(layout, KEY, heartbeat) as opened:
        assert kept == [opened.directory / OWNER]
    assert heartbeat._beacons == []


@pytest.mark.parametrize("missing", [AttributeError("copy_file_range"), OSError(errno.EXDEV, "other file system")])
def test_where_the_file_server_can_not_copy_bytes_are_read_and_written(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, missing: Exception
) -> None:
    def can_not(*_: Any) -> int:
        raise missing

    monkeypatch.setattr(os, "copy_file_range", can_not)
    leave(layout, synced=[0, 1], identity=content("config.json", BODY))
    leave(layout, synced=[0, 1, 2], written=[7])
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        assert (opened.files / "config.json").read_bytes() == BODY[: 2 * BLOCK]


# The end of an attempt.


@pytest.mark.parametrize(
    ("code", "left"), [(ExitCode.ORIGIN_UNAVAILABLE, True), (ExitCode.NO_SPACE, True), (ExitCode.VOLUME, False)]
)
def test_what_a_failed_attempt_received_is_kept_unless_the_volume_failed(
    layout: Layout, code: ExitCode, left: bool
) -> None:
    with suppress(DownloaderError), attempt(layout, KEY, Heartbeat(idle)) as opened:
        part = opened.open(WANTED)
        write(part, 0)
        part.close()
        raise DownloaderError(code, "cause", "action")
    assert opened.directory.exists() is left
    assert not left or read_record(opened.directory / OWNER)["released"] is True
    assert survive(layout) == (blocks(0) if left else [])


@pytest.mark.parametrize("identity", [content("model.gguf", BODY, sha256=None), content("model.gguf", BODY, size=None)])
def test_what_no_later_attempt_could_use_is_not_kept(layout: Layout, identity: Any) -> None:
    with suppress(EndedError), attempt(layout, KEY, Heartbeat(idle)) as opened:
        part = opened.open(identity)
        write(part, 0)
        part.close()
        raise EndedError
    assert list(layout.staging(KEY).iterdir()) == []


def test_an_attempt_is_not_given_up_while_a_thread_hangs_in_a_write(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners: list[Beacon] = []
    began, go_on, pwrite = threading.Event(), threading.Event(), os.pwrite

    def owner_of(path: Path) -> Beacon:
        owners.append(Beacon(path))
        return owners[-1]

    def hang(*arguments: Any) -> int:
        if threading.current_thread().name == "writer":
            began.set()
            go_on.wait()
        return pwrite(*arguments)

    monkeypatch.setattr(staging, "Beacon", owner_of)
    with suppress(EndedError), attempt(layout, KEY, Heartbeat(idle)) as opened:
        part = opened.open(WANTED)
        write(part, 0)
        monkeypatch.setattr(os, "pwrite", hang)
        writer = threading.Thread(target=write, args=(part, 1), name="writer", daemon=True)
        writer.start()
        began.wait()
        part.close()
        raise EndedError
    monkeypatch.setattr(os, "pwrite", pwrite)
    assert life_of_attempt(opened.directory) is Life.LIVE
    assert survive_beside(layout, opened) == []
    go_on.set()
    writer.join()
    owners[0]._let_go()  # as the end of the process does
    assert survive(layout) == [(0, 2 * BLOCK)]


def survive_beside(layout: Layout, living: Attempt) -> list[tuple[int, int]]:
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        assert living.directory.exists()
        return promised(opened.journal("model.gguf"))


# What is kept of an attempt.


def test_what_is_not_wanted_any_more_is_removed(layout: Layout) -> None:
    leave(layout, synced=[0], identity=content("deep/er/old.bin", BODY))
    leave(layout, synced=[0, 1])
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        assert opened.keep_only([WANTED]) == 2 * BLOCK
        assert [path.name for path in opened.files.iterdir()] == ["model.gguf"]
        assert opened.keep_only([content("model.gguf", BODY, sha256="0" * 64)]) == 0
        assert list(opened.files.iterdir()) == list(opened.journals.iterdir()) == []


def test_a_file_that_a_power_cut_took_is_not_counted(layout: Layout) -> None:
    old = leave(layout, synced=[0])
    (old.files / "model.gguf").unlink()
    assert survive(layout) == []


def test_a_file_whose_journal_was_not_begun_is_begun_again(layout: Layout) -> None:
    old = leave(layout, synced=[0])
    old.journal("model.gguf").unlink()
    assert survive(layout) == []


def test_what_the_volume_gave_to_a_file_is_not_needed_again(layout: Layout) -> None:
    old = leave(layout, synced=[0])
    with (old.files / "model.gguf").open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, len(BODY))
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        assert opened.keep_only([WANTED]) == BLOCK
        assert opened.allocated() >= len(BODY)


def test_a_probe_whose_maker_died_is_in_nobodys_way(layout: Layout) -> None:
    layout.staging(KEY).mkdir(parents=True)
    probe = layout.staging(KEY) / ".probe.0123"
    probe.touch()
    assert survive(layout) == []
    assert not probe.exists()


# Dying at every step.


def fetch_a_part(layout: Layout) -> None:
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        opened.keep_only([WANTED])
        part = opened.open(WANTED)
        write(part, 0, 2)
        part.sync()
        write(part, 4)
        part.close()
        raise EndedError


def go_on(layout: Layout) -> None:
    with suppress(EndedError):
        fetch_a_part(layout)


@pytest.mark.parametrize(
    ("owner", "remote", "kept"),
    [
        ({}, False, blocks(6, 8)),
        ({"released": True}, True, blocks(6, 8)),
        (OTHER_BOOT, False, blocks(6)),
        ({**ELSEWHERE, "released": True}, True, blocks(6)),
        ({}, True, blocks(6, 8)),
        (ELSEWHERE, True, blocks(6)),
    ],
    ids=["dead", "released", "power cut", "released elsewhere", "silent", "silent elsewhere"],
)
def test_wherever_the_next_attempt_dies_nothing_is_lost_and_nothing_is_left(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, owner: dict[str, Any], remote: bool, kept: list[tuple[int, int]]
) -> None:
    if remote:
        monkeypatch.setattr(life, "file_system_type", lambda _: "nfs4")
    for name in ("fsync", "fdatasync"):
        # For what is left of a process that dies it does not matter what is on disk.
        monkeypatch.setattr(os, name, lambda _: None)
    step, died = 0, True
    while died:
        old = leave(layout, synced=[6], written=[8], **owner)
        age(old.directory / OWNER)
        died = die_at(step, lambda: go_on(layout))
        step += 1
        survived = survive(layout)
        assert set(kept) <= set(survived) <= {*kept, *blocks(0, 2, 4)}, step
        assert list(layout.staging(KEY).iterdir()) == []
    assert survived == sorted({*kept, *blocks(0, 2, 4)})
    assert step > 20
