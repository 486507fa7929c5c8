"""The verbs of `helm llmkube` that change a volume, on a real cluster: what they say is what `du` says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from e2e.kit import Space
from fakehub import FakeHub
from terminal import Terminal, plugin

pytestmark = pytest.mark.cluster

SMALL = "hf://acme/small/model-f16.gguf"
OTHER = "hf://acme/other/model-f16.gguf"
GATED = "hf://acme/gated/model-f16.gguf"
CLAIM = "small-model-cache"
Measure = Callable[[str, str], dict[str, int]]


@pytest.fixture
def served(space: Space) -> Space:
    """A release that serves a model, whose volume holds another one beside it that no release names."""
    space.install("small", model__source=SMALL)
    space.llmkube("cache", "preload", OTHER, "--cache", CLAIM)
    return space


def _keys(space: Space) -> dict[str, str]:
    """The key of each source on the volume."""
    listed = json.loads(space.llmkube("cache", "list", "--scan", "-o", "json").out)["entries"]
    return {entry["source"]: entry["key"] for entry in listed}


def _jobs(space: Space) -> list[str]:
    """The Jobs of the plugin that work on volumes, and are still there."""
    labels = "app.kubernetes.io/component=maintenance"
    return [job["metadata"]["name"] for job in space.get("jobs", "--selector", labels)]


def _document(space: Space, *arguments: str) -> Any:
    return json.loads(space.llmkube("cache", *arguments, "-o", "json").out)


def _are_those_of(counted: int, on_disk: int) -> bool:
    """Whether bytes are those of weights, beside which a manifest lies."""
    return 0 <= on_disk - counted < 4096


def test_prune_frees_what_it_said_and_leaves_what_a_server_has_open(served: Space, volume_bytes: Measure) -> None:
    keys, before = _keys(served), volume_bytes(served.name, CLAIM)
    planned = _document(served, "prune", "--unused", "--dry-run")
    assert volume_bytes(served.name, CLAIM) == before
    pruned = _document(served, "prune", "--unused", "--yes")
    after = volume_bytes(served.name, CLAIM)

    assert [item["key"] for item in planned["removed"]] == [item["key"] for item in pruned["removed"]] == [keys[OTHER]]
    assert _are_those_of(pruned["bytes"], before[keys[OTHER]])
    assert after == {keys[SMALL]: before[keys[SMALL]]}
    (kept,) = pruned["kept"]
    (pod,) = (pod["metadata"]["name"] for pod in served.pods("small", "server"))
    assert (kept["key"], pod in kept["cause"]) == (keys[SMALL], True)
    assert served.chat("small").strip()
    assert _jobs(served) == []


def test_prune_by_size_removes_no_more_than_has_to_go(served: Space, volume_bytes: Measure) -> None:
    before = volume_bytes(served.name, CLAIM)
    # Both do not fit, and the server's stays, whichever was used longer ago.
    limit = max(before.values()) + 4096
    pruned = _document(served, "prune", "--max-bytes", str(limit), "--yes")
    after = volume_bytes(served.name, CLAIM)

    assert _are_those_of(pruned["bytes"], sum(before.values()) - sum(after.values()))
    assert len(after) == 1
    assert _document(served, "prune", "--max-bytes", "1", "--yes")["caches"][0]["overBytes"] > 0
    assert volume_bytes(served.name, CLAIM) == after


def test_a_pin_holds_against_clear_and_prune_until_it_is_lifted(served: Space, volume_bytes: Measure) -> None:
    key, before = _keys(served)[OTHER], volume_bytes(served.name, CLAIM)
    assert _document(served, "pin", "--model", OTHER)["entries"][0]["key"] == key

    refused = served.llmkube("cache", "clear", key, "--yes", check=False)
    orphans = served.llmkube("cache", "clear", "--orphans", "--yes")
    pruned = _document(served, "prune", "--unused", "--yes")

    assert refused.code == 1
    assert f"{key} in {CLAIM} is pinned" in refused.err
    assert f"{key} in {CLAIM} stays: it is pinned." in orphans.err
    assert pruned["removed"] == []
    assert volume_bytes(served.name, CLAIM) == before

    served.llmkube("cache", "unpin", key)
    assert _are_those_of(_document(served, "prune", "--unused", "--yes")["bytes"], before[key])
    assert key not in volume_bytes(served.name, CLAIM)


def test_clear_orphans_frees_what_no_release_names(served: Space, volume_bytes: Measure) -> None:
    keys, before = _keys(served), volume_bytes(served.name, CLAIM)
    cleared = _document(served, "clear", "--orphans", "--yes")

    assert cleared["bytesFreed"] == before[keys[OTHER]]
    assert volume_bytes(served.name, CLAIM) == {keys[SMALL]: before[keys[SMALL]]}


def test_a_repair_downloads_what_is_damaged_with_the_credentials_of_the_release(
    space: Space, hub: FakeHub, token: str, volume_file: Callable[[str, str, str], Path]
) -> None:
    space.kubectl("create", "secret", "generic", "hub", f"--from-literal=HF_TOKEN={token}")
    space.install("small", model__source=GATED, model__existingSecret="hub", server__replicas=0)
    space.kubectl("wait", "--for=condition=complete", "job", "--all", "--timeout=120s")
    file = volume_file(space.name, CLAIM, "model.gguf")
    right = file.read_bytes()
    with file.open("r+b") as opened:
        opened.seek(len(right) // 2)
        opened.write(b"damage")

    found = space.llmkube("cache", "verify", "--model", "small", check=False)
    hub.requests.clear()
    repaired = _document(space, "verify", "--model", "small", "--repair")

    assert (found.code, "--repair" in found.err) == (13, True)
    (entry,) = repaired["entries"]
    assert (
        0
        < entry["repaired"]["bytesFetched"]
        == sum(record.bytes for record in hub.requests if record.listener == "cdn")
    )
    assert volume_file(space.name, CLAIM, "model.gguf").read_bytes() == right
    assert space.llmkube("cache", "verify", "--model", "small").code == 0
    assert _jobs(space) == []


def test_ctrl_c_leaves_no_job_behind_that_only_read(served: Space) -> None:
    # The pod can not be scheduled, so the command waits.
    (cronjob,) = served.get("cronjobs", "--selector", "app.kubernetes.io/component=maintenance")
    spec = {"jobTemplate": {"spec": {"template": {"spec": {"nodeSelector": {"never": "there"}}}}}}
    served.kubectl("patch", "cronjob", cronjob["metadata"]["name"], "--patch", json.dumps({"spec": spec}))
    environment = dict(os.environ)
    if served.cluster.kubeconfig:
        environment["KUBECONFIG"] = str(served.cluster.kubeconfig)
    context = ["--kube-context", served.cluster.context] if served.cluster.context else []

    with Terminal(plugin("cache", "verify", "-n", served.name, *context), environment) as terminal:
        terminal.until("it can not be scheduled")
        assert len(_jobs(served)) == 1
        terminal.interrupt()
        assert terminal.end() == 130

    assert "Interrupted. The Jobs that it had made are deleted." in terminal.shown
    assert _jobs(served) == []
