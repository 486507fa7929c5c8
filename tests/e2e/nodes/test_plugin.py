"""`helm llmkube` where a volume is on one node, attached to a pod, and nodes are tainted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.provider import Local
from e2e.kit import Space

pytestmark = pytest.mark.cluster

SMALL = "hf://acme/small/model-f16.gguf"
OTHER = "hf://acme/other/model-f16.gguf"
TAINT = "dedicated=models:NoSchedule"
TOLERATION = {"key": "dedicated", "operator": "Equal", "value": "models", "effect": "NoSchedule"}


@pytest.fixture
def tainted(space: Space, stage: Local) -> Iterator[Space]:
    """A namespace, on nodes that only pods with a toleration may run on."""
    stage.kubectl("taint", "nodes", "--all", TAINT)
    yield space
    stage.kubectl("taint", "nodes", "--all", f"{TAINT}-")


def test_verbs_run_where_the_volume_is_attached_on_tainted_nodes(tainted: Space) -> None:
    tainted.install("small", model__source=SMALL, server__tolerations=[TOLERATION])
    (server,) = tainted.pods("small", "server")
    (claim,) = tainted.get("pvc")
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]

    preloaded = _json(tainted, "preload", OTHER)["jobs"][0]["report"]
    assert preloaded["result"] == "fetched"
    assert {entry["state"] for entry in _json(tainted, "list", "--scan")["entries"]} == {"complete"}
    assert {entry["state"] for entry in _json(tainted, "verify")["entries"]} == {"complete"}
    cleared = _json(tainted, "clear", "--model", OTHER, "--yes")
    assert [entry["key"] for entry in cleared["entries"]] == [preloaded["key"]]
    refused = tainted.llmkube("cache", "clear", "--model", "small", "--yes", check=False)
    assert refused.code == 1
    assert server["metadata"]["name"] in refused.err

    nodes = _nodes_of_jobs(tainted)
    assert len(nodes) >= 6  # the release's own download, preload, list, verify, and list and remove of clear
    assert set(nodes) == {server["spec"]["nodeName"]}


def test_a_taint_that_the_release_does_not_tolerate_is_told(space: Space, stage: Local) -> None:
    space.install("small", model__source=SMALL, server__replicas=0)
    stage.kubectl("taint", "nodes", "--all", TAINT)
    try:
        done = space.llmkube("cache", "list", "--scan", "--timeout", "1s", check=False)
    finally:
        stage.kubectl("taint", "nodes", "--all", f"{TAINT}-")
    assert done.code == 1
    assert "it can not be scheduled" in done.err
    assert "untolerated taint" in done.err
    assert [job["metadata"]["name"] for job in space.get("jobs") if "maintenance" in job["metadata"]["name"]] == []


def _json(space: Space, *arguments: str) -> Any:
    return json.loads(space.llmkube("cache", *arguments, "-o", "json").out)


def _nodes_of_jobs(space: Space) -> list[str]:
    """Return the nodes on which pods of Jobs were started, those of deleted Jobs too, from the scheduler's events."""
    events = space.get("events", "--field-selector=reason=Scheduled")
    started = [
        event for event in events if {"preload", "maintenance"} & set(event["involvedObject"]["name"].split("-"))
    ]
    return [event["message"].rpartition(" ")[2] for event in started]
