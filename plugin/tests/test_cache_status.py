from __future__ import annotations

import json
from typing import TYPE_CHECKING

import releases

if TYPE_CHECKING:
    from fake_kubernetes import FakeKubernetes

    from conftest import Run

BOUND = {"phase": "Bound", "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"]}


def bound(items: list[releases.Object]) -> list[releases.Object]:
    """Return a release whose claim has found its volume."""
    releases.of_kind(items, "PersistentVolumeClaim")["status"] = BOUND
    return items


def test_a_claim_shows_its_size_and_the_pods_that_mount_it(cluster: FakeKubernetes, run: Run) -> None:
    items = bound(releases.serving())
    cluster.add(*items, releases.pod_of(releases.of_kind(items, "Deployment"), "web-1", releases.served()))
    cluster.add(releases.stranger("notebook", "web-model-cache"))

    shown = run("cache", "status").stdout

    assert shown.startswith("default/web-model-cache: Bound, 2.0Gi, ReadWriteOnce, made by release web\n")
    assert "  entries: 1, 4.0Ki as reported\n" in shown
    assert (
        "  mounted by: 2 pods\n    notebook  Running on node-2, not from llmkube\n    web-1  Running on node-1\n"
        in shown
    )


def test_a_claim_that_nothing_mounts_says_so(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*bound(releases.serving()))

    assert "  mounted by: no pod\n" in run("cache", "status").stdout


def test_a_fetch_under_way_shows_the_last_thing_it_said(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.serving()
    running = releases.job_pod({"running": {}}, "Running")
    cluster.add(*items, releases.pod_of(releases.of_kind(items, "Job"), "p", running))
    cluster.logs["p", "fetch"] = "fetching\n1.0 GiB of 4.0 GiB (25%), 90 MiB/s, 34s left\n\n"

    result = run("cache", "status")

    assert f"  fetching: {releases.TINY} in p\n    1.0Gi of 4.0Gi (25%), 90.0Mi/s, 34s left\n" in result.stdout
    assert cluster.asked[-1].query["tailLines"] == "5"
    [fetch] = json.loads(run("cache", "status", "-o", "json").stdout)["caches"][0]["fetching"]
    assert fetch["progress"] == "1.0 GiB of 4.0 GiB (25%), 90 MiB/s, 34s left"
    assert (fetch["bytesDone"], fetch["bytesTotal"]) == (1 << 30, 4 << 30)
    assert (fetch["bytesPerSecond"], fetch["secondsLeft"], fetch["stalled"]) == (90 << 20, 34, None)


def test_without_the_right_to_read_logs_the_rest_is_shown(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.serving()
    running = releases.job_pod({"running": {}}, "Running")
    cluster.add(*items, releases.pod_of(releases.of_kind(items, "Job"), "p", running))
    cluster.refuse("get", "log", 403, "no")

    result = run("cache", "status")

    assert result.exit_code == 0
    assert "its log can not be read: you may not get pods/log 'p' in namespace default" in result.stdout


def test_the_last_failure_comes_with_cause_and_action(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.serving()
    report = releases.failed(11, "auth", "no access to org/repo", "Ask its owner.")
    cluster.add(*items)
    cluster.add(
        releases.pod_of(releases.of_kind(items, "Job"), "p", releases.job_pod(releases.ended(11, report), "Failed"))
    )

    shown = run("cache", "status").stdout

    assert f"  failed: {releases.TINY} in p, " in shown
    assert " ago (auth, exit code 11)\n    no access to org/repo\n    Ask its owner.\n" in shown


def test_a_pod_that_waits_says_for_what(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.serving()
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}
    status = {"phase": "Pending", "initContainerStatuses": [{"name": "fetch", "state": waiting}]}
    cluster.add(*items, releases.pod_of(releases.of_kind(items, "Deployment"), "web-1", status))

    assert "web-1  Pending on node-1: container fetch: ImagePullBackOff: no such tag" in run("cache", "status").stdout


def test_a_claim_that_does_not_exist_is_missing(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving(mode="existingClaim", claimName="mine"))

    shown = run("cache", "status").stdout

    assert shown.startswith("default/mine: Missing\n")
    assert "The claim does not exist: create it" in shown


def test_one_cache_is_chosen_by_claim_or_by_release(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving("a"), *releases.serving("b"))

    assert run("cache", "status", "a", "-o", "name").stdout == "a-model-cache\n"
    assert run("cache", "status", "b-model-cache", "-o", "name").stdout == "b-model-cache\n"
    unknown = run("cache", "status", "c")
    assert unknown.exit_code == 1
    assert "no release and no claim 'c' has a cache in namespace default" in unknown.stderr


def test_wide_lists_the_entries(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())

    line = f"    {releases.TINY_KEY}  pending  -  {releases.TINY}\n"

    assert line in run("cache", "status", "-o", "wide").stdout
    assert line not in run("cache", "status").stdout


def test_a_namespace_without_caches_says_so(run: Run) -> None:
    result = run("cache", "status")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "No caches found" in result.stderr
