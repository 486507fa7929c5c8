"""Models that are served from where they are, and claims that are no caches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import releases

if TYPE_CHECKING:
    from fake_kubernetes import FakeKubernetes

    from conftest import Run

    Object = dict[str, Any]

SOURCE = "pvc://weights/llama/a.gguf"


def in_place(name: str = "web", source: str = SOURCE, **values: Any) -> list[Object]:
    """Return a release that serves a model from a claim or an image, without a cache."""
    model = {"source": source} if source.endswith(".gguf") else {"source": source, "files": ["a.gguf"]}
    return releases.release(name, model=model, **values)


def server_pod(items: list[Object], name: str = "web-1") -> Object:
    status = {"phase": "Running", "containerStatuses": [{"name": "server", "state": {"running": {}}}]}
    return releases.pod_of(releases.of_kind(items, "Deployment"), name, status)


def document(run: Run, *arguments: str) -> dict[str, Any]:
    result = run("cache", *arguments, "-o", "json")
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


@pytest.mark.parametrize(
    ("source", "claim"), [(SOURCE, "weights"), ("oci://registry.example.com/models/a:1", None)], ids=["claim", "image"]
)
def test_a_model_that_is_served_in_place_is_listed_as_such(
    cluster: FakeKubernetes, run: Run, source: str, claim: str | None
) -> None:
    items = in_place(source=source)
    cluster.add(*items, server_pod(items))

    (entry,) = document(run, "list")["entries"]

    assert (entry["state"], entry["source"], entry["claim"], entry["key"]) == ("in place", source, claim, None)
    assert (entry["releases"], entry["users"], entry["orphan"]) == (["web"], ["web-1"], False)


def test_reading_volumes_leaves_alone_what_is_no_cache(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*in_place())

    result = run("cache", "list", "--scan")

    assert "left out" not in result.stderr
    assert "in place" in result.stdout
    assert not [asked for asked in cluster.asked if asked.method == "POST"]


def test_a_server_counts_for_every_entry_of_the_claim_it_serves_from(cluster: FakeKubernetes, run: Run) -> None:
    items = in_place("other", f"pvc://web-model-cache/{releases.TINY_KEY}/model.gguf")
    cluster.add(*releases.serving(), *items, server_pod(items, "other-1"))

    found = {entry["key"]: entry for entry in document(run, "list")["entries"]}

    assert found[releases.TINY_KEY]["users"] == ["other-1"]


def test_a_cache_that_is_served_in_place_too_is_still_a_cache(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*in_place("a", "pvc://web-model-cache/x/model.gguf"), *releases.serving())

    (cache,) = document(run, "list")["caches"]

    assert cache["mode"] == "perModel"


def test_clear_does_not_offer_what_is_served_in_place(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving(), *in_place("a", "pvc://web-model-cache/x/model.gguf"))
    cluster.plays = lambda _: releases.volume(releases.on_volume(releases.TINY_KEY))

    found = document(run, "clear", "--all", "--dry-run")

    assert releases.TINY_KEY in json.dumps(found)
    assert "x/model.gguf" not in json.dumps(found)


def test_preload_of_a_release_that_serves_in_place_says_why_not(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*in_place())

    result = run("cache", "preload", "web")

    assert result.exit_code == 1
    assert "serves its model from where it is: there is nothing to download" in result.stderr
    assert SOURCE in result.stderr


def test_work_on_a_claim_that_is_no_cache_is_refused(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*in_place())

    result = run("cache", "verify", "--claim", "weights")

    assert result.exit_code == 1
    assert "claim weights in namespace" in result.stderr
    assert "is no cache: a release serves what others put there" in result.stderr


def test_a_claim_of_compiled_artefacts_is_no_cache(cluster: FakeKubernetes, run: Run) -> None:
    values = {"model": {"source": releases.TINY}, "modelCache": {"size": "1Gi"}, "artifactCache": {"enabled": True}}
    cluster.add(*releases.release("web", **values))

    assert [cache["claim"] for cache in document(run, "list")["caches"]] == ["web-model-cache"]


def copying(values: dict[str, Any], status: Object, kind: str) -> list[Object]:
    """Return a release whose pod of a kind of workload reads from the claim `web-model-cache` of another one."""
    items = releases.release("copy", modelCache={"size": "1Gi", **values.pop("modelCache", {})}, **values)
    return [*items, releases.pod_of(releases.of_kind(items, kind), "copy-1", status)]


def test_a_job_that_copies_from_a_cache_uses_all_of_it(cluster: FakeKubernetes, run: Run) -> None:
    source = f"pvc://web-model-cache/{releases.TINY_KEY}"
    running = releases.job_pod({"running": {}}, "Running")
    cluster.add(*releases.serving(), *copying({"preload": {"models": {"a": {"source": source}}}}, running, "Job"))

    found = {entry["key"]: entry for entry in document(run, "list")["entries"]}

    assert found[releases.TINY_KEY]["users"] == ["copy-1"]


@pytest.mark.parametrize(("done", "users"), [(False, ["copy-1"]), (True, [])], ids=["at it", "done"])
def test_a_pod_uses_the_entry_of_another_cache_until_its_own_has_it(
    cluster: FakeKubernetes, run: Run, done: bool, users: list[str]
) -> None:
    values = {
        "model": {"source": releases.TINY},
        "modelCache": {"upstream": {"web": {"claimName": "web-model-cache"}}},
    }
    fetching = {"phase": "Pending", "initContainerStatuses": [{"name": "fetch", "state": {"running": {}}}]}
    cluster.add(*releases.serving(), *copying(values, releases.served() if done else fetching, "Deployment"))

    found = {entry["claim"]: entry for entry in document(run, "list")["entries"]}

    assert found["web-model-cache"]["users"] == users
