"""`cache df` tells who holds the space, from reports or from the volumes, and says which."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import releases

if TYPE_CHECKING:
    from pathlib import Path

    from fake_kubernetes import FakeKubernetes

    from conftest import Run

KEY, OTHER = releases.TINY_KEY, "00112233445566aa"
GI = 1 << 30


@pytest.fixture
def web(cluster: FakeKubernetes) -> FakeKubernetes:
    """Run a server whose report tells of a volume with 100 Gi, 60 of them free."""
    items = releases.serving()
    report = releases.fetched(size=30 * GI, volume={"total": 100 * GI, "free": 60 * GI})
    cluster.add(*items, releases.pod_of(releases.of_kind(items, "Deployment"), "web-1", releases.served(report)))
    return cluster


def row(shown: str) -> dict[str, str]:
    """Return the first row of a table by its titles."""
    header, line = shown.splitlines()[:2]
    titles = [title for title in header.split("  ") if title]
    return dict(zip((title.strip() for title in titles), line.split(maxsplit=len(titles) - 1), strict=True))


def held(run: Run, *arguments: str) -> dict[str, Any]:
    result = run("cache", "df", "-o", "json", *arguments)
    assert result.exit_code == 0, result.output
    [cache] = json.loads(result.stdout)["caches"]
    return dict(cache)


def test_reports_tell_what_pods_use_and_how_full_the_volume_was(web: FakeKubernetes, run: Run) -> None:
    result = run("cache", "df")
    space = held(run)["space"]

    shown = row(result.stdout)
    assert (shown["CACHE"], shown["SIZE"], shown["USED"], shown["FREE"]) == (
        "web-model-cache",
        "100Gi",
        "40.0Gi",
        "60.0Gi",
    )
    assert (shown["IN USE"], shown["OTHER"], shown["RECLAIMABLE"]) == ("30.0Gi", "10.0Gi", "0B")
    assert shown["SEEN"].endswith("d ago")
    # What nobody reports is not said to be nothing.
    assert (shown["ORPHANS"], shown["PARTIAL"], shown["TRASH"]) == ("-", "-", "-")
    assert (space["orphans"], space["partial"], space["trash"], space["scanned"]) == (None, None, None, False)
    assert space["observed"] == "2026-01-02T03:04:05Z"
    assert "--scan looks" in result.stderr
    assert {asked.method for asked in web.asked} == {"GET"}


def test_a_cache_of_which_nothing_was_heard_claims_nothing(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())

    shown = row(run("cache", "df").stdout)

    assert (shown["SIZE"], shown["USED"], shown["OTHER"], shown["SEEN"]) == ("-", "-", "-", "never")


def fill(cluster: FakeKubernetes) -> None:
    """Put one of everything on the volume."""
    entries = [
        releases.on_volume(KEY, bytes=1000),
        releases.on_volume(OTHER, bytes=200, source="hf://old/one"),
        releases.on_volume(OTHER, "partial", bytes=30, entry=f"/models/.llmkube/staging/{OTHER}", source=None),
        releases.on_volume("f" * 16, bytes=5000, pinned=True, source="hf://pinned/one"),
        releases.on_volume(None, "foreign", bytes=400, entry="/models/notes", source=None),
    ]
    report = {"schema": 1, "root": "/models", "volume": {"total": 100_000, "free": 90_000}, "entries": entries}
    cluster.plays = lambda _: releases.maintenance_says(report | {"beside": {"trash": 7, "adopting": 2, "files": 50}})


def test_a_scan_knows_every_holder_and_they_add_up(web: FakeKubernetes, run: Run) -> None:
    fill(web)

    space = held(run, "--scan")["space"]

    assert (space["inUse"], space["unused"], space["orphans"]) == (1000, 5000, 200)
    assert (space["partial"], space["trash"]) == (32, 7)
    assert (
        space["used"]
        == 10_000
        == sum(space[name] for name in ("inUse", "unused", "orphans", "partial", "trash", "other"))
    )
    assert space["reclaimable"] == 230 + 7  # the orphan with its attempt, and the trash
    assert row(run("cache", "df", "--scan").stdout)["SEEN"] == "now"


def test_wide_says_of_each_entry_how_it_holds_its_space(web: FakeKubernetes, run: Run) -> None:
    fill(web)

    entries = {entry["key"]: entry for entry in held(run, "--scan")["entries"]}
    table = run("cache", "df", "--scan", "-o", "wide").stdout.split("\n\n")[1].splitlines()

    assert {key: entry["heldAs"] for key, entry in entries.items()} == {
        KEY: "in use",
        OTHER: "orphan",
        "f" * 16: "pinned",
        None: "other",
    }
    assert entries[OTHER]["reclaimable"] == 230
    assert entries[None]["directory"] == "notes"
    assert [line.split()[2] for line in table[1:]] == ["f" * 16, KEY, "notes", OTHER]


def test_an_image_of_before_measures_no_trash(web: FakeKubernetes, run: Run) -> None:
    web.plays = lambda _: releases.volume(releases.on_volume(KEY))

    assert held(run, "--scan")["space"]["trash"] == 0


def test_a_volume_that_can_not_be_read_is_told_from_its_reports(web: FakeKubernetes, run: Run) -> None:
    error = releases.failed(15, "volume", "the volume can not be read", "Look at it.")
    script = releases.maintenance_says(error)
    script.states = [releases.job_pod(releases.ended(15), "Failed", "maintenance")]
    web.plays = lambda _: script

    result = run("cache", "df", "--scan")

    assert result.exit_code == 15
    assert row(result.stdout)["FREE"] == "60.0Gi"
    assert "the volume can not be read" in result.stderr


def test_what_is_served_in_place_is_no_cache(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.release("web", model={"source": "pvc://theirs/model.gguf"}))

    result = run("cache", "df")

    assert (result.stdout, result.exit_code) == ("", 0)
    assert "No caches found. -A looks in all namespaces." in result.stderr


def test_all_namespaces_are_told_apart(cluster: FakeKubernetes, run: Run) -> None:
    for namespace in ("a", "b"):
        for item in releases.serving():
            cluster.add(item | {"metadata": item["metadata"] | {"namespace": namespace}})

    lines = run("cache", "df", "-A").stdout.splitlines()

    assert lines[0].startswith("NAMESPACE  CACHE")
    assert [line.split()[0] for line in lines[1:]] == ["a", "b"]


def test_a_directory_adds_up_to_what_is_in_it(run: Run, tmp_path: Path) -> None:
    weights, root = tmp_path / "weights.bin", tmp_path / "models"
    weights.write_bytes(bytes(5000))
    run("cache", "preload", weights.as_uri(), "--dir", str(root))
    (root / ".llmkube" / "trash" / "gone.0").mkdir(parents=True)
    (root / ".llmkube" / "trash" / "gone.0" / "file").write_bytes(bytes(300))

    cache = held(run, "--dir", str(root))
    space = cache["space"]

    assert (space["unused"], space["trash"], space["scanned"]) == (5000, 300, True)
    assert space["total"] - space["free"] == space["used"]
    assert [entry["heldAs"] for entry in cache["entries"]] == ["not used"]
