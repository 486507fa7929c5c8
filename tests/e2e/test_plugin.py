"""`helm llmkube` on a real cluster: it tells the truth about bytes, and acts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from e2e.kit import Done, Helm, Space
from fakehub import FakeHub

pytestmark = pytest.mark.cluster

SMALL = "hf://acme/small/model-f16.gguf"
OTHER = "hf://acme/other/model-f16.gguf"
Measure = Callable[[str, str], dict[str, int]]
Leases = Callable[[str, str], list[str]]


def _entries(space: Space, *flags: str) -> list[Any]:
    found: list[Any] = json.loads(space.llmkube("cache", "list", "-o", "json", *flags).out)["entries"]
    return found


def _preload(space: Space, *arguments: str) -> Any:
    """The report of the one Job that a preload makes."""
    (job,) = json.loads(space.llmkube("cache", "preload", *arguments, "-o", "json").out)["jobs"]
    return job["report"]


@pytest.fixture
def served(space: Space) -> Space:
    space.install("small", model__source=SMALL)
    return space


def test_list_shows_the_bytes_that_are_on_the_volume(served: Space, volume_bytes: Measure) -> None:
    on_volume = volume_bytes(served.name, "small-model-cache")
    for flags in ([], ["--scan"]):
        (entry,) = _entries(served, *flags)
        assert (entry["releases"], entry["source"], entry["claim"]) == (["small"], SMALL, "small-model-cache")
        assert entry["state"] == "complete"
        assert 0 <= on_volume[entry["key"]] - entry["bytes"] < 4096  # the manifest lies beside the weights


def test_scan_finds_what_no_release_uses(served: Space, hub: FakeHub) -> None:
    hub.requests.clear()
    preloaded = _preload(served, OTHER, "--cache", "small-model-cache")
    assert preloaded["result"] == "fetched"
    assert preloaded["bytesFetched"] == sum(record.bytes for record in hub.requests if record.listener == "cdn")
    (orphan,) = _entries(served, "--scan", "--orphans")
    assert (orphan["key"], orphan["bytes"]) == (preloaded["key"], preloaded["bytesTotal"])


def test_preload_of_a_release_says_when_nothing_is_left_to_do(served: Space, hub: FakeHub) -> None:
    hub.requests.clear()
    report = _preload(served, "small")
    assert (report["result"], report["bytesFetched"]) == ("hit", 0)
    assert list(hub.requests) == []


def test_preload_fills_a_cache_before_anything_is_served(space: Space, hub: FakeHub) -> None:
    space.install("small", model__source=SMALL, server__replicas=0, preload__enabled=False)
    assert list(hub.requests) == []
    assert _preload(space, "small")["result"] == "fetched"
    hub.requests.clear()
    space.kubectl("scale", "deployment/small", "--replicas=1")
    space.kubectl("rollout", "status", "deployment/small", "--timeout=120s")
    assert space.chat("small").strip()
    assert list(hub.requests) == []


def test_preload_that_can_not_succeed_ends_with_the_downloaders_exit_code(served: Space) -> None:
    done = served.llmkube(
        "cache", "preload", "hf://acme/small/nothing.gguf", "--cache", "small-model-cache", check=False
    )
    assert done.code == 12
    assert "nothing.gguf" in done.err


def test_clear_refuses_what_a_pod_uses_and_names_the_pod(
    served: Space, volume_bytes: Measure, volume_leases: Leases
) -> None:
    before = volume_bytes(served.name, "small-model-cache")
    (metadata,) = (pod["metadata"] for pod in served.pods("small", "server"))
    pod = metadata["name"]
    # The preload Job's pod was there before, and uses nothing.
    assert volume_leases(served.name, "small-model-cache") == [metadata["uid"]]
    done = served.llmkube("cache", "clear", "--model", "small", "--yes", check=False)
    assert done.code != 0
    assert pod in done.out + done.err
    assert volume_bytes(served.name, "small-model-cache") == before


def test_clear_frees_the_bytes_at_once_when_the_pods_are_gone_and_the_next_start_downloads_again(
    served: Space, hub: FakeHub, volume_bytes: Measure, volume_leases: Leases
) -> None:
    (gone,) = (pod["metadata"]["uid"] for pod in served.pods("small", "server"))
    served.kubectl("scale", "deployment/small", "--replicas=0")
    served.kubectl("wait", "--for=delete", "pod", "--selector=app.kubernetes.io/component=server", "--timeout=90s")
    assert volume_leases(served.name, "small-model-cache") == [gone]
    (entry,) = _entries(served)
    on_volume = volume_bytes(served.name, "small-model-cache")[entry["key"]]
    done = served.llmkube("cache", "clear", entry["key"], "--yes", "-o", "json")
    assert json.loads(done.out)["bytesFreed"] == on_volume
    assert volume_bytes(served.name, "small-model-cache") == {}
    assert _entries(served, "--scan") == [] or _entries(served, "--scan")[0]["state"] != "complete"

    hub.requests.clear()
    served.kubectl("scale", "deployment/small", "--replicas=1")
    served.kubectl("rollout", "status", "deployment/small", "--timeout=120s")
    assert sum(record.bytes for record in hub.requests if record.listener == "cdn") == entry["bytes"]


def test_clear_shows_the_plan_and_leaves_everything_with_dry_run(served: Space, volume_bytes: Measure) -> None:
    before = volume_bytes(served.name, "small-model-cache")
    done = served.llmkube("cache", "clear", "--all", "--force", "--dry-run")
    assert SMALL in done.out
    assert volume_bytes(served.name, "small-model-cache") == before


def test_reading_makes_no_object(served: Space) -> None:
    kinds = "pods,jobs,cronjobs,pvc,deployments,secrets,configmaps"
    before = {item["metadata"]["uid"] for item in served.get(kinds)}
    served.llmkube("cache", "list")
    served.llmkube("cache", "status")
    assert {item["metadata"]["uid"] for item in served.get(kinds)} == before


def test_helm_3_shows_what_helm_4_shows(served: Space, helm3: Helm) -> None:
    arguments = ["llmkube", "cache", "list", "-o", "name", "--namespace", served.name]
    assert helm3(*arguments).out == served.helm(*arguments).out != ""


@pytest.mark.parametrize("binary", ["helm", "helm3"])
def test_the_verbs_work_on_a_directory_without_any_cluster(
    binary: str, request: pytest.FixtureRequest, hub: FakeHub, tmp_path: Path
) -> None:
    helm: Helm = request.getfixturevalue(binary)
    cache = tmp_path / "models"
    environment = {"KUBECONFIG": os.devnull, "HF_ENDPOINT": hub.endpoint}

    def verb(*arguments: str) -> Done:
        return helm("llmkube", "cache", *arguments, "--dir", str(cache), env=environment)

    verb("preload", SMALL)
    (entry,) = json.loads(verb("list", "-o", "json").out)["entries"]
    on_disk = sum(path.stat().st_size for path in (cache / entry["key"]).iterdir())
    assert (entry["source"], entry["state"]) == (SMALL, "complete")
    assert 0 <= on_disk - entry["bytes"] < 4096
    verb("clear", "--all", "--yes")
    assert not (cache / entry["key"]).exists()
