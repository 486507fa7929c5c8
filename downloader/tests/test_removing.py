"""Removing: what nobody uses goes, with all that belongs to it; what somebody uses stays, and they are named."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from building import KEY, MODEL, age, failing, stage
from using import OTHER_KEY, OTHER_POD, POD, is_gone, lease, left_in, names_below, publish_entry, supersede

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.maintenance.removing import plan_removal, remove
from llmkube_downloader.store import condemned, removal
from llmkube_downloader.store.condemned import condemn
from llmkube_downloader.store.entry import look
from llmkube_downloader.store.layout import Layout
from llmkube_downloader.store.lease import try_take
from llmkube_downloader.store.trash import empty_trash, quarantine

if TYPE_CHECKING:
    from collections.abc import Callable

    from command_line import Run


@pytest.fixture
def entry(layout: Layout) -> Path:
    """An entry that is there."""
    return publish_entry(layout)


def between(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let something happen after a removal has looked for users, and before it moves anything."""
    acts = [act]

    def condemn_later(layout: Layout, key: str, intent: str, name: str) -> None:
        if acts:
            acts.pop()()
        condemn(layout, key, intent, name)

    monkeypatch.setattr(removal, "condemn", condemn_later)


# What goes.


def test_a_removed_entry_gives_its_space_back(run: Run, layout: Layout, entry: Path) -> None:
    size = sum(path.stat().st_size for path in entry.iterdir())
    done = run("remove", KEY, "--root", layout.root, "-o", "json")
    assert done.code == 0
    assert done.json["removed"] == [{"key": KEY, "bytes": size}]
    assert "pendingBytes" not in done.json
    assert not entry.exists()
    assert is_gone(layout)


def test_removing_takes_everything_that_belongs_to_the_key(run: Run, layout: Layout, entry: Path) -> None:
    quarantine(layout, look(layout, KEY))
    publish_entry(layout)
    supersede(layout, "0badcafe")
    publish_entry(layout)
    stage(layout, {"part": b"123"})
    lease(layout, days=8)
    layout.pin(KEY).parent.mkdir()
    layout.pin(OTHER_KEY).touch()
    done = run("remove", KEY, "--root", layout.root)
    assert done.code == 0
    layout.pin(OTHER_KEY).unlink()
    assert is_gone(layout)


def test_a_key_given_twice_is_removed_once(run: Run, layout: Layout, entry: Path) -> None:
    assert entry.exists()
    done = run("remove", KEY, KEY, "--root", layout.root, "-o", "json")
    assert [removed["key"] for removed in done.json["removed"]] == [KEY]


def test_what_the_dead_left_goes_with_the_entry(run: Run, layout: Layout, entry: Path) -> None:
    lease(layout, days=50)
    youngest = lease(layout, OTHER_POD, days=40)
    for name in ("intent.0", ".probe.0"):
        (layout.leases(KEY) / name).touch()
        age(layout.leases(KEY) / name)
    (layout.trash / "left over").mkdir()
    assert run("remove", KEY, "--root", layout.root).code == 0
    assert left_in(layout.leases(KEY)) == [youngest.name]
    assert left_in(layout.trash) == []
    assert not entry.exists()


def test_what_starters_open_is_moved_last_and_the_refs_after_it(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = supersede(layout, "0badcafe")
    publish_entry(layout)
    moved: list[str] = []

    def noted(layout: Layout, key: str, intent: str, name: str) -> None:
        moved.append(name)
        condemn(layout, key, intent, name)

    monkeypatch.setattr(removal, "condemn", noted)
    assert run("remove", KEY, "--root", layout.root).code == 0
    assert moved == [entry.name, newest.name, "refs"]


def test_a_name_is_gone_for_good_before_its_files_are(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[Path, bool]] = []

    def sync(directory: Path) -> None:
        whole = any((path / "model.gguf").exists() for path in layout.trash.glob(f"condemned.*.{KEY}"))
        synced.append((directory, whole))

    monkeypatch.setattr(condemned, "sync_directory", sync)
    assert run("remove", KEY, "--root", layout.root).code == 0
    assert (layout.root, True) in synced
    publish_entry(layout)
    between(monkeypatch, lambda: lease(layout))
    synced.clear()
    assert run("remove", KEY, "--root", layout.root).code == 21
    assert (layout.root, False) in synced
    assert entry.exists()


def test_a_removed_entry_can_be_fetched_again(run: Run, root: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(MODEL)
    source = ("fetch", f"file://{tmp_path}/tiny.gguf", "--root", root, "-o", "json")
    key = run(*source).json["key"]
    assert run("remove", key, "--root", root).code == 0
    assert run(*source).json["result"] == "fetched"


def test_what_the_file_server_does_not_let_go_follows_later(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(path.stat().st_size for path in entry.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        done = run("remove", KEY, "--root", layout.root, "-o", "json")
    assert done.code == 0
    assert done.json["pendingBytes"] == size
    assert not entry.exists()
    empty_trash(layout)
    assert left_in(layout.trash) == []


def test_a_full_volume_can_be_cleared(run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_entry(layout)
    layout.leases(KEY).mkdir(parents=True)
    for name in ("mkdir", "write", "pwrite"):
        monkeypatch.setattr(os, name, failing(errno.ENOSPC))
    assert run("remove", KEY, "--root", layout.root).code == 0
    assert not entry.exists()


def test_on_a_full_volume_what_is_being_fetched_is_not_removed(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan_removal(layout.root, [KEY], force=False)
    assert try_take(layout, KEY)
    monkeypatch.setattr(removal, "try_take", failing(errno.ENOSPC))
    with pytest.raises(DownloaderError) as refused:
        remove(layout.root, planned, force=False)
    assert refused.value.code is ExitCode.POLICY
    assert entry.exists()
    assert run("remove", KEY, "--root", layout.root, "--force").code == 0


# What stays.


def test_an_entry_that_a_pod_uses_is_refused_with_its_name(run: Run, layout: Layout, entry: Path) -> None:
    lease(layout, days=2)
    refused = run("remove", KEY, "--root", layout.root)
    assert refused.code == 21
    assert f"pod {os.uname().nodename} ({POD}), seen 48h00m ago" in refused.err
    assert entry.exists()
    lease(layout, days=7.1)
    assert run("remove", KEY, "--root", layout.root).code == 0


def test_many_users_are_named_in_part(run: Run, layout: Layout, entry: Path) -> None:
    assert entry.exists()
    for number in range(7):
        lease(layout, f"pod-{number}")
    assert "(pod-4), seen 0s ago; and 2 more" in run("remove", KEY, "--root", layout.root).err


def test_leases_of_pods_that_are_gone_do_not_count(run: Run, layout: Layout, entry: Path) -> None:
    for pod in (POD, OTHER_POD):
        lease(layout, pod)
    refused = run("remove", KEY, "--root", layout.root, "--gone-pods", OTHER_POD)
    assert refused.code == 21
    assert f"({POD})" in refused.err
    assert OTHER_POD not in refused.err
    assert "--gone-pods" in refused.err
    assert entry.exists()
    assert run("remove", KEY, "--root", layout.root, "--gone-pods", f"{OTHER_POD},{POD}").code == 0


def test_a_pod_that_came_after_the_list_of_pods_counts(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease(layout, OTHER_POD)
    between(monkeypatch, lambda: lease(layout))
    assert run("remove", KEY, "--root", layout.root, "--gone-pods", OTHER_POD).code == 21
    assert entry.exists()


def test_a_pod_that_came_before_the_intent_is_seen_before_anything_is_moved(
    layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan_removal(layout.root, [KEY], force=False)
    lease(layout)
    monkeypatch.setattr(removal, "condemn", failing(errno.EIO))
    with pytest.raises(DownloaderError) as refused:
        remove(layout.root, planned, force=False)
    assert refused.value.code is ExitCode.POLICY
    assert entry.exists()


def test_a_pinned_entry_is_refused(run: Run, layout: Layout, entry: Path) -> None:
    for _ in range(2):
        assert run("pin", KEY, "--root", layout.root, "-o", "json").json["pinned"] is True
    refused = run("remove", KEY, "--root", layout.root)
    assert refused.code == 21
    assert "a pin" in refused.err
    assert "unpin" in refused.err
    for _ in range(2):
        assert run("unpin", KEY, "--root", layout.root, "-o", "json").json["pinned"] is False
    assert entry.exists()
    assert run("remove", KEY, "--root", layout.root).code == 0


def test_a_pin_of_what_was_just_removed_is_refused(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def removed_meanwhile(layout: Layout, key: str, _: Any) -> None:
        assert layout.pin(key).exists()
        shutil.rmtree(entry)

    monkeypatch.setattr("llmkube_downloader.maintenance.pinning.await_removal", removed_meanwhile)
    assert run("pin", KEY, "--root", layout.root).code == 12
    assert not layout.pin(KEY).exists()


def test_a_key_that_is_being_fetched_is_not_removed(run: Run, layout: Layout, entry: Path) -> None:
    taken = try_take(layout, KEY)
    assert taken
    refused = run("remove", KEY, "--root", layout.root)
    assert refused.code == 21
    assert f"fetched by {os.uname().nodename}" in refused.err
    assert entry.exists()


def test_nobody_begins_to_fetch_what_is_being_removed(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[object] = []
    between(monkeypatch, lambda: taken.append(try_take(layout, KEY)))
    assert run("remove", KEY, "--root", layout.root).code == 0
    assert taken == [None]
    assert not entry.exists()


def test_a_fetch_that_begins_in_between_is_not_removed(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmkube_downloader.maintenance.removing.holder_of", lambda *_: None)
    assert try_take(layout, KEY)
    assert run("remove", KEY, "--root", layout.root).code == 21
    assert entry.exists()


def test_nothing_is_removed_when_one_key_can_not_be(run: Run, layout: Layout, entry: Path) -> None:
    assert run("remove", KEY, OTHER_KEY, "--root", layout.root).code == 12
    (layout.root / OTHER_KEY).mkdir()
    (layout.root / OTHER_KEY / "model.gguf").write_bytes(MODEL)
    assert run("remove", KEY, OTHER_KEY, "--root", layout.root).code == 21
    assert entry.exists()


def test_everything_is_put_back_when_somebody_comes_to_one_of_several_keys(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = supersede(layout, "0badcafe")
    publish_entry(layout)
    shutil.copytree(entry, layout.root / OTHER_KEY)
    before = names_below(layout)
    between(monkeypatch, lambda: lease(layout, key=OTHER_KEY))
    refused = run("remove", KEY, OTHER_KEY, "--root", layout.root)
    assert refused.code == 21
    assert f"{OTHER_KEY} is in use" in refused.err
    assert names_below(layout) == before
    assert look(layout, KEY).path == newest


def test_files_of_others_are_only_removed_by_force(run: Run, layout: Layout) -> None:
    (layout.root / OTHER_KEY).mkdir(parents=True)
    (layout.root / OTHER_KEY / "model.gguf").write_bytes(MODEL)
    refused = run("remove", OTHER_KEY, "--root", layout.root)
    assert refused.code == 21
    assert (layout.root / OTHER_KEY / "model.gguf").exists()
    assert run("remove", OTHER_KEY, "--root", layout.root, "--force").code == 0
    assert not (layout.root / OTHER_KEY).exists()


# By force.


def test_force_removes_all_the_same_and_says_what_it_may_break(run: Run, layout: Layout, entry: Path) -> None:
    lease(layout)
    run("pin", KEY, "--root", layout.root)
    assert try_take(layout, KEY)
    forced = run("remove", KEY, "--root", layout.root, "--force")
    assert forced.code == 0
    for word in ("warning:", POD, "a pin", f"the fetch of {os.uname().nodename}", "may crash"):
        assert word in forced.err
    assert not entry.exists()
    assert not layout.pin(KEY).exists()


def test_force_says_nothing_where_nobody_is_harmed(run: Run, layout: Layout, entry: Path) -> None:
    assert run("remove", KEY, "--root", layout.root, "--force").err == ""
    assert not entry.exists()
