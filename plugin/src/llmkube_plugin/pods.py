"""Reads what a pod object says: claims it mounts, how far its containers are, why it waits, what they reported."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkube_plugin import contract, units

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from llmkube_plugin.kube import Object

_DECODER = json.JSONDecoder()
# Why a container waits while all is well.
_ORDINARY_WAITS = ("ContainerCreating", "PodInitializing", "")


@dataclass(frozen=True)
class Ended:
    """How a container ended: exit code, the downloader's report ({} when it left none), and what Kubernetes says."""

    container: str
    exit_code: int
    finished: datetime | None
    report: Object
    reason: str = ""
    started: datetime | None = None

    @property
    def error(self) -> Object:
        """What went wrong, as in a downloader's error report: name, cause, action. Empty when nothing did."""
        if self.exit_code == 0:
            return {}
        told: Object = self.report.get("error") or {}
        cause = told.get("cause") or self.reason or f"the container ended with exit code {self.exit_code}"
        name = told.get("name") or contract.exit_name(self.exit_code)
        return {"code": self.exit_code, "name": name, "cause": cause, "action": told.get("action") or ""}


def name(item: Object) -> str:
    """Return the name of an object."""
    return str(item["metadata"]["name"])


def namespace(item: Object) -> str:
    """Return the namespace of an object."""
    return str(item["metadata"]["namespace"])


def cache_place(item: Object) -> tuple[str, str]:
    """Return the namespace of an object and the claim it works on; no claim when the cache is ephemeral."""
    return namespace(item), annotation(item, contract.ANNOTATION_CLAIM)


def label(item: Object, key: str) -> str:
    """Return a label's value, empty when the object has none."""
    return str((item["metadata"].get("labels") or {}).get(key, ""))


def annotation(item: Object, key: str) -> str:
    """Return an annotation's value, empty when the object has none."""
    return str((item["metadata"].get("annotations") or {}).get(key, ""))


@dataclass(frozen=True)
class Beside:
    """An entry that a server loads beside its model, and the init container of its pods that fetches it."""

    container: str
    key: str
    source: str
    revision: str


def beside(item: Object) -> list[Beside]:
    """Return what a server, or a pod of it, names beside its model; nothing when it names nothing that can be read."""
    written = annotation(item, contract.ANNOTATION_ENTRIES)
    if not written:
        return []
    try:
        return [
            Beside(container, entry["key"], entry.get("source", ""), entry.get("revision", ""))
            for container, entry in json.loads(written).items()
        ]
    except (ValueError, TypeError, AttributeError, KeyError):
        return []


def keys(item: Object) -> set[str]:
    """Return the keys of all entries that a workload or a pod of it names."""
    return {key for key in (label(item, contract.LABEL_KEY), *(each.key for each in beside(item))) if key}


def fetch_container(pod: Object, key: str) -> str:
    """Return the container of a pod that fetches an entry."""
    if label(pod, contract.LABEL_KEY) == key:
        return contract.CONTAINER_FETCH
    return next((each.container for each in beside(pod) if each.key == key), contract.CONTAINER_FETCH)


def claims(pod: Object) -> set[str]:
    """Return the claims that a pod mounts."""
    volumes = pod["spec"].get("volumes") or []
    return {volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume}


def mounts(pod: Object, claim: str) -> str:
    """Return the name of the volume through which a pod mounts a claim, empty when it does not."""
    for volume in pod["spec"].get("volumes") or []:
        if volume.get("persistentVolumeClaim", {}).get("claimName") == claim:
            return str(volume["name"])
    return ""


def is_in_place(item: Object) -> bool:
    """Return whether a workload or pod of ours serves a model from where it is."""
    return annotation(item, contract.ANNOTATION_MODE) == contract.MODE_IN_PLACE


def is_over(pod: Object) -> bool:
    """Return whether no container of the pod runs or will run again."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def has_succeeded(pod: Object) -> bool:
    """Return whether all containers of the pod ended, and did what they were to do."""
    return bool(pod.get("status", {}).get("phase") == "Succeeded")


def is_running(pod: Object, container: str) -> bool:
    """Return whether a container of the pod runs at present."""
    return any("running" in (status.get("state") or {}) for status in _statuses(pod, container))


def running_since(pod: Object, container: str) -> datetime | None:
    """Return when the container that runs at present was started."""
    states = [status.get("state") or {} for status in _statuses(pod, container)]
    return next((units.moment(state["running"].get("startedAt")) for state in states if "running" in state), None)


def has_not_started(pod: Object) -> bool:
    """Return whether a pod waits for its first container."""
    states = [
        state for status in _statuses(pod) for state in (status.get("state") or {}, status.get("lastState") or {})
    ]
    return not is_over(pod) and not any("running" in state or "terminated" in state for state in states)


def ended(pod: Object, container: str) -> Iterator[Ended]:
    """Yield how a container ended, the newest first: now, and before it was started again."""
    for status in _statuses(pod, container):
        for state in (status.get("state") or {}, status.get("lastState") or {}):
            if "terminated" in state:
                yield _ended(container, state["terminated"])


def outcome(pod: Object, container: str) -> Ended | None:
    """Return how a pod that runs once ended, None while it is not over.

    A pod that was evicted or never started ends without its container having said anything.
    """
    if not is_over(pod):
        return None
    for end in ended(pod, container):
        return end
    status = pod["status"]
    reason = f"{status.get('reason', 'the pod failed')}: {status.get('message', 'its container was never started')}"
    return Ended(container, 1, None, {}, reason)


def why_waiting(pod: Object) -> str:
    """Return what keeps a pod from running, empty when it only has to be patient."""
    for condition in pod.get("status", {}).get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"it can not be scheduled: {condition.get('message') or condition.get('reason', '')}"
    for status in _statuses(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason", "") not in _ORDINARY_WAITS:
            detail = waiting.get("message") or ""
            return f"container {status['name']}: {waiting['reason']}" + (f": {detail}" if detail else "")
    return ""


def _statuses(pod: Object, container: str = "") -> Iterator[Object]:
    status = pod.get("status", {})
    for each in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        if container in ("", each["name"]):
            yield each


def _ended(container: str, terminated: Object) -> Ended:
    reason = terminated.get("reason", "")
    report = parse_report(terminated.get("message") or "")
    if reason in ("Completed", "Error"):  # says no more than the exit code
        reason = ""
    told = (terminated.get("message") or "").strip()
    if told and not report:  # the end of the log
        reason = f"{reason}: {told.splitlines()[-1]}" if reason else told.splitlines()[-1]
    started, finished = units.moment(terminated.get("startedAt")), units.moment(terminated.get("finishedAt"))
    return Ended(container, terminated["exitCode"], finished, report, reason, started)


def parse_report(text: str) -> dict[str, Any]:
    """Return the report in what a downloader wrote, {} when there is none.

    A log holds messages around it, so the first JSON object that starts a line and has a schema counts.
    """
    start = 0
    for line in text.splitlines(keepends=True):
        if line.startswith("{"):
            try:
                found, _ = _DECODER.raw_decode(text, start)
            except ValueError:
                found = None
            if isinstance(found, dict) and "schema" in found:
                return found
        start += len(line)
    return {}
