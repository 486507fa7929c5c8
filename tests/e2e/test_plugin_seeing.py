"""`helm llmkube` shows what is the case on a real cluster: bytes as `du` counts them, downloads, and what waits."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from e2e.kit import CHART, Space
from fakehub import FakeHub
from fakehub.faults import Fault
from images.build import REPOSITORY

pytestmark = pytest.mark.cluster

SMALL = "hf://acme/small/model-f16.gguf"
OTHER = "hf://acme/other/model-f16.gguf"
SCHEMA = json.loads((REPOSITORY / "docs" / "plugin-output.schema.json").read_text())
Measure = Callable[[str, str], dict[str, int]]
Folder = Callable[[str, str], Path]


def document(space: Space, verb: str, *arguments: str) -> Any:
    """What a verb prints, which has to be what the schema says."""
    found = json.loads(space.llmkube("cache", verb, *arguments, "-o", "json").out)
    jsonschema.validate(found, {**SCHEMA, "$ref": f"#/$defs/cache-{verb}"})
    return found


def status_when(space: Space, true: Callable[[Any], object]) -> Any:
    """The status of the only cache, as soon as something is true of it."""
    deadline = time.monotonic() + 180
    while True:
        (cache,) = document(space, "status")["caches"]
        if true(cache):
            return cache
        assert time.monotonic() < deadline, json.dumps(cache, indent=1)


def test_df_adds_up_to_what_the_volume_holds(space: Space, volume_bytes: Measure, volume_folder: Folder) -> None:
    space.install("small", model__source=SMALL)
    space.llmkube("cache", "preload", OTHER, "--cache", "small-model-cache")
    folder = volume_folder(space.name, "small-model-cache")
    (folder / "notes").mkdir()
    (folder / "notes" / "of-others").write_bytes(bytes(50_000))

    (cache,) = document(space, "df", "--scan")["caches"]

    held, on_volume = cache["space"], volume_bytes(space.name, "small-model-cache")
    file_system = os.statvfs(folder)
    by_holder = {entry["heldAs"]: entry for entry in cache["entries"]}
    assert by_holder.keys() == {"in use", "orphan", "other"}
    for holder, name in (("in use", "inUse"), ("orphan", "orphans")):
        entry = by_holder[holder]
        assert held[name] == entry["bytes"]
        assert 0 <= on_volume[entry["key"]] - entry["bytes"] < 4096  # the manifest lies beside the weights
    assert by_holder["other"]["bytes"] == on_volume["notes"] == 50_000
    assert held["reclaimable"] == by_holder["orphan"]["bytes"]
    assert held["total"] == file_system.f_blocks * file_system.f_frsize
    assert held["used"] + held["free"] == held["total"]
    assert held["used"] == sum(held[name] for name in ("inUse", "unused", "orphans", "partial", "trash", "other"))
    # Nobody reads the volume, and the reports of both downloads tell most of it.
    (told,) = document(space, "df")["caches"]
    assert (told["space"]["inUse"], told["space"]["total"]) == (held["inUse"], held["total"])


def test_status_tells_how_far_and_how_fast_a_download_is(space: Space, hub: FakeHub, hub_root: Path) -> None:
    hub.faults.add(Fault(listener="cdn", bytes_per_second=20_000))
    space.install("small", wait=False, model__source=SMALL, server__replicas=0)

    cache = status_when(space, lambda cache: any(each["bytesPerSecond"] for each in cache["fetching"]))

    (fetch,) = cache["fetching"]
    assert fetch["source"] == SMALL
    assert 0 < fetch["bytesDone"] < fetch["bytesTotal"]
    size = (hub_root / "acme/small/main/model-f16.gguf").stat().st_size
    assert fetch["bytesTotal"] == pytest.approx(size, rel=0.05)  # its log says it with one digit behind the point
    assert fetch["stalled"] is None
    assert cache["copies"] == {"available": 0, "total": 1, "failed": 0}
    assert "/s" in space.llmkube("cache", "status").out


def test_status_says_why_a_download_stands_still(space: Space, hub: FakeHub) -> None:
    hub.faults.add(Fault(listener="cdn", status=429, headers={"Retry-After": "60"}))
    space.install("small", wait=False, model__source=SMALL, server__replicas=0)

    cache = status_when(space, lambda cache: any(each["stalled"] for each in cache["fetching"]))

    (fetch,) = cache["fetching"]
    assert fetch["stalled"].startswith("rate limited until ")
    assert fetch["bytesPerSecond"] is None
    assert "rate limited until " in space.llmkube("cache", "status").out


def test_status_says_what_a_pod_waits_for(space: Space) -> None:
    space.install("small", wait=False, model__source=SMALL, preload__enabled=False, server__nodeSelector={"no": "node"})

    cache = status_when(space, lambda cache: cache["waiting"])

    (pod,) = cache["pods"]
    assert "it can not be scheduled: 0/" in pod["waiting"]
    assert {"kind": "Pod", "name": pod["name"], "reason": pod["waiting"]} in cache["waiting"]


def test_the_plan_of_a_release_is_what_it_then_has(space: Space, tmp_path: Path) -> None:
    values = tmp_path / "values.json"
    values.write_text(json.dumps({"model": {"source": SMALL}, "modelCache": {"size": "256Mi"}}))
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(space.helm("template", "small", str(CHART), "--values", str(values)).out)

    plan = document(space, "plan", "-f", str(rendered))
    space.install("small", model__source=SMALL)

    (planned,), (entry,) = plan["entries"], document(space, "list")["entries"]
    assert [entry[name] for name in ("key", "source", "claim")] == [
        planned[name] for name in ("key", "source", "claim")
    ]
    assert plan["caches"][0]["capacity"] == 256 << 20
