"""What already goes wrong with releases that are there: Jobs that gave up, pods that wait or may not be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_plugin import contract, pods
from llmkube_plugin.doctor.finding import PROBLEM, Finding
from llmkube_plugin.doctor.subject import title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkube_plugin.doctor.facts import Facts
    from llmkube_plugin.doctor.subject import Subject
    from llmkube_plugin.kube import Object

_GONE = "What it should have done is not done, and it does not try again."


def job_failed(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find Jobs that failed for good."""
    for job in subject.of_kind("Job"):
        failure = _condition(job, "Failed")
        if failure is None:
            continue
        told = _told(job, subject)
        why = told.get("cause") or failure.get("message") or failure.get("reason") or "it does not say why"
        name = f" ({told['name']})" if told else ""
        action = f"{told.get('action') or ''} Then run it again: `kubectl -n {cluster.namespace} delete job "
        action += f"{pods.name(job)}`, and `helm upgrade` with the same values."
        yield Finding(PROBLEM, (title(job),), f"It failed for good{name}: {why}", _GONE, action.strip())


def _told(job: Object, subject: Subject) -> Object:
    """Return what the newest pod of a Job reported."""
    ends = [
        end
        for pod in subject.all_pods
        if pods.label(pod, contract.LABEL_JOB) == pods.name(job)
        for container in pod["spec"]["containers"]
        for end in pods.ended(pod, container["name"])
        if end.error
    ]
    newest = max(ends, key=lambda end: end.finished.timestamp() if end.finished else 0.0, default=None)
    return newest.error if newest else {}


def pods_refused(subject: Subject, _: Facts) -> Iterator[Finding]:
    """Find servers whose pods the API server refuses."""
    for deployment in subject.of_kind("Deployment"):
        failure = _condition(deployment, "ReplicaFailure")
        if failure:
            what = f"Its pods can not be made: {failure.get('message') or failure.get('reason')}"
            yield Finding(PROBLEM, (title(deployment),), what, "It does not serve, or with fewer pods than it should.")


def pod_waits(subject: Subject, _: Facts) -> Iterator[Finding]:
    """Find pods that can not be scheduled or whose containers do not start."""
    releases = {pods.label(item, contract.LABEL_RELEASE) for item in subject.objects}
    for pod in () if subject.planned else subject.live_pods:
        reason = pods.why_waiting(pod).rstrip(".")
        if reason and pods.label(pod, contract.LABEL_RELEASE) in releases:
            error = next((end.error for end in _ends(pod) if end.error), {})
            what = f"It waits: {reason}." if not error else f"It waits: {reason}; last it ended with: {error['cause']}"
            yield Finding(
                PROBLEM, (title(pod),), what, "It goes on waiting until that is settled.", error.get("action", "")
            )


def _ends(pod: Object) -> Iterator[pods.Ended]:
    for container in [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]:
        yield from pods.ended(pod, container["name"])


def _condition(item: Object, kind: str) -> Object | None:
    for condition in item.get("status", {}).get("conditions") or []:
        if condition["type"] == kind and condition["status"] == "True":
            found: Object = condition
            return found
    return None
