"""What the next attempt makes of the ones before it, where several of them differ in what is sure."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest
from attempts import BLOCK, BODY, ELSEWHERE, leave, promised, say
from building import KEY, age, content, failing, idle

from llmkube_downloader.store import life, staging
from llmkube_downloader.store.beacon import Heartbeat, me
from llmkube_downloader.store.journal import forget_unsynced, go_on_with_journal, read_journal
from llmkube_downloader.store.layout import OWNER
from llmkube_downloader.store.life import Life, life_of_attempt
from llmkube_downloader.store.staging import attempt

if TYPE_CHECKING:
    from llmkube_downloader.store.layout import Layout
    from llmkube_downloader.store.staging import Attempt


def blocks(*numbers: int) -> list[tuple[int, int]]:
    return [(number * BLOCK, (number + 1) * BLOCK) for number in numbers]


def survive(layout: Layout, path: str = "model.gguf") -> list[tuple[int, int]]:
    """Return the ranges of a file that the next attempt begins with."""
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        return promised(opened.journal(path))


def silent(old: Attempt) -> None:
    """Make an attempt one whose writer may wake up."""
    say(old, **{**ELSEWHERE, "bootId": me()["bootId"], "pidNamespace": "pid:[1]"})
    age(old.directory / OWNER)


@pytest.fixture(autouse=True)
def _remote(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the volume for one whose locks prove nothing."""
    monkeypatch.setattr(life, "file_system_type", lambda _: "nfs4")


def dead(layout: Layout, **left: Any) -> Attempt:
    """Leave an attempt of this boot whose process is gone."""
    return leave(layout, **left, started="0")


def test_what_a_dead_attempt_lacks_is_made(layout: Layout) -> None:
    old = dead(layout, synced=[0])
    inode = old.received.stat().st_ino
    for path in (*old.journals.iterdir(), old.journals):
        path.unlink() if path.is_file() else path.rmdir()
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        assert opened.received.stat().st_ino == inode
        assert opened.journals.is_dir()


def test_the_fullest_counts_what_was_written_in_this_boot(layout: Layout) -> None:
    fuller, other = dead(layout, written=[0, 2, 4]), dead(layout, synced=[6])
    inode = (fuller.files / "model.gguf").stat().st_ino
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        assert (opened.files / "model.gguf").stat().st_ino == inode
        assert promised(opened.journal("model.gguf")) == blocks(0, 2, 4)
    assert not other.directory.exists()


def test_what_a_silent_writer_of_this_boot_has_not_synced_is_copied(layout: Layout) -> None:
    silent(leave(layout, written=[2]))
    assert survive(layout) == blocks(2)


def test_a_silent_attempt_adds_nothing_to_a_file_that_is_here(layout: Layout) -> None:
    dead(layout, written=[0, 2, 4])
    silent(leave(layout, synced=[6]))
    assert survive(layout) == blocks(0, 2, 4)


def test_one_journal_that_says_nothing_hides_no_other(layout: Layout) -> None:
    old = leave(layout, synced=[0])
    (old.journals / "0").touch()
    empty = old.open(content("empty", BODY))
    empty.close()
    silent(old)
    assert survive(layout) == blocks(0)


def test_a_name_that_can_not_be_removed_is_in_nobodys_way(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    layout.staging(KEY).mkdir(parents=True)
    (layout.staging(KEY) / ".probe.0").touch()
    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.unlink", failing(errno.EBUSY))
        assert [old.directory.name for old in staging._others(layout, KEY, staging.Attempt(layout.root))] == []


def test_an_attempt_whose_owner_is_taken_away_meanwhile_is_as_alive_as_its_directory(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = leave(layout)
    monkeypatch.setattr(life, "life_of", failing(errno.ENOENT))
    monkeypatch.setattr(life, "is_stale", lambda directory, _now: directory == old.directory)
    assert life_of_attempt(old.directory) is Life.STALE
    monkeypatch.setattr(life, "is_stale", lambda _directory, _now: False)
    assert life_of_attempt(old.directory) is Life.LIVE


@pytest.mark.parametrize(
    ("path", "within"), [("a", True), ("a/b..c", True), ("/etc/passwd", False), ("../a", False), ("a/../../b", False)]
)
def test_only_what_lies_within_an_attempt_is_taken_from_it(path: str, within: bool) -> None:
    assert staging._is_within(path) is within


def test_a_directory_that_holds_something_wanted_stays(layout: Layout) -> None:
    dead(layout, synced=[0], identity=content("deep/er/new.bin", BODY))
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        (opened.files / "deep" / "empty").mkdir()
        assert opened.keep_only([content("deep/er/new.bin", BODY)]) == BLOCK
        assert [path.name for path in (opened.files / "deep").iterdir()] == ["er"]


def test_links_are_not_followed(layout: Layout) -> None:
    old = leave(layout, synced=[0])
    (journal,) = old.journals.iterdir()
    link = journal.with_name("link")
    link.symlink_to(journal)
    kept = read_journal(journal, same_boot=True)
    assert kept
    for call in (lambda: go_on_with_journal(link, kept), lambda: forget_unsynced(link)):
        with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
            call()
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        life._lock_is_free(link)
