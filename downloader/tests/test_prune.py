"""Pruning a volume: what goes, what stays, and what is said of both."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from building import KEY, age, failing, stage
from test_report import SCHEMA
from using import DAY, OTHER_POD, POD, lease, left_in, publish_entry, refer, supersede

from llmkube_downloader.store import removal
from llmkube_downloader.store.condemned import condemn
from llmkube_downloader.store.entry import inspect, look
from llmkube_downloader.store.lease import try_take
from llmkube_downloader.store.trash import quarantine
from llmkube_downloader.store.volume import Usage

if TYPE_CHECKING:
    from command_line import Run

from llmkube_downloader.store.layout import Layout

ENTRY_BYTES = 1000


def prune(run: Run, layout: Layout, *criteria: str, code: int = 0) -> dict[str, Any]:
    """Prune and return the report."""
    done = run("prune", "--root", layout.root, *criteria, "-o", "json")
    assert done.code == code, done
    jsonschema.validate(done.json, {**SCHEMA, "oneOf": [{"$ref": "#/$defs/prune"}]})
    report: dict[str, Any] = done.json
    return report


def removed(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(Path(item["entry"]).name, item["reason"]) for item in report["removed"]]


@pytest.fixture
def entry(layout: Layout) -> Path:
    """An entry of January 2026 that nobody ever used."""
    return publish_entry(layout)


def test_without_a_criterion_nothing_is_pruned(run: Run, layout: Layout, entry: Path) -> None:
    refused = run("prune", "--root", layout.root)
    assert refused.code == 10
    assert "--older-than" in refused.err
    assert entry.exists()


def test_an_entry_that_nobody_used_is_as_old_as_itself(run: Run, layout: Layout, entry: Path) -> None:
    report = prune(run, layout, "--older-than", "30d")
    assert removed(report) == [(KEY, "older-than")]
    assert report["removed"][0]["lastUsed"] == "2026-01-01T00:00:00+00:00"
    assert report["bytes"] == ENTRY_BYTES
    assert not entry.exists()
    assert left_in(layout.trash) == []


def test_an_entry_is_as_old_as_its_last_use(run: Run, layout: Layout, entry: Path) -> None:
    lease(layout, days=29)
    assert removed(prune(run, layout, "--older-than", "30d")) == []
    lease(layout, days=31)
    assert removed(prune(run, layout, "--older-than", "30d")) == [(KEY, "older-than")]
    assert not entry.exists()


def test_an_entry_that_was_fetched_anew_is_as_old_as_that(run: Run, layout: Layout, entry: Path) -> None:
    lease(layout, days=4000)
    assert prune(run, layout, "--unused")["removed"][0]["lastUsed"] == "2026-01-01T00:00:00+00:00"
    assert not entry.exists()


def test_no_more_goes_than_is_asked_for(run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = layout.root / "fedcba9876543210"
    shutil.copytree(entry, other)
    lease(layout, days=8)
    monkeypatch.setattr("llmkube_downloader.maintenance.pruning.usage", lambda _: Usage(total=9000, free=100))
    assert removed(prune(run, layout, "--min-free", "1100")) == [(other.name, "min-free")]
    assert entry.exists()


@pytest.mark.parametrize("criterion", ["--older-than=1s", "--unused", "--max-bytes=0", "--min-free=1P"])
def test_what_is_used_pinned_or_being_fetched_stays(run: Run, layout: Layout, entry: Path, criterion: str) -> None:
    def is_left_alone() -> bool:
        found = [prune(run, layout, criterion, "--dry-run"), prune(run, layout, criterion)]
        return not any(report["removed"] or report["kept"] for report in found)

    used = lease(layout, days=6.9)
    assert is_left_alone()
    used.unlink()
    run("pin", KEY, "--root", layout.root)
    assert is_left_alone()
    run("unpin", KEY, "--root", layout.root)
    taken = try_take(layout, KEY)
    assert taken
    assert is_left_alone()
    taken.withdraw()
    assert entry.exists()
    assert removed(prune(run, layout, criterion)) == [(KEY, criterion.lstrip("-").partition("=")[0])]
    assert not entry.exists()


def test_what_is_missing_is_said(run: Run, layout: Layout, entry: Path) -> None:
    lease(layout)
    report = prune(run, layout, "--max-bytes", "1", "--min-free", "1P")
    assert report["overBytes"] == ENTRY_BYTES - 1
    assert report["shortBytes"] > 0
    text = run("prune", "--root", layout.root, "--max-bytes", "1").out
    assert f"{ENTRY_BYTES - 1} B more would have to go for --max-bytes" in text
    assert entry.exists()


def test_a_dry_run_changes_nothing_and_says_all(run: Run, layout: Layout, entry: Path) -> None:
    quarantine(layout, inspect(entry, KEY))
    publish_entry(layout)
    before = {path: path.stat().st_mtime_ns for path in (layout.root, *layout.root.rglob("*"))}
    report = prune(run, layout, "--unused", "--dry-run")
    assert report["dryRun"] is True
    assert [item["reason"] for item in report["removed"]] == ["unused", "unused"]
    assert report["bytes"] > 2 * ENTRY_BYTES
    assert {path: path.stat().st_mtime_ns for path in (layout.root, *layout.root.rglob("*"))} == before
    text = run("prune", "--root", layout.root, "--unused", "--dry-run").out
    assert f"{KEY} would be removed: {ENTRY_BYTES} B, used by nobody, last 2026-01-01T00:00:00+00:00" in text
    assert "would be freed; " in text
    assert "free of" in text


def test_a_dry_run_needs_no_right_to_write(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mkdir", "rename", "unlink", "utime"):
        monkeypatch.setattr(os, name, failing(errno.EROFS))
    assert removed(prune(run, layout, "--unused", "--dry-run")) == [(KEY, "unused")]
    prune_for_real = run("prune", "--root", layout.root, "--unused")
    assert prune_for_real.code == 15
    assert entry.exists()


def test_people_see_what_went_and_what_is_free(run: Run, layout: Layout, entry: Path) -> None:
    text = run("prune", "--root", layout.root, "--older-than", "30d").out
    first, last = text.splitlines()
    assert first == f"{KEY} removed: {ENTRY_BYTES} B, not used since 2026-01-01T00:00:00+00:00"
    assert last.startswith(f"{ENTRY_BYTES} B freed; ")
    assert not entry.exists()


# What is of no use to anybody.


def test_a_superseded_generation_goes_when_all_pods_opened_others(run: Run, layout: Layout, entry: Path) -> None:
    newest = supersede(layout, "0badcafe", days=1)
    publish_entry(layout)
    used = lease(layout, opened=newest)
    report = prune(run, layout, "--older-than", "1000d")
    assert removed(report) == [(KEY, "superseded")]
    assert used.exists()
    assert report["removed"][0]["kind"] == "superseded"
    assert not entry.exists()
    assert newest.exists()
    assert left_in(layout.refs(KEY))


def test_a_superseded_generation_stays_for_pods_that_opened_it(run: Run, layout: Layout, entry: Path) -> None:
    newest = supersede(layout, "0badcafe", days=1)
    publish_entry(layout)
    lease(layout, opened=entry)
    assert removed(prune(run, layout, "--unused")) == []
    # The pod has another container, which opens the newest one.
    lease(layout, opened=newest)
    assert removed(prune(run, layout, "--unused")) == []
    assert entry.exists()
    assert newest.exists()


def test_a_superseded_generation_stays_while_a_pod_is_about_to_open_one(run: Run, layout: Layout, entry: Path) -> None:
    newest = supersede(layout, "0badcafe", days=1)
    publish_entry(layout)
    lease(layout, opened=newest)
    lease(layout)
    assert removed(prune(run, layout, "--unused")) == []
    assert entry.exists()


def test_a_generation_that_stood_in_for_a_damaged_one_stays_for_pods_that_opened_it(
    run: Run, layout: Layout, entry: Path
) -> None:
    newest = supersede(layout, "0badcafe", days=1)
    publish_entry(layout)
    whole = (newest / "model.gguf").read_bytes()
    (newest / "model.gguf").write_bytes(b"damaged")
    lease(layout, opened=look(layout, KEY).path)
    (newest / "model.gguf").write_bytes(whole)
    assert look(layout, KEY).path == newest
    assert removed(prune(run, layout, "--unused")) == []
    assert entry.exists()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_superseded_generation_that_a_refresh_goes_back_to_is_kept(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    newest = supersede(layout, "0badcafe", days=1)
    publish_entry(layout)

    def gone_back_to(layout: Layout, key: str, intent: str, name: str) -> None:
        if moment == "after":
            condemn(layout, key, intent, name)
        refer(layout, entry.name)
        if moment == "before":
            condemn(layout, key, intent, name)

    monkeypatch.setattr(removal, "condemn", gone_back_to)
    report = prune(run, layout, "--older-than", "1000d")
    assert removed(report) == []
    assert report["kept"][0]["cause"] == f"{KEY} is what pods are to start from again"
    assert look(layout, KEY).path == entry
    assert newest.exists()


def test_a_generation_that_no_ref_leads_to_goes(run: Run, layout: Layout, entry: Path) -> None:
    # A refresh died after it had published this one.
    left = layout.root / f"{KEY}-0badcafe"
    shutil.copytree(entry, left)
    lease(layout, opened=entry)
    assert removed(prune(run, layout, "--older-than", "1000d")) == [(left.name, "superseded")]
    assert entry.exists()


def test_a_pin_keeps_all_generations(run: Run, layout: Layout, entry: Path) -> None:
    supersede(layout, "0badcafe", days=1)
    publish_entry(layout)
    run("pin", KEY, "--root", layout.root)
    assert removed(prune(run, layout, "--unused")) == []
    assert entry.exists()


def test_a_key_goes_with_all_its_generations(run: Run, layout: Layout, entry: Path) -> None:
    newest = supersede(layout, "0badcafe", days=1)
    publish_entry(layout)
    assert removed(prune(run, layout, "--unused")) == [(KEY, "superseded"), (newest.name, "unused")]
    assert left_in(layout.root) == [".llmkube"]
    assert left_in(layout.refs(KEY)) == []
    assert not entry.exists()


def test_a_damaged_newest_generation_goes_like_a_damaged_copy(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = supersede(layout, "0badcafe", days=30)
    publish_entry(layout)
    (newest / "model.gguf").write_bytes(b"damaged")
    # A pod that began to use the key after the refs were written may have any of them open.
    used = lease(layout)
    assert removed(prune(run, layout, "--max-bytes", "0")) == []
    used.unlink()
    assert removed(prune(run, layout, "--older-than", "1000d")) == []
    now = newest.stat().st_ctime + 7.1 * DAY
    monkeypatch.setattr("llmkube_downloader.maintenance.pruning.file_server_now", lambda _: now)
    assert removed(prune(run, layout, "--older-than", "1000d")) == [(newest.name, "damaged")]
    assert entry.exists()


def test_without_a_whole_newest_generation_none_is_superseded(run: Run, layout: Layout, entry: Path) -> None:
    (entry / "model.gguf").unlink()
    refer(layout, f"{KEY}-0badcafe", days=9)
    assert removed(prune(run, layout, "--older-than", "1000d")) == []
    assert entry.exists()


def test_an_attempt_goes_a_day_after_its_last_sign_of_life(run: Run, layout: Layout) -> None:
    attempt = stage(layout, {"model.gguf": b"123"}).parent
    for path in (attempt, *attempt.iterdir()):
        age(path, 0.9 * DAY)
    assert removed(prune(run, layout, "--unused")) == []
    age(attempt, 0.2 * DAY)
    assert removed(prune(run, layout, "--unused")) == []
    age(attempt / "files", 0.2 * DAY)
    taken = try_take(layout, KEY)
    assert taken
    report = prune(run, layout, "--unused")
    assert report["removed"] == report["kept"] == []
    taken.withdraw()
    assert removed(prune(run, layout, "--unused")) == [(attempt.name, "attempt")]
    assert not attempt.exists()


def test_a_damaged_copy_goes_a_week_after_it_was_moved_aside(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = quarantine(layout, inspect(entry, KEY))
    assert removed(prune(run, layout, "--older-than", "1000d")) == []
    now = copy.stat().st_ctime + 7.1 * DAY
    monkeypatch.setattr("llmkube_downloader.maintenance.pruning.file_server_now", lambda _: now)
    used = lease(layout, days=-7)
    assert removed(prune(run, layout, "--older-than", "1000d")) == []
    used.unlink()
    assert removed(prune(run, layout, "--older-than", "1000d")) == [(copy.name, "damaged")]
    assert not copy.exists()


def test_what_others_put_there_is_neither_counted_nor_removed(run: Run, layout: Layout, entry: Path) -> None:
    others = layout.root / "of another tool"
    shutil.copytree(entry, others)
    unmarked = layout.root / "fedcba9876543210"
    unmarked.mkdir()
    (unmarked / "model.gguf").write_bytes(b"of another tool")
    assert removed(prune(run, layout, "--max-bytes", str(ENTRY_BYTES))) == []
    assert removed(prune(run, layout, "--unused")) == [(KEY, "unused")]
    assert others.exists()
    assert unmarked.exists()


# When somebody comes meanwhile.


def test_an_entry_that_somebody_begins_to_use_is_kept_and_another_one_goes(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = layout.root / "fedcba9876543210"
    shutil.copytree(entry, other)
    lease(layout, OTHER_POD, days=20)

    def used_meanwhile(layout: Layout, key: str, intent: str, name: str) -> None:
        if key == other.name:
            lease(layout, POD, key=key)
        condemn(layout, key, intent, name)

    monkeypatch.setattr(removal, "condemn", used_meanwhile)
    report = prune(run, layout, "--max-bytes", str(2 * ENTRY_BYTES))
    assert removed(report) == [(KEY, "max-bytes")]
    (kept,) = report["kept"]
    assert kept["key"] == other.name
    assert POD in kept["cause"]
    assert other.exists()


def test_people_see_what_was_kept(run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def used_meanwhile(layout: Layout, key: str, intent: str, name: str) -> None:
        lease(layout, POD)
        condemn(layout, key, intent, name)

    monkeypatch.setattr(removal, "condemn", used_meanwhile)
    kept, _ = run("prune", "--root", layout.root, "--unused").out.splitlines()
    assert kept.startswith(f"{KEY} kept: {KEY} is in use: pod ")
    assert entry.exists()


def test_trouble_with_the_volume_ends_a_prune(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "condemn", failing(errno.EIO))
    assert run("prune", "--root", layout.root, "--unused").code == 15
    assert entry.exists()


def test_only_the_keys_that_were_named_are_touched(run: Run, layout: Layout, entry: Path) -> None:
    assert removed(prune(run, layout, "--unused", "--only", "fedcba9876543210")) == []
    assert prune(run, layout, "--max-bytes", "0", "--only", "fedcba9876543210")["overBytes"] > 0
    assert entry.exists()
    assert removed(prune(run, layout, "--unused", "--only", f"fedcba9876543210,{KEY}")) == [(KEY, "unused")]
    assert not entry.exists()


def test_no_key_at_all_can_be_named_too(run: Run, layout: Layout, entry: Path) -> None:
    assert removed(prune(run, layout, "--unused", "--only=")) == []
    assert entry.exists()


def test_what_only_pods_said_that_are_gone_is_pruned(run: Run, layout: Layout, entry: Path) -> None:
    lease(layout, POD)
    assert removed(prune(run, layout, "--unused")) == []
    assert removed(prune(run, layout, "--unused", "--gone-pods", OTHER_POD)) == []
    assert entry.exists()
    assert removed(prune(run, layout, "--unused", "--gone-pods", f"{OTHER_POD},{POD}")) == [(KEY, "unused")]
    assert not entry.exists()
