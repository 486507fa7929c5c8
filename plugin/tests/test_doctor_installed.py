"""What the doctor says of releases that are there, in full."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import releases
from clinic import FINE, cluster_object, storage_class

from llmkube_plugin.doctor import checks

if TYPE_CHECKING:
    from clinic import Clinic

Object = dict[str, Any]

FAILED = {"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "Container fetch failed"}


@pytest.fixture
def web(clinic: Clinic) -> list[Object]:
    """The objects of a release that is there; a test changes them and adds them."""
    items = releases.release("web", **FINE)
    releases.of_kind(items, "PersistentVolumeClaim")["status"] = {"phase": "Bound"}
    clinic.cluster.add(cluster_object("ServiceAccount", "web"))
    return items


def said(clinic: Clinic, *arguments: str) -> str:
    return clinic.run("doctor", *arguments).stdout


def test_a_release_that_is_well(clinic: Clinic, web: list[Object]) -> None:
    clinic.cluster.add(*web)

    assert said(clinic, "web") == "release web in namespace default: nothing found\n"
    assert said(clinic) == "namespace default: nothing found\n"


def test_one_release_or_all(clinic: Clinic, web: list[Object]) -> None:
    chat = releases.release("chat", **FINE, server={"nodeSelector": {"gpu": "a100"}})
    clinic.cluster.add(*web, *chat)

    assert "node-selector" not in said(clinic, "web")
    assert "node-selector: Deployment chat" in said(clinic, "chat")
    assert "node-selector: Deployment chat" in said(clinic)


def test_a_release_that_is_not_there(clinic: Clinic, web: list[Object]) -> None:
    clinic.cluster.add(*web)

    result = clinic.run("doctor", "chat")

    assert result.exit_code == 1
    assert "there is no release 'chat' in namespace default; there are: web\n" in result.stderr
    assert "is examined by its values (-f, --set) or its manifests (--manifests)." in result.stderr


def test_a_namespace_without_releases_says_so(clinic: Clinic) -> None:
    result = clinic.run("doctor")

    assert result.stdout == "namespace default: nothing found\n"
    assert result.stderr == "No releases found in namespace default.\n"


def test_job_failed(clinic: Clinic, web: list[Object]) -> None:
    job = releases.of_kind(web, "Job")
    job["metadata"]["name"] = "web-preload"
    job["status"] = {"conditions": [FAILED]}
    report = releases.failed(11, "auth", "no access to org/repo.", "Ask its owner.")
    pod = releases.pod_of(job, "p", releases.job_pod(releases.ended(11, report), "Failed"))
    pod["metadata"]["labels"]["job-name"] = "web-preload"
    clinic.cluster.add(*web, pod)

    assert said(clinic, "web").startswith(
        "PROBLEM job-failed: Job web-preload\n"
        "  It failed for good (auth): no access to org/repo.\n"
        "  What it should have done is not done, and it does not try again.\n"
        "  Ask its owner. Then run it again: `kubectl -n default delete job web-preload`, and `helm upgrade` with the "
        "same values.\n"
    )


def test_job_failed_without_a_pod_that_tells(clinic: Clinic, web: list[Object]) -> None:
    releases.of_kind(web, "Job")["status"] = {"conditions": [FAILED]}
    clinic.cluster.add(*web)

    assert "  It failed for good: Container fetch failed\n" in said(clinic, "web")


def test_pods_refused(clinic: Clinic, web: list[Object]) -> None:
    condition = {
        "type": "ReplicaFailure",
        "status": "True",
        "message": 'pods "web-1" is forbidden: exceeded quota: team',
    }
    releases.of_kind(web, "Deployment")["status"] = {"conditions": [condition]}
    clinic.cluster.add(*web)

    assert said(clinic, "web").startswith(
        "PROBLEM pods-refused: Deployment web\n"
        '  Its pods can not be made: pods "web-1" is forbidden: exceeded quota: team\n'
        "  It does not serve, or with fewer pods than it should.\n"
    )


def test_pod_waits(clinic: Clinic, web: list[Object]) -> None:
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}
    report = releases.failed(14, "no-space", "9 GiB needed, 2 GiB free.", "Grow the claim.")
    state = {"name": "fetch", "state": waiting, "lastState": releases.ended(14, report)}
    status = {"phase": "Pending", "initContainerStatuses": [state]}
    clinic.cluster.add(*web, releases.pod_of(releases.of_kind(web, "Deployment"), "web-1", status))

    assert said(clinic, "web").startswith(
        "PROBLEM pod-waits: Pod web-1\n"
        "  It waits: container fetch: CrashLoopBackOff: back-off 5m0s; last it ended with: 9 GiB needed, 2 GiB free.\n"
        "  It goes on waiting until that is settled.\n"
        "  Grow the claim.\n"
    )


def test_pod_waits_for_a_node(clinic: Clinic, web: list[Object]) -> None:
    told = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    status = {"phase": "Pending", "conditions": [told]}
    clinic.cluster.add(*web, releases.pod_of(releases.of_kind(web, "Deployment"), "web-1", status))

    assert "  It waits: it can not be scheduled: 0/1 nodes are available: 1 Insufficient cpu.\n" in said(clinic, "web")


def test_claim_pending(clinic: Clinic, web: list[Object]) -> None:
    releases.of_kind(web, "PersistentVolumeClaim")["status"] = {"phase": "Pending"}
    clinic.cluster.add(*web, storage_class("standard", default=True, volumeBindingMode="Immediate"))

    assert said(clinic, "web").startswith(
        "PROBLEM claim-pending: PersistentVolumeClaim web-model-cache\n"
        "  It still has no volume, although its class standard makes one at once.\n"
        "  All pods that mount it stay Pending.\n"
        "  `kubectl describe pvc web-model-cache` says what example.com/storage has against it.\n"
    )


def test_claim_pending_until_a_pod_comes(clinic: Clinic, web: list[Object]) -> None:
    releases.of_kind(web, "PersistentVolumeClaim")["status"] = {"phase": "Pending"}
    clinic.cluster.add(*web)

    assert said(clinic, "web").startswith(
        "NOTE claim-pending: PersistentVolumeClaim web-model-cache\n"
        "  It has no volume yet: its class standard makes one for the first pod that is scheduled.\n"
    )


def test_free_space(clinic: Clinic) -> None:
    first = {**FINE, "modelCache": {"size": "5Gi"}}
    second = {"other": {"source": "https://models.example.com/other.gguf", "size": "4Gi"}}
    items = releases.release("web", **first, preload={"models": second})
    releases.of_kind(items, "PersistentVolumeClaim")["status"] = {"phase": "Bound"}
    deployment = releases.of_kind(items, "Deployment")
    key = deployment["metadata"]["labels"]["llmkube.dev/key"]
    report = releases.fetched(key, volume={"total": 5 << 30, "free": 2 << 30})
    clinic.cluster.add(*items, releases.pod_of(deployment, "web-1", releases.served(report)))

    assert said(clinic, "web").startswith(
        "PROBLEM free-space: PersistentVolumeClaim web-model-cache\n"
        "  At the last report 2.0Gi were free, and what is still to come takes 4.0Gi.\n"
        "  The download ends with exit code 14 (no-space).\n"
        '  Set modelCache.size: "8Gi"\n'
        "  Or free space: `helm llmkube cache clear`.\n"
    )


def test_what_is_on_the_volume_needs_no_more_space(clinic: Clinic) -> None:
    model = {**FINE["model"], "size": "4Gi"}
    items = releases.release("web", **{**FINE, "model": model, "modelCache": {"size": "5Gi"}})
    releases.of_kind(items, "PersistentVolumeClaim")["status"] = {"phase": "Bound"}
    deployment = releases.of_kind(items, "Deployment")
    key = deployment["metadata"]["labels"]["llmkube.dev/key"]
    report = releases.fetched(key, volume={"total": 5 << 30, "free": 1 << 30})
    clinic.cluster.add(*items, releases.pod_of(deployment, "web-1", releases.served(report)))

    assert "free-space" not in said(clinic, "web")


def test_what_may_not_be_read_does_not_hide_the_rest(clinic: Clinic, web: list[Object]) -> None:
    releases.of_kind(web, "Job")["status"] = {"conditions": [FAILED]}
    clinic.cluster.add(*web)
    clinic.cluster.refuse("list", "pods", 403, "no")

    found = json.loads(clinic.run("doctor", "web", "-o", "json").stdout)["findings"]

    assert [each["check"] for each in found] == ["job-failed", "rights"]
    assert found[1]["what"] == (
        "You may not list pods in namespace default. Not looked at: free-space, job-failed, pod-waits."
    )


def test_every_check_of_releases_that_are_there_is_here() -> None:
    names = {each.name.replace("-", "_") for each in checks.STATE}

    assert names < {name.removeprefix("test_") for name in globals()}
