"""What the Jobs look like that the plugin makes, and what it does when they do not run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import releases
from fake_kubernetes import Script

if TYPE_CHECKING:
    from fake_kubernetes import FakeKubernetes

    from conftest import Run

UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes: not here",
        }
    ],
}


def scan_job(cluster: FakeKubernetes, run: Run) -> dict[str, Any]:
    """Scan the only cache and return the Job that did it."""
    cluster.plays = lambda _: releases.volume()
    assert run("cache", "list", "--scan").exit_code == 0
    job: dict[str, Any] = cluster.created("jobs")[0]
    return job


def test_a_job_has_the_pod_of_the_maintenance_cronjob_with_other_arguments(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.serving()
    cluster.add(*items)
    expected = releases.of_kind(items, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]

    spec = scan_job(cluster, run)["spec"]

    assert spec["template"]["spec"]["containers"][0]["args"] == ["list", "-o", "json"]
    expected["containers"][0]["args"] = ["list", "-o", "json"]
    assert spec["template"]["spec"] == expected
    assert spec["backoffLimit"] == 0
    assert spec["ttlSecondsAfterFinished"] == 3600


def test_a_job_is_made_of_no_cronjob_that_runs_by_itself(cluster: FakeKubernetes, run: Run) -> None:
    # By their names, those of the schedules come first.
    items = releases.release(
        "a",
        model={"source": releases.TINY},
        preload={"schedule": "@daily"},
        modelCache={
            "mode": "existingClaim",
            "claimName": "weights",
            "hold": True,
            "prune": {"schedule": "@daily", "unused": True},
            "verify": {"schedule": "@daily"},
        },
    )
    for item in items:
        if item["kind"] == "CronJob" and not item["metadata"]["name"].endswith("-maintenance"):
            item["metadata"]["name"] = "0-" + item["metadata"]["name"]
    cluster.add(*items)

    job = scan_job(cluster, run)

    assert job["metadata"]["generateName"] == "a-maintenance-"
    assert [container["name"] for container in job["spec"]["template"]["spec"]["containers"]] == ["maintenance"]


def test_a_job_that_asks_no_origin_has_no_credentials(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.release(
        "web", model={"source": releases.TINY, "existingSecret": "hub"}, modelCache={"size": "1Gi"}
    )
    assert "LLMKUBE_CREDENTIALS" in str(releases.of_kind(items, "CronJob"))
    cluster.add(*items)

    spec = scan_job(cluster, run)["spec"]["template"]["spec"]

    assert "LLMKUBE_CREDENTIALS" not in str(spec)
    assert "credentials" not in str(spec["volumes"]) + str(spec["containers"][0]["volumeMounts"])
    assert [volume["name"] for volume in spec["volumes"]] == ["model-cache", "tmp"]


def test_kubernetes_expands_nothing_in_the_arguments_of_a_job(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())

    run("cache", "preload", "https://models.example/$(HF_TOKEN).gguf", "--no-wait")

    [job] = cluster.created("jobs")
    assert "https://models.example/$$(HF_TOKEN).gguf" in job["spec"]["template"]["spec"]["containers"][0]["args"]


def test_a_job_tells_who_made_it_and_belongs_to_no_other_tool(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.serving()
    tracked = releases.of_kind(items, "CronJob")["metadata"]
    tracked["annotations"] |= {
        "argocd.argoproj.io/tracking-id": "app:batch/CronJob",
        "meta.helm.sh/release-name": "web",
    }
    cluster.add(*items)

    metadata = scan_job(cluster, run)["metadata"]

    assert metadata["annotations"] == {
        "llmkube.dev/claim": "web-model-cache",
        "llmkube.dev/cache-mode": "perModel",
        "llmkube.dev/made-by": "helm-llmkube",
    }
    assert metadata["labels"] == {"llmkube.dev/release": "web", "app.kubernetes.io/component": "maintenance"}


def test_a_job_goes_with_its_cronjob_without_counting_as_one_of_its_runs(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())

    [owner] = scan_job(cluster, run)["metadata"]["ownerReferences"]

    cronjob = cluster.all("cronjobs")[0]["metadata"]
    assert owner == {"apiVersion": "batch/v1", "kind": "CronJob", "name": cronjob["name"], "uid": cronjob["uid"]}


def test_the_name_of_a_job_leaves_room_for_its_suffix(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving("a-release-name-as-long-as-helm-allows-it-to-be-today"))

    name = scan_job(cluster, run)["metadata"]["generateName"]

    assert len(name) + 5 <= 63
    assert name.endswith("-")


def test_a_name_that_is_cut_stays_a_name(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.serving()
    releases.of_kind(items, "CronJob")["metadata"]["name"] = "a" * 56 + ".maintenance"
    cluster.add(*items)

    # Neither part of a name with a dot in it may begin or end with a dash.
    assert scan_job(cluster, run)["metadata"]["generateName"] == "a" * 56 + "-"


def test_on_a_claim_of_one_node_the_job_goes_where_the_volume_is(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.serving()
    deployment = releases.of_kind(items, "Deployment")
    cluster.add(*items, releases.pod_of(deployment, "web-1", releases.served(), node="gpu-7"))

    affinity = scan_job(cluster, run)["spec"]["template"]["spec"]["affinity"]

    [term] = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term == {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gpu-7"]}]}
    assert "podAffinity" in affinity  # what the chart wanted stays


def test_the_users_own_node_affinity_holds_as_well(cluster: FakeKubernetes, run: Run) -> None:
    zones = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]} for zone in "ab"]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": zones}}
    server = {"affinity": {"nodeAffinity": required}}
    items = releases.release("web", model={"source": releases.TINY}, modelCache={"size": "1Gi"}, server=server)
    cluster.add(*items, releases.pod_of(releases.of_kind(items, "Deployment"), "web-1", releases.served()))

    affinity = scan_job(cluster, run)["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]

    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [sorted(term) for term in terms] == [["matchExpressions", "matchFields"]] * 2


def test_on_a_claim_of_many_nodes_the_job_may_run_anywhere(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.serving(accessMode="ReadWriteMany")
    cluster.add(*items, releases.pod_of(releases.of_kind(items, "Deployment"), "web-1", releases.served()))

    assert "affinity" not in scan_job(cluster, run)["spec"]["template"]["spec"]


def test_the_reason_of_a_wait_is_told_while_waiting(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())
    done = releases.volume()
    cluster.plays = lambda _: Script([UNSCHEDULABLE, None, *done.states], done.log)

    result = run("cache", "list", "--scan")

    assert result.exit_code == 0
    assert result.stderr.count("it can not be scheduled: 0/1 nodes: not here") == 1


def test_a_pod_that_does_not_start_in_time_is_an_error_with_the_reason(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())
    cluster.plays = lambda _: Script([UNSCHEDULABLE, None])

    result = run("cache", "list", "--scan", "--timeout", "0s")

    assert result.exit_code == 1
    assert "did not start within 0s: it can not be scheduled: 0/1 nodes: not here" in result.stderr
    assert "describe job,pod -l job-name=" in result.stderr
    assert len(cluster.all("jobs")) == 1  # only the release's own


def test_the_time_to_start_counts_from_when_the_job_was_made(
    cluster: FakeKubernetes, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs on several volumes start together, so waiting for the first one is time for the others too."""
    cluster.add(*releases.serving())
    done = releases.volume()
    cluster.plays = lambda _: Script([UNSCHEDULABLE, *done.states], done.log)
    readings = iter([0.0])  # the Job is made; all else happens much later
    monkeypatch.setattr("llmkube_plugin.runs.time", SimpleNamespace(monotonic=lambda: next(readings, 1000.0)))

    result = run("cache", "list", "--scan", "--timeout", "5m")

    assert "did not start within 300s" in result.stderr


@pytest.mark.parametrize(
    ("waiting", "told"),
    [
        (
            {"reason": "ImagePullBackOff", "message": "no such tag"},
            "container maintenance: ImagePullBackOff: no such tag",
        ),
        ({"reason": "CreateContainerConfigError"}, "container maintenance: CreateContainerConfigError"),
    ],
)
def test_a_container_that_can_not_start_says_why(
    cluster: FakeKubernetes, run: Run, waiting: dict[str, str], told: str
) -> None:
    cluster.add(*releases.serving())
    status = releases.job_pod({"waiting": waiting}, "Pending", "maintenance")
    cluster.plays = lambda _: Script([status])

    assert told in run("cache", "list", "--scan", "--timeout", "0s").stderr


def test_events_tell_why_no_pod_is_made_or_no_volume_mounts(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())

    def forbidden(job: dict[str, Any]) -> Script:
        about = {"involvedObject": {"uid": job["metadata"]["uid"]}, "type": "Warning", "lastTimestamp": "1"}
        event = {"kind": "Event", "metadata": {"name": "e"}, **about, "message": "violates PodSecurity restricted"}
        cluster.add(event)
        return Script([])

    cluster.plays = forbidden

    assert "violates PodSecurity restricted" in run("cache", "list", "--scan", "--timeout", "0s").stderr


def test_without_the_right_to_see_events_the_wait_goes_on(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())
    cluster.refuse("list", "events", 403, "no")
    done = releases.volume()
    pending = releases.job_pod({"waiting": {"reason": "ContainerCreating"}}, "Pending", "maintenance")
    cluster.plays = lambda _: Script([pending, None, *done.states], done.log)

    assert run("cache", "list", "--scan").exit_code == 0


def test_a_job_that_fails_without_a_pod_tells_its_own_reason(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())
    running = releases.job_pod({"running": {}}, "Running", "maintenance")
    failed = {"type": "Failed", "status": "True", "message": "the pod was deleted"}
    cluster.plays = lambda _: Script([running, "deleted"], job_status={"conditions": [failed]})

    result = run("cache", "list", "--scan")

    assert result.exit_code == 1
    assert "failed: the pod was deleted" in result.stderr


def test_a_pod_that_was_evicted_tells_so(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())
    cluster.refuse("get", "log", 400, "the container was never started")
    cluster.plays = lambda _: Script([{"phase": "Failed", "reason": "Evicted", "message": "node had no memory"}])

    result = run("cache", "list", "--scan")

    assert result.exit_code == 1
    assert "Evicted: node had no memory" in result.stderr


def test_the_downloaders_failure_is_passed_on_with_its_exit_code(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())
    status = releases.job_pod(releases.ended(15), "Failed", "maintenance")
    log = '{"schema":1,"error":{"code":15,"name":"volume","cause":"the volume is gone","action":"Look at the node."}}\n'
    cluster.plays = lambda _: Script([status], log)

    result = run("cache", "list", "--scan")

    assert result.exit_code == 15
    assert "`list` on claim web-model-cache in namespace default failed (volume): the volume is gone" in result.stderr
    assert "Look at the node." in result.stderr


def test_a_log_without_a_report_is_not_taken_for_an_empty_volume(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())
    cluster.plays = lambda _: Script(releases.volume().states, "llama.cpp says hello\n")

    result = run("cache", "list", "--scan")

    assert result.exit_code == 1
    assert "left no report in its log" in result.stderr


def test_one_volume_that_can_not_be_read_does_not_hide_the_others(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving("a"), *releases.serving("b"))
    stuck = Script([UNSCHEDULABLE])
    found = releases.volume(releases.on_volume(releases.TINY_KEY, bytes=5 << 20))
    claim = "llmkube.dev/claim"
    cluster.plays = lambda job: stuck if job["metadata"]["annotations"][claim] == "a-model-cache" else found

    result = run("cache", "list", "--scan", "--timeout", "0s")

    assert result.exit_code == 1
    assert "5.0Mi" in result.stdout
    assert "it can not be scheduled" in result.stderr


def test_without_the_log_of_a_pod_that_ended_well_there_is_no_answer(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())
    cluster.plays = lambda _: releases.volume()
    cluster.refuse("get", "log", 403, "no")

    result = run("cache", "list", "--scan")

    assert result.exit_code == 1
    assert "you may not get pods/log" in result.stderr
    assert "Ask for a Role with the verb 'get' on pods/log" in result.stderr


def test_a_watch_that_expires_is_taken_up_again(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())
    done = releases.volume()
    cluster.plays = lambda _: Script([UNSCHEDULABLE, *done.states], done.log)
    cluster.refuse("watch", "pods", 410, "too old", times=1)

    assert run("cache", "list", "--scan").exit_code == 0


def test_interrupted_no_job_is_left(cluster: FakeKubernetes, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    cluster.add(*releases.serving("a"), *releases.serving("b"))
    monkeypatch.setattr("llmkube_plugin.runs.JobRun.wait", interrupt)

    assert run("cache", "list", "--scan").exit_code == 130

    assert len(cluster.created("jobs")) == 2
    assert len(cluster.all("jobs")) == 2  # the releases' own
