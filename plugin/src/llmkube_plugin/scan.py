"""From the objects of a namespace to its caches. Reads only; nothing here looks into a volume."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from llmkube_plugin import collector, contract, kube, pods, units
from llmkube_plugin.model import Cache
from llmkube_plugin.together import together

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkube_plugin.kube import Cluster, Object
    from llmkube_plugin.model import Entry


Place = tuple[str, str]  # namespace and claim

_MANY = 500  # objects: fewer are read and freed in no time


@dataclass(frozen=True)
class Snapshot:
    """The objects that say something about caches, as they were at one moment.

    `pods` and `claims` are all of the namespace: a pod without our labels may have an entry open, and an existing claim
    carries none of our labels.
    """

    pods: tuple[Object, ...] = ()
    jobs: tuple[Object, ...] = ()
    cronjobs: tuple[Object, ...] = ()
    deployments: tuple[Object, ...] = ()
    claims: tuple[Object, ...] = ()

    @property
    def workloads(self) -> tuple[Object, ...]:
        """The objects that name the claim they work on."""
        return (*self.deployments, *self.jobs, *self.cronjobs)


def read(cluster: Cluster, namespace: str | None) -> Snapshot:
    """Ask the API server for the objects of a namespace, or (None) of all, with one list per kind, all at once."""
    ours = contract.LABEL_RELEASE
    lists = {
        "pods": (kube.PODS, ""),
        "jobs": (kube.JOBS, ours),
        "cronjobs": (kube.CRONJOBS, ours),
        "deployments": (kube.DEPLOYMENTS, ours),
        "claims": (kube.CLAIMS, ""),
    }
    calls = [partial(cluster.objects, kind, namespace, labels) for kind, labels in lists.values()]
    with collector.idle():
        snapshot = Snapshot(**{name: tuple(found) for name, found in zip(lists, together(calls), strict=True)})
        if len(snapshot.workloads) + len(snapshot.pods) > _MANY:
            collector.keep(snapshot)
    return snapshot


def caches(snapshot: Snapshot) -> list[Cache]:
    """Return the caches, by namespace and claim: the claims that charts made, and those that releases name."""
    claims = {(pods.namespace(item), pods.name(item)): item for item in snapshot.claims}
    workloads: dict[Place, list[Object]] = defaultdict(list)
    for item in snapshot.workloads:
        workloads[pods.cache_place(item)].append(item)
    mounted_by = _mounts(snapshot.pods)
    places = {place for place, item in claims.items() if _is_cache(item)} | workloads.keys()
    return [
        _cache(place, claims.get(place), workloads[place], mounted_by[place]) for place in sorted(places) if place[1]
    ]


def by_place(found: Iterable[Entry]) -> dict[Place, list[Entry]]:
    """Return the entries of each claim."""
    places: dict[Place, list[Entry]] = defaultdict(list)
    for entry in found:
        places[entry.namespace, entry.claim].append(entry)
    return places


def _mounts(all_pods: Iterable[Object]) -> dict[Place, list[Object]]:
    """Return the live pods that mount each claim."""
    found: dict[Place, list[Object]] = defaultdict(list)
    for pod in all_pods:
        for claim in () if pods.is_over(pod) else pods.claims(pod):
            found[pods.namespace(pod), claim].append(pod)
    return found


def _is_cache(claim: Object) -> bool:
    """Return whether a chart made a claim to keep models on."""
    ours = bool(pods.label(claim, contract.LABEL_RELEASE))
    return ours and pods.label(claim, contract.LABEL_COMPONENT) != contract.COMPONENT_ARTIFACTS


def _cache(place: Place, claim: Object | None, workloads: list[Object], mounted_by: list[Object]) -> Cache:
    return Cache(
        *place,
        mode=_mode(workloads),
        mounted_by=tuple(mounted_by),
        maintenance=min(filter(_is_maintenance, workloads), key=pods.name, default=None),
        **(_claim_facts(claim) if claim else {}),
    )


def _mode(workloads: list[Object]) -> str:
    """Return whose the cache is; that a model is served in place is said only of a claim that no cache is on."""
    named = [pods.annotation(item, contract.ANNOTATION_MODE) for item in workloads]
    return next((mode for mode in named if mode not in ("", contract.MODE_IN_PLACE)), next(filter(None, named), ""))


def _is_maintenance(item: Object) -> bool:
    """Return whether Jobs can be made from an object. The other CronJobs of a release run by themselves."""
    if item["kind"] != "CronJob":
        return False
    spec = item["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return any(container["name"] == contract.CONTAINER_MAINTENANCE for container in spec["containers"])


def _claim_facts(claim: Object) -> dict[str, Any]:
    """Return what a claim says about itself, as fields of Cache."""
    status = claim.get("status") or {}
    spec = claim["spec"]
    capacity = status.get("capacity") or spec.get("resources", {}).get("requests") or {}
    return {
        "release": pods.label(claim, contract.LABEL_RELEASE),
        "phase": status.get("phase", "Pending"),
        "capacity": units.quantity(capacity.get("storage")),
        "access_modes": tuple(status.get("accessModes") or spec.get("accessModes") or ()),
        "storage_class": spec.get("storageClassName") or "",
    }
