"""`cache status` says how far downloads are, what holds them up, and what claims, Jobs and pods wait for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import releases

if TYPE_CHECKING:
    from fake_kubernetes import FakeKubernetes, Object

    from conftest import Run

GI = 1 << 30
RATE_LIMITED = (
    "1.0 GiB of 4.0 GiB (25%); hub answered 429, asking to wait 60 s; trying again in 1m00s, at 10:15:30 UTC (1 of 5)"
)


def status(run: Run, *arguments: str) -> dict[str, Any]:
    result = run("cache", "status", "-o", "json", *arguments)
    assert result.exit_code == 0, result.output
    [cache] = json.loads(result.stdout)["caches"]
    return dict(cache)


def warning(about: Object, message: str, reason: str = "Any", at: str = "2026-01-01T00:00:00Z") -> Object:
    metadata = {"name": f"event-{message[:8].strip().lower()}-{at[:10]}"}
    about = {"uid": about["metadata"]["uid"]}
    told = {"type": "Warning", "reason": reason, "message": message, "lastTimestamp": at}
    return {"kind": "Event", "metadata": metadata, "involvedObject": about, **told}


def waiting(run: Run) -> dict[str, str]:
    """Return what waits, by its kind."""
    return {wait["kind"]: wait["reason"] for wait in status(run)["waiting"]}


@pytest.fixture
def items(cluster: FakeKubernetes) -> list[Object]:
    """Install a release whose claim has its volume; UIDs are the names."""
    items = releases.serving()
    releases.of_kind(items, "PersistentVolumeClaim")["status"] = {"phase": "Bound"}
    for item in items:
        item["metadata"]["uid"] = f"{item['kind']}-uid"
    cluster.add(*items)
    return items


def fetching(cluster: FakeKubernetes, items: list[Object], log: str) -> None:
    running = releases.job_pod({"running": {}}, "Running")
    cluster.add(releases.pod_of(releases.of_kind(items, "Job"), "p", running))
    cluster.logs["p", "fetch"] = log


@pytest.mark.parametrize(
    ("log", "shown", "stalled"),
    [
        (
            RATE_LIMITED,
            "1.0Gi of 4.0Gi (25%), stalled: rate limited until 10:15:30 UTC",
            "rate limited until 10:15:30 UTC",
        ),
        (
            "5.0 KiB; hub.example broke the connection; trying again in 2s (1 of 5)",
            "5.0Ki, stalled: hub.example broke the connection; trying again",
            "hub.example broke the connection; trying again",
        ),
        (
            "pod web-7 fetches the same; waiting since 30s",
            "waiting for pod web-7, which downloads the same",
            "waiting for pod web-7, which downloads the same",
        ),
        ("4.9 KiB, 4.9 KiB/s", "4.9Ki, 4.9Ki/s", None),
        (
            f"{RATE_LIMITED}\n2.0 GiB of 4.0 GiB (50%), 1.0 GiB/s, 2s left",
            "2.0Gi of 4.0Gi (50%), 1.0Gi/s, 2.0s left",
            None,
        ),
        ("looking for the model", "looking for the model", None),
        ("", "it has said nothing yet", None),
    ],
)
def test_a_download_says_how_far_it_is_or_what_holds_it_up(
    cluster: FakeKubernetes, run: Run, items: list[Object], log: str, shown: str, stalled: str | None
) -> None:
    fetching(cluster, items, log)

    assert f"  fetching: {releases.TINY} in p\n    {shown}\n" in run("cache", "status").stdout
    [fetch] = status(run)["fetching"]
    assert fetch["stalled"] == stalled
    assert fetch["bytesPerSecond"] is None or not stalled


def test_a_volume_is_as_full_as_the_newest_report_says_with_its_age(
    cluster: FakeKubernetes, run: Run, items: list[Object]
) -> None:
    unknown = run("cache", "status").stdout
    report = releases.fetched(volume={"total": 100 * GI, "free": 60 * GI})
    cluster.add(releases.pod_of(releases.of_kind(items, "Deployment"), "web-1", releases.served(report)))

    assert "  volume: not known yet: no pod has reported, --scan looks\n" in unknown
    assert "  volume: 40.0Gi used, 60.0Gi free of 100Gi, " in run("cache", "status").stdout
    assert status(run)["space"]["observed"] == "2026-01-02T03:04:05Z"


def test_a_scan_reads_the_volume_itself(cluster: FakeKubernetes, run: Run, items: list[Object]) -> None:
    assert items
    cluster.plays = lambda _: releases.volume(releases.on_volume(releases.TINY_KEY))

    shown = run("cache", "status", "--scan").stdout

    assert "  volume: 512Mi used, 512Mi free of 1.0Gi\n  entries: 1, 4.9Ki on the volume\n" in shown
    assert "  copies: 1 of 1 available\n" in shown


def test_a_volume_that_can_not_be_read_does_not_hide_the_rest(
    cluster: FakeKubernetes, run: Run, items: list[Object]
) -> None:
    assert items
    cluster.refuse("create", "jobs", 403, "exceeded quota")

    result = run("cache", "status", "--scan")

    assert result.exit_code == 1
    assert result.stdout.startswith("default/web-model-cache: Bound")
    assert "exceeded quota" in result.stderr


def test_copies_count_what_is_whole_what_is_wanted_and_what_failed(cluster: FakeKubernetes, run: Run) -> None:
    models = {name: {"source": f"hf://org/{name}/x.gguf"} for name in ("a", "b", "c")}
    items = releases.release(
        "shelf", modelCache={"mode": "shared", "create": True, "size": "1Ti"}, preload={"models": models}
    )
    jobs = [item for item in items if item["kind"] == "Job"]
    cluster.add(*items)
    whole = releases.job_pod(
        releases.ended(0, releases.fetched(key=jobs[0]["metadata"]["labels"]["llmkube.dev/key"])), "Succeeded"
    )
    cluster.add(releases.pod_of(jobs[0], "p0", whole))
    cluster.add(releases.pod_of(jobs[1], "p1", releases.job_pod(releases.ended(16), "Failed")))

    assert status(run)["copies"] == {"available": 1, "total": 3, "failed": 1}
    assert "  copies: 1 of 3 available, 1 failed\n" in run("cache", "status").stdout


class TestWaiting:
    def test_a_pod_that_does_not_start_says_what_its_events_say(
        self, cluster: FakeKubernetes, run: Run, items: list[Object]
    ) -> None:
        pod = releases.pod_of(releases.of_kind(items, "Deployment"), "web-1", {"phase": "Pending"})
        pod["metadata"]["uid"] = "pod-uid"
        cluster.add(pod, warning(pod, "old news", at="2026-01-01T00:00:00Z"))
        cluster.add(warning(pod, "MountVolume.SetUp failed: stale handle", at="2026-01-02T00:00:00Z"))
        # It has a node by now.
        cluster.add(warning(pod, "0/3 nodes are available", "FailedScheduling", at="2026-01-03T00:00:00Z"))

        shown = run("cache", "status").stdout

        assert "    web-1  Pending on node-1: MountVolume.SetUp failed: stale handle\n" in shown
        assert status(run)["pods"][0]["waiting"] == "MountVolume.SetUp failed: stale handle"

    def test_a_pod_that_can_not_be_scheduled_needs_no_events(
        self, cluster: FakeKubernetes, run: Run, items: list[Object]
    ) -> None:
        condition = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
        pod = releases.pod_of(
            releases.of_kind(items, "Deployment"), "web-1", {"phase": "Pending", "conditions": [condition]}
        )
        cluster.add(pod)
        cluster.delete("jobs", "default", releases.of_kind(items, "Job")["metadata"]["name"])

        assert waiting(run) == {"Pod": "it can not be scheduled: 0/3 nodes are available"}
        assert not any(asked.path.endswith("/events") for asked in cluster.asked)

    def test_a_job_whose_pods_may_not_be_made_says_why(
        self, cluster: FakeKubernetes, run: Run, items: list[Object]
    ) -> None:
        cluster.add(warning(releases.of_kind(items, "Job"), "pods are forbidden: exceeded quota", "FailedCreate"))

        assert waiting(run) == {"Job": "pods are forbidden: exceeded quota"}
        assert "  waiting: Job web-preload-" in run("cache", "status").stdout

    @pytest.mark.parametrize(
        "state", [{"active": 1}, {"succeeded": 1}, {"conditions": [{"type": "Failed", "status": "True"}]}]
    )
    def test_a_job_that_has_pods_or_has_ended_waits_for_nothing(
        self, cluster: FakeKubernetes, run: Run, items: list[Object], state: Object
    ) -> None:
        job = releases.of_kind(items, "Job")
        cluster.add({**job, "status": state}, warning(job, "an old complaint"))

        assert waiting(run) == {}

    def test_a_deployment_whose_pods_may_not_be_made_says_why(
        self, cluster: FakeKubernetes, run: Run, items: list[Object]
    ) -> None:
        condition = {"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}
        cluster.add({**releases.of_kind(items, "Deployment"), "status": {"conditions": [condition]}})

        assert waiting(run) == {"Deployment": "violates PodSecurity"}

    def test_a_claim_without_a_volume_says_what_its_events_say(
        self, cluster: FakeKubernetes, run: Run, items: list[Object]
    ) -> None:
        claim = {**releases.of_kind(items, "PersistentVolumeClaim"), "status": {"phase": "Pending"}}
        cluster.add(claim)

        assert waiting(run) == {"PersistentVolumeClaim": "no pod mounts it yet, and its class may wait for one"}
        pod = releases.pod_of(releases.of_kind(items, "Deployment"), "web-1", {"phase": "Pending"})
        cluster.add(pod, warning(claim, "storageclass fast not found", "ProvisioningFailed"))
        assert waiting(run) == {"PersistentVolumeClaim": "storageclass fast not found"}

    def test_without_the_right_to_see_events_the_rest_is_shown(
        self, cluster: FakeKubernetes, run: Run, items: list[Object]
    ) -> None:
        cluster.add(releases.pod_of(releases.of_kind(items, "Deployment"), "web-1", {"phase": "Pending"}))
        cluster.refuse("list", "events", 403, "no")

        result = run("cache", "status")

        assert result.exit_code == 0
        assert "    web-1  Pending on node-1\n" in result.stdout
