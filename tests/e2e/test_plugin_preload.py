"""`helm llmkube cache preload` and `cache create` on a real cluster, in a real terminal."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from e2e.kit import Space
from fakehub import FakeHub
from fakehub.faults import Fault
from images.build import DOWNLOADER
from terminal import Terminal

pytestmark = pytest.mark.cluster

SMALL = "hf://acme/small/model-f16.gguf"
OTHER = "hf://acme/other/model-f16.gguf"
MIB = 1 << 20
Measure = Callable[[str, str], dict[str, int]]


@pytest.fixture
def cache(space: Space) -> Space:
    """A namespace with an empty cache, as its user makes one."""
    create(space)
    return space


def create(space: Space, *more: str) -> Any:
    """What `cache create` prints, with the images and the hub of the tests."""
    image = space.image(DOWNLOADER)
    sets = [f"downloader.image.{name}={value}" for name, value in image.items()]
    settings = [part for each in (*sets, f"downloader.hfEndpoint={space.hub_endpoint}") for part in ("--set", each)]
    flags = ["--size", "256Mi", "--timeout", "4m", "-o", "json"]
    return json.loads(space.llmkube("cache", "create", "models", *flags, *settings, *more).out)


@contextmanager
def terminal(space: Space, *arguments: str, columns: int = 100) -> Iterator[Terminal]:
    """Runs the plugin, through Helm, in a terminal of its own."""
    helm = space.helm
    environment = os.environ | {
        f"HELM_{kind}_HOME": str(helm.home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")
    }
    if helm.cluster.kubeconfig:
        environment["KUBECONFIG"] = str(helm.cluster.kubeconfig)
    context = ["--kube-context", helm.cluster.context] if helm.cluster.context else []
    command = [str(helm.binary), "llmkube", *arguments, "--namespace", space.name, *context]
    with Terminal(command, environment, columns=columns) as window:
        yield window


def preload_jobs(space: Space) -> list[Any]:
    return list(space.get("jobs", "--selector", "app.kubernetes.io/component=preload"))


def downloaded(hub: FakeHub) -> int:
    return sum(record.bytes for record in hub.requests if record.listener == "cdn")


def test_what_create_makes_is_filled_by_preload_and_shown_by_list(
    cache: Space, hub: FakeHub, volume_bytes: Measure
) -> None:
    done = cache.llmkube("cache", "preload", SMALL, OTHER, "-o", "json")
    reports = [job["report"] for job in json.loads(done.out)["jobs"]]
    assert [report["result"] for report in reports] == ["fetched", "fetched"]
    assert downloaded(hub) == sum(report["bytesFetched"] for report in reports)
    listed = json.loads(cache.llmkube("cache", "list", "-o", "json").out)["entries"]
    assert {entry["key"]: entry["claim"] for entry in listed} == dict.fromkeys(
        (report["key"] for report in reports), "models-model-cache"
    )
    assert volume_bytes(cache.name, "models-model-cache").keys() == {report["key"] for report in reports}


def test_a_second_run_says_that_all_is_there_and_asks_nobody(cache: Space, hub: FakeHub) -> None:
    cache.llmkube("cache", "preload", SMALL)
    hub.requests.clear()
    done = cache.llmkube("cache", "preload", SMALL)
    assert done.out == f"{SMALL}: complete already (4.0Mi), nothing downloaded\n"
    assert list(hub.requests) == []


def test_a_cache_that_is_there_is_not_made_again(cache: Space) -> None:
    done = cache.llmkube("cache", "create", "models", "--size", "1Gi", check=False)
    assert done.code == 1
    assert f"release models in namespace {cache.name} exists already" in done.err


def test_create_makes_nothing_with_dry_run(space: Space) -> None:
    document = create(space, "--dry-run")
    assert {item["kind"] for item in document["manifests"]} >= {"PersistentVolumeClaim", "CronJob"}
    assert space.get("pvc,cronjobs,jobs") == []


def test_in_a_terminal_each_download_has_a_bar_until_it_is_done(cache: Space, hub: FakeHub) -> None:
    hub.faults.add(Fault(listener="cdn", path="model-f16", bytes_per_second=MIB // 2))
    hub.faults.add(Fault(listener="cdn", path="model-f16", stall_at=3 * MIB))
    with terminal(cache, "cache", "preload", SMALL, OTHER) as window:
        window.until("i/s  ")
        bars = [line for line in window.lines if re.search(r"\[[#.]+\] +\d+% ", line)]
        hub.faults.clear()
        assert window.end() == 0, window.shown
    assert bars
    assert all(len(line) < 100 for line in bars)
    assert [line for line in window.lines if line.endswith("  done")] != []
    assert window.shown.count(": fetched 4.0Mi in ") == 2


def test_ctrl_c_leaves_a_download_that_is_then_followed_to_its_end(cache: Space, hub: FakeHub) -> None:
    hub.faults.add(Fault(listener="cdn", path="model-f16", stall_at=MIB))
    with terminal(cache, "cache", "preload", SMALL, columns=40) as window:
        hub.faults.wait_until_stalled(120)
        window.until("%")
        window.interrupt()
        assert window.end() == 130
    assert "goes on in the cluster without this command" in window.shown
    (job,) = preload_jobs(cache)
    assert f"kubectl delete job {job['metadata']['name']} -n {cache.name}" in window.shown

    begun = cache.llmkube("cache", "preload", SMALL, "--no-wait", "-o", "json")
    assert [each["followed"] for each in json.loads(begun.out)["jobs"]] == [True]
    hub.faults.clear()
    (done,) = json.loads(cache.llmkube("cache", "preload", SMALL, "-o", "json").out)["jobs"]
    assert done["report"]["result"] in ("fetched", "hit")  # hit: it ended before it could be followed
    entries = json.loads(cache.llmkube("cache", "list", "-o", "json").out)["entries"]
    assert [entry["state"] for entry in entries] == ["complete"]
    cache.kubectl("wait", "--for=condition=complete", "job", job["metadata"]["name"], "--timeout=90s")


def test_what_another_pod_downloads_is_waited_for_and_said(cache: Space, hub: FakeHub) -> None:
    hub.faults.add(Fault(listener="cdn", path="model-f16", stall_at=MIB))
    cache.llmkube("cache", "preload", SMALL, "--no-wait")
    hub.faults.wait_until_stalled(120)
    # The same entry by other arguments: a Job of its own, which finds the first one at work.
    with terminal(cache, "cache", "preload", "hf://acme/small", "--file", "model-f16.gguf") as window:
        window.until("small  waiting for ")
        hub.faults.clear()
        assert window.end() == 0, window.shown
    assert "complete already (4.0Mi), nothing downloaded" in window.shown
    assert downloaded(hub) < 8 * MIB
