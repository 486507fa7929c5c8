"""Who counts as a user, how long, and in which words; and how a starter waits for a removal."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from building import KEY, failing

from llmkube_downloader.store import use as use_module
from llmkube_downloader.store import users
from llmkube_downloader.store.beacon import Beacon
from llmkube_downloader.store.pins import set_pin
from llmkube_downloader.store.use import await_removal, is_live, live_intents, renew_use, write_use
from llmkube_downloader.store.users import Use, last_used, sweep, who_uses

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmkube_downloader.store.layout import Layout

DAY = 86400.0
POD = "11111111-2222-3333-4444-555555555555"


def a_use(path: Path, **changes: Any) -> Use:
    fields: dict[str, Any] = {"pod": POD, "host": "web-0", "since": 1.0, "entries": None, "renewed": 1000.0}
    return Use(path, **{**fields, **changes})


def test_a_lease_counts_for_seven_days_to_the_second(tmp_path: Path) -> None:
    assert a_use(tmp_path).is_live(1000 + 7 * DAY)
    assert not a_use(tmp_path).is_live(1000.5 + 7 * DAY)


def test_a_pod_may_have_open_what_it_names_or_anything(tmp_path: Path) -> None:
    assert a_use(tmp_path).may_have(KEY)
    assert a_use(tmp_path, entries=frozenset({KEY})).may_have(KEY)
    assert not a_use(tmp_path, entries=frozenset({KEY})).may_have(f"{KEY}-0badcafe")


def test_a_user_is_named_by_all_that_is_known(tmp_path: Path) -> None:
    assert a_use(tmp_path).in_words(1042) == f"pod web-0 ({POD}), seen 42s ago"
    assert a_use(tmp_path, host="").in_words(900) == f"pod {POD}, seen 0s ago"


def test_the_last_use_is_that_of_the_youngest_lease(tmp_path: Path) -> None:
    assert last_used([]) is None
    assert last_used([a_use(tmp_path), a_use(tmp_path, renewed=7.0)]) == 1000.0


def test_users_are_pods_and_a_pin(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    write_use(layout, KEY, POD)
    set_pin(layout, KEY)
    renewed = (layout.leases(KEY) / f"use.{POD}").stat().st_mtime
    monkeypatch.setattr(users, "file_server_now", lambda directory: {layout.leases(KEY): renewed + 5}[directory])
    pod, pin = who_uses(layout, KEY)
    assert (pod.endswith(f" ({POD}), seen 5s ago"), pin) == (True, "a pin")
    assert who_uses(layout, KEY, lambda use: use.pod != POD) == ["a pin"]


@pytest.mark.parametrize(("age", "swept"), [(30 * DAY, False), (30 * DAY + 1, True)])
def test_a_lease_is_forgotten_after_thirty_days_to_the_second(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, age: float, swept: bool
) -> None:
    for pod in (POD, "younger"):
        write_use(layout, KEY, pod)
    renewed = (layout.leases(KEY) / f"use.{POD}").stat().st_mtime
    reads: list[float] = []

    def read(path: Path) -> Use:
        reads.append(0)
        return a_use(path, pod=path.name.removeprefix("use."), renewed=renewed + path.name.endswith("younger"))

    monkeypatch.setattr(users, "_read", read)
    monkeypatch.setattr(users, "_forget", lambda path, now: path.unlink() if now == renewed + age else None)
    monkeypatch.setattr(users, "file_server_now", lambda _: renewed + age)
    sweep(layout, KEY)
    assert (layout.leases(KEY) / f"use.{POD}").exists() is not swept
    assert (layout.leases(KEY) / "use.younger").exists()
    assert len(reads) == 2


def test_a_lease_that_was_swept_already_is_none_to_sweep(layout: Layout) -> None:
    write_use(layout, KEY, POD)
    path = layout.leases(KEY) / f"use.{POD}"
    swept = path.rename(path.with_name(f".swept.{'0' * 32}.{POD}"))
    write_use(layout, KEY, POD)
    users._forget(swept, 0)
    assert not swept.exists()
    swept.write_bytes(path.read_bytes())
    path.unlink()
    users._forget(swept, 0)
    assert path.exists()


def test_a_lease_that_says_nothing_is_written_anew_when_it_is_renewed(layout: Layout) -> None:
    write_use(layout, KEY, POD)
    path = layout.leases(KEY) / f"use.{POD}"
    path.write_bytes(b"")
    renew_use(layout, KEY, POD)
    unknown = {"host": os.uname().nodename, "podUID": POD, "since": 0, "opening": True, "entries": None}
    assert json.loads(path.read_text()) == unknown
    path.write_bytes(b"")
    write_use(layout, KEY, POD)
    assert json.loads(path.read_text()) == unknown


@pytest.mark.parametrize(
    ("data", "host", "since", "entries"),
    [
        (b'{"opening": false, "since": 7, "entries": ["a"]}', "", 7.0, {"a"}),
        (b'{"opening": false, "since": 7, "entries": null, "host": "web-0"}', "web-0", 7.0, None),
        (b'{"opening": true, "since": 7, "entries": ["a"]}', "", 7.0, None),
        (b'{"opening": false, "since": 7}', "", 0.0, None),
        (b'{"opening": false, "since": true, "entries": []}', "", 0.0, None),
        (b'{"opening": 0, "since": 7, "entries": []}', "", 0.0, None),
        (b'{"opening": false, "since": 7, "entries": [1]}', "", 0.0, None),
        (b'{"opening": false, "since": 7, "entries": {}}', "", 0.0, None),
        (b"\xff", "", 0.0, None),
        (b"[]", "", 0.0, None),
    ],
)
def test_a_lease_says_what_it_says_or_stands_for_all(
    layout: Layout, data: bytes, host: str, since: float, entries: set[str] | None
) -> None:
    layout.leases(KEY).mkdir(parents=True)
    (layout.leases(KEY) / "use.a.b-c").write_bytes(data)
    (found,) = users.uses(layout, KEY)
    assert (found.pod, found.host, found.since, found.entries) == ("a.b-c", host, since, entries)


def test_the_pod_of_a_swept_lease_may_have_any_name(layout: Layout) -> None:
    layout.leases(KEY).mkdir(parents=True)
    path = layout.leases(KEY) / f".swept.{'0' * 32}.a.b.c"
    path.touch()
    assert users._read(path).pod == "a.b.c"
    path.with_name("use.link").symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"):
        users._read(path.with_name("use.link"))


def test_leases_are_for_whom_the_umask_allows(layout: Layout) -> None:
    mask = os.umask(0)
    try:
        write_use(layout, KEY, POD)
    finally:
        os.umask(mask)
    modes = [path.stat().st_mode & 0o7777 for path in (layout.leases(KEY), layout.leases(KEY) / f"use.{POD}")]
    assert modes == [0o777, 0o666]


@pytest.mark.parametrize(("live", "waits"), [(3, 3), (10**6, 300)])
def test_a_starter_waits_for_a_removal_for_a_minute_and_says_so_once(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, live: int, waits: int
) -> None:
    now, told, left = [100.0], list[str](), iter(range(live))
    monkeypatch.setattr(use_module, "monotonic", lambda: round(now[0], 3))
    monkeypatch.setattr(use_module, "sleep", lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr(use_module, "live_intents", lambda *_: next(left, None) is not None)
    await_removal(layout, KEY, told.append)
    assert now[0] == pytest.approx(100 + 0.2 * waits)
    assert told == [f"{KEY} is being removed; waiting for the end of that"]


def test_an_intent_is_live_as_long_as_that_can_not_be_told_otherwise(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent = layout.leases(KEY) / "intent.1"
    assert not is_live(intent)
    intent.parent.mkdir(parents=True)
    beacon = Beacon(intent)
    (intent.parent / "other").touch()
    assert is_live(intent)
    assert live_intents(layout, KEY) == ["intent.1"]
    for number, live in ((errno.EIO, True), (errno.ENOENT, False)):
        with monkeypatch.context() as patched:
            patched.setattr("llmkube_downloader.store.life.life_of", failing(number))
            assert is_live(intent) is live
    beacon.withdraw()
    assert live_intents(layout, KEY) == []


def test_intents_are_looked_for_where_nothing_can_be_written(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    layout.leases(KEY).mkdir(parents=True)
    beacon = Beacon(layout.leases(KEY) / "intent.1")
    monkeypatch.setattr(use_module, "file_server_now", failing(errno.EROFS))
    assert live_intents(layout, KEY) == ["intent.1"]
    beacon.withdraw()


def test_a_lease_that_can_not_be_written_is_an_error_but_where_the_volume_is_only_full(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    write: Callable[..., None] = failing(errno.ENOSPC)
    monkeypatch.setattr(use_module, "begin", write)
    with pytest.raises(OSError, match="No space"):
        write_use(layout, KEY, POD)
    layout.leases(KEY).mkdir(parents=True)
    (layout.leases(KEY) / f"use.{POD}").touch()
    write_use(layout, KEY, POD)
    monkeypatch.setattr(use_module, "begin", failing(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        write_use(layout, KEY, POD)
