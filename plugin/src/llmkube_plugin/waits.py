"""Why what belongs to a cache does not get on: claims without a volume, pods that do not start, Jobs without pods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkube_plugin import kube, pods
from llmkube_plugin.errors import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmkube_plugin.kube import Cluster, Object
    from llmkube_plugin.model import Cache
    from llmkube_plugin.scan import Place, Snapshot

# What was said before a pod had a node tells nothing of it afterwards.
_BEFORE_A_NODE = ("FailedScheduling",)


@dataclass(frozen=True)
class Wait:
    """An object that waits, by its kind and name, and for what."""

    kind: str
    name: str
    reason: str


def waits(cluster: Cluster, snapshot: Snapshot, caches: Iterable[Cache]) -> dict[Place, list[Wait]]:
    """Return what waits of each cache, and for what; an object of which nobody says that is left out.

    Events are asked for only where objects do not say it themselves, and where the user may list them.
    """
    waiting = {(cache.namespace, cache.claim): list(_waiting(snapshot, cache)) for cache in caches}
    silent = {place[0] for place, found in waiting.items() if any(not reason for _, reason in found)}
    told = {namespace: _warnings(cluster, namespace) for namespace in silent}
    return {
        place: [
            Wait(item["kind"], pods.name(item), text)
            for item, reason in found
            for text in (reason or _newest(told[place[0]], item),)
            if text
        ]
        for place, found in waiting.items()
    }


def _waiting(snapshot: Snapshot, cache: Cache) -> Iterator[tuple[Object, str]]:
    """Yield the objects of a cache that do not get on, each with the reason that it gives itself."""
    place = (cache.namespace, cache.claim)
    for claim in snapshot.claims:
        if cache.phase in ("Pending", "Lost") and (pods.namespace(claim), pods.name(claim)) == place:
            yield claim, "" if cache.mounted_by else "no pod mounts it yet, and its class may wait for one"
    for pod in cache.mounted_by:
        reason = pods.why_waiting(pod)
        if reason or pods.has_not_started(pod):
            yield pod, reason
    for workload in (*snapshot.deployments, *snapshot.jobs):
        if pods.cache_place(workload) == place and _lacks_pods(workload):
            yield workload, _condition(workload, "ReplicaFailure")


def _lacks_pods(workload: Object) -> bool:
    """Return whether the pods of a workload can not even be made."""
    if workload["kind"] == "Deployment":
        return bool(_condition(workload, "ReplicaFailure"))
    status = workload.get("status") or {}
    begun = any(status.get(count) for count in ("active", "succeeded", "failed"))
    return not begun and not status.get("conditions") and not workload["spec"].get("suspend")


def _condition(workload: Object, kind: str) -> str:
    """Return the message of a condition that is true."""
    for condition in (workload.get("status") or {}).get("conditions") or []:
        if condition["type"] == kind and condition["status"] == "True":
            return str(condition.get("message") or condition.get("reason") or kind)
    return ""


def _warnings(cluster: Cluster, namespace: str) -> list[Object]:
    """Return the warnings of a namespace, the newest first; none where the user may not see events."""
    try:
        events = cluster.objects(kube.EVENTS, namespace, fields="type=Warning")
    except ForbiddenError:
        return []
    return sorted(
        events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""), reverse=True
    )


def _newest(warnings: Iterable[Object], item: Object) -> str:
    """Return the newest warning about an object that is still of concern."""
    placed = item["kind"] == "Pod" and item["spec"].get("nodeName")
    for event in warnings:
        about = event.get("involvedObject", {}).get("uid") == item["metadata"].get("uid")
        if about and not (placed and event.get("reason") in _BEFORE_A_NODE):
            return " ".join(str(event.get("message") or "").split())
    return ""
