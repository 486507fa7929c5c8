"""Use leases: a pod says that it uses an entry, and waits for who is about to remove it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from building import KEY, age, build, failing
from using import DAY, NONCE, OTHER_POD, POD, lease, left_in

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.key import parse_source
from llmkube_downloader.store import use, user, users
from llmkube_downloader.store.beacon import Beacon
from llmkube_downloader.store.condemned import condemn
from llmkube_downloader.store.entry import State, look
from llmkube_downloader.store.layout import Layout
from llmkube_downloader.store.use import announce, renew_use, write_use
from llmkube_downloader.store.users import sweep, uses, who_uses

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from command_line import Run


@pytest.fixture
def _pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKUBE_POD_UID", POD)


def unexpected(message: str) -> None:
    raise AssertionError(message)


def noted(call: Callable[..., Any], seen: list[str]) -> Callable[..., Any]:
    """Return a function that does the same and is seen when it does."""

    def also(*arguments: Any) -> Any:
        seen.append(call.__name__)
        return call(*arguments)

    return also


def intend(layout: Layout, seconds: float = 0) -> Path:
    """Write an intent to remove the key as if its writer had last been heard of then."""
    layout.leases(KEY).mkdir(parents=True, exist_ok=True)
    intent = layout.leases(KEY) / f"intent.{NONCE}"
    intent.touch()
    age(intent, seconds)
    return intent


# Writing.


@pytest.mark.usefixtures("_pod")
def test_a_fetch_leaves_the_lease_of_its_pod(run: Run, root: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF\3\0\0\0" + bytes(16))
    for expected in ("fetched", "hit"):
        report = run("fetch", f"file://{tmp_path}/tiny.gguf", "--root", root, "-o", "json").json
        assert report["result"] == expected
    (found,) = uses(Layout(root), report["key"])
    assert (found.pod, found.host) == (POD, os.uname().nodename)


def test_without_a_pod_no_lease_is_written(layout: Layout) -> None:
    announce(layout, KEY, print)
    assert left_in(layout.leases(KEY)) == []


@pytest.mark.usefixtures("_pod")
def test_a_start_renews_the_lease_and_keeps_when_it_began(layout: Layout) -> None:
    path = lease(layout, days=6)
    before, written = path.stat().st_mtime, path.read_bytes()
    announce(layout, KEY, print)
    assert path.stat().st_mtime > before
    assert path.read_bytes() == written


@pytest.mark.usefixtures("_pod")
def test_a_start_that_failed_leaves_a_lease_that_stands_for_all(run: Run, root: Path, tmp_path: Path) -> None:
    source = f"file://{tmp_path}/tiny.gguf"
    assert run("fetch", source, "--root", root).code == 12
    key = parse_source(source).key
    (found,) = uses(Layout(root), key)
    assert found.entries is None
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF\3\0\0\0" + bytes(16))
    assert run("fetch", source, "--root", root).code == 0
    (found,) = uses(Layout(root), key)
    assert found.entries == frozenset({key})


def test_a_lease_that_was_never_filled_counts_and_may_be_of_any_age(layout: Layout) -> None:
    path = layout.leases(KEY) / f"use.{POD}"
    path.parent.mkdir(parents=True)
    path.touch()
    assert who_uses(layout, KEY)
    write_use(layout, KEY, POD)
    (found,) = uses(layout, KEY)
    assert found.since == 0
    assert found.host == os.uname().nodename


def test_a_lease_says_since_when_by_the_clock_of_the_file_server(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = os.stat_result((0, 0, 0, 0, 0, 0, 0, 0, 12345, 0))
    monkeypatch.setattr(user, "fstat", lambda _: created)
    lease(layout)
    (found,) = uses(layout, KEY)
    assert found.since == 12345


@pytest.mark.usefixtures("_pod")
@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_volume_that_can_not_be_written_is_started_from_without_a_lease(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(user, "open_file", failing(number))
    announce(layout, KEY, print)
    assert left_in(layout.leases(KEY)) == []


@pytest.mark.usefixtures("_pod")
def test_on_a_full_volume_the_lease_is_an_empty_file_and_intents_are_seen(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    intend(layout)
    monkeypatch.setattr(os, "write", failing(errno.ENOSPC))
    monkeypatch.setattr(user, "pwrite", failing(errno.ENOSPC))
    monkeypatch.setattr(use, "sleep", lambda _: intend(layout, 61))
    told: list[str] = []
    announce(layout, KEY, told.append)
    assert told
    assert (layout.leases(KEY) / f"use.{POD}").read_bytes() == b""


@pytest.mark.parametrize("pod", ["../x", "a/b", ".hidden", "a" * 129, "a b"])
def test_what_is_no_uid_becomes_no_name(layout: Layout, monkeypatch: pytest.MonkeyPatch, pod: str) -> None:
    monkeypatch.setenv("LLMKUBE_POD_UID", pod)
    with pytest.raises(DownloaderError) as refused:
        announce(layout, KEY, print)
    assert refused.value.code is ExitCode.USAGE
    assert left_in(layout.leases(KEY)) == []


@pytest.mark.usefixtures("_pod")
def test_a_volume_of_a_newer_format_is_not_written(layout: Layout) -> None:
    layout.format.write_text('{"formatVersion": 2}')
    announce(layout, KEY, print)
    assert left_in(layout.leases(KEY)) == []


def test_a_lease_that_another_container_of_the_pod_creates_meanwhile_is_renewed(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lease(layout, days=6)
    before = path.stat().st_mtime
    missing = [FileNotFoundError()]

    def open_file(name: str, *rest: int) -> int:
        if missing:
            raise missing.pop()
        return os.open(name, *rest)

    monkeypatch.setattr(user, "open_file", open_file)
    write_use(layout, KEY, POD)
    assert path.stat().st_mtime > before


# Counting.


def test_a_lease_counts_for_seven_days(layout: Layout) -> None:
    lease(layout, days=6.9)
    assert [word for word in who_uses(layout, KEY) if POD in word and "165h" in word]
    lease(layout, days=7.1)
    assert who_uses(layout, KEY) == []


def test_the_age_of_a_lease_is_asked_for_anew(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    # An NFS client asks the server for the time of a file when it is opened, and else believes what it remembers.
    path = lease(layout, days=8)
    remembered = path.stat()
    lease(layout)
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda name, **named: remembered if name == path else stat(name, **named))
    assert who_uses(layout, KEY)


def test_what_is_no_record_is_the_lease_of_an_unknown_pod(layout: Layout) -> None:
    path = lease(layout)
    whole = {"host": "web-0", "podUID": POD, "since": 5, "opening": False, "entries": [KEY]}
    broken: list[dict[str, Any]] = [{"since": "5"}, {"opening": 0}, {"entries": KEY}, {"entries": [1]}]
    for data in (b"", b"{", b"[]", b"\xff", *(json.dumps({**whole, **each}).encode() for each in broken)):
        path.write_bytes(data)
        (found,) = uses(layout, KEY)
        assert (found.pod, found.since, found.entries) == (POD, 0, None)
        # Nobody knows what the pod had opened, so it does not help to know what it opens now.
        lease(layout, opened=layout.entry(KEY))
        (found,) = uses(layout, KEY)
        assert found.entries is None


def test_a_lease_names_every_entry_that_its_pod_opened_until_there_are_too_many(layout: Layout) -> None:
    names = [f"{KEY}-{number:08}" for number in range(17)]
    for name in names[:16]:
        lease(layout, opened=layout.root / name)
    (found,) = uses(layout, KEY)
    assert found.entries == frozenset(names[:16])
    assert not found.may_have(names[16])
    path = lease(layout, opened=layout.root / names[16])
    (found,) = uses(layout, KEY)
    assert found.entries is None
    assert path.stat().st_size == 1024


def test_a_lease_that_is_renewed_for_a_pod_says_what_it_said_before(layout: Layout) -> None:
    path = lease(layout, days=6, opened=layout.entry(KEY))
    before, said = path.stat().st_mtime, path.read_bytes()
    renew_use(layout, KEY, POD)
    assert path.read_bytes() == said
    assert path.stat().st_mtime > before
    path.write_bytes(b"")
    renew_use(layout, KEY, POD)
    (found,) = uses(layout, KEY)
    assert found.entries is None
    assert found.host


def test_sweeping_leaves_what_counted_a_month_ago_and_the_youngest_lease(layout: Layout) -> None:
    lease(layout, "long-gone", days=31)
    recent = lease(layout, "recent", days=29)
    (layout.leases(KEY) / "build").write_text("{}")
    age(layout.leases(KEY) / "build")
    for left in (".probe.0", "build.stale.0"):
        (layout.leases(KEY) / left).touch()
        age(layout.leases(KEY) / left)
    intend(layout, 61)
    fresh = layout.leases(KEY) / "intent.1"
    fresh.touch()
    sweep(layout, KEY)
    assert left_in(layout.leases(KEY)) == ["build", fresh.name, recent.name]
    age(recent, 30 * DAY)
    sweep(layout, KEY)
    assert recent.exists()


@pytest.mark.parametrize("begins_anew", [False, True], ids=["renews it", "writes another"])
def test_a_lease_that_is_renewed_while_it_is_swept_is_not_lost(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, *, begins_anew: bool
) -> None:
    lease(layout, "youngest")
    lease(layout, days=31)
    rename = Path.rename

    def meanwhile(path: Path, target: Path) -> Path:
        if path.name != f"use.{POD}":
            return rename(path, target)
        if not begins_anew:
            write_use(layout, KEY, POD)
        moved = rename(path, target)
        if begins_anew:
            write_use(layout, KEY, POD)
        return moved

    monkeypatch.setattr(Path, "rename", meanwhile)
    sweep(layout, KEY)
    assert left_in(layout.leases(KEY)) == [f"use.{POD}", "use.youngest"]
    assert [word for word in who_uses(layout, KEY) if POD in word]


def test_a_lease_whose_sweeper_died_is_looked_at_by_the_next_one(layout: Layout) -> None:
    lease(layout, "youngest")
    lease(layout, days=8).rename(layout.leases(KEY) / f".swept.{NONCE}.{POD}")
    lease(layout, OTHER_POD, days=31).rename(layout.leases(KEY) / f".swept.{NONCE}.{OTHER_POD}")
    sweep(layout, KEY)
    assert left_in(layout.leases(KEY)) == [f"use.{POD}", "use.youngest"]
    lease(layout, days=8).rename(layout.leases(KEY) / f".swept.{NONCE}.{POD}")
    lease(layout)
    sweep(layout, KEY)
    assert [word for word in who_uses(layout, KEY) if POD in word]


# Waiting.


@pytest.mark.usefixtures("_pod")
def test_a_start_waits_for_the_removal_that_is_under_way(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    build(layout)
    intent = intend(layout)
    seen: list[str] = []

    def removed_meanwhile(_: float) -> None:
        seen.append("waited")
        assert (layout.leases(KEY) / f"use.{POD}").exists()
        intent.unlink()

    monkeypatch.setattr(use, "sleep", removed_meanwhile)
    announce(layout, KEY, seen.append)
    assert seen == [f"{KEY} is being removed; waiting for the end of that", "waited"]


@pytest.mark.parametrize(
    ("module", "change", "look"),
    [
        (use, "file_server_now", lambda layout: use.live_intents(layout, KEY)),
        (users, "file_server_now", lambda layout: users.who_uses(layout, KEY)),
        (user, "_refresh", lambda layout: user.is_used(str(layout.root), KEY, POD)),
    ],
    ids=["starter", "remover", "warm start"],
)
def test_the_directory_of_leases_is_changed_before_it_is_read(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, module: ModuleType, change: str, look: Callable[[Layout], object]
) -> None:
    # An NFS client may go on with what it remembers of a directory, but not when it has changed it.
    lease(layout)
    seen: list[str] = []
    for name in (change, "listdir" if module is user else "names_in"):
        monkeypatch.setattr(module, name, noted(getattr(module, name), seen))
    look(layout)
    assert seen[0] == change
    assert len(seen) > 1


@pytest.mark.usefixtures("_pod")
def test_a_lease_that_was_lost_is_written_again(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def lost_once(layout: Layout, key: str, pod: str) -> None:
        written.append(pod)
        write_use(layout, key, pod)
        if len(written) == 1:
            (layout.leases(KEY) / f"use.{POD}").unlink()

    monkeypatch.setattr(use, "write_use", lost_once)
    announce(layout, KEY, print)
    assert written == [POD, POD]


@pytest.mark.usefixtures("_pod")
def test_the_intent_of_a_dead_remover_is_waited_for_by_nobody(layout: Layout) -> None:
    intend(layout, 61)
    announce(layout, KEY, unexpected)


@pytest.mark.usefixtures("_pod")
def test_a_remover_that_is_proven_dead_is_waited_for_by_nobody(layout: Layout) -> None:
    layout.leases(KEY).mkdir(parents=True)
    child = os.fork()
    if child == 0:
        try:
            Beacon(layout.leases(KEY) / f"intent.{NONCE}")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert left_in(layout.leases(KEY)) == [f"intent.{NONCE}"]
    announce(layout, KEY, unexpected)


@pytest.mark.usefixtures("_pod")
def test_a_remover_that_never_ends_is_not_waited_for_forever(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    intend(layout)
    now = iter(range(0, 1000, 20))
    monkeypatch.setattr(use, "monotonic", lambda: float(next(now)))
    waited: list[float] = []
    monkeypatch.setattr(use, "sleep", waited.append)
    announce(layout, KEY, print)
    assert len(waited) == 2


@pytest.mark.usefixtures("_pod")
def test_whoever_starts_gets_back_what_a_dead_remover_moved_away(layout: Layout) -> None:
    build(layout)
    condemn(layout, KEY, NONCE, KEY)
    assert look(layout, KEY).state is State.ABSENT
    announce(layout, KEY, print)
    assert look(layout, KEY).state is State.COMPLETE
