"""Claims that are there: whether they can be used, are large enough, and may become what the release wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_plugin import contract, pods, units
from llmkube_plugin.doctor import facts
from llmkube_plugin.doctor.finding import NOTE, PROBLEM, WARNING, Finding, Value, named
from llmkube_plugin.doctor.storage import class_of, values_of
from llmkube_plugin.doctor.subject import CLAIM, title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkube_plugin.doctor.facts import Facts
    from llmkube_plugin.doctor.subject import Subject
    from llmkube_plugin.kube import Object

_CACHE, _ARTIFACTS = "model-cache", "artifacts"  # volumes of the chart's pods
_SHARED = "llmkube-model-cache"
_WAITS = "All pods that mount it stay Pending."


def mounted(subject: Subject) -> Iterator[tuple[str, Object | None]]:
    """Yield the claims that pods mount, by name, with what is there of them."""
    for name in sorted({claim for workload in subject.workloads for claim in workload.claims}):
        yield name, subject.live_claims.get(name)


def missing(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find claims that pods mount and that neither exist nor are made by the release."""
    for name, there in mounted(subject) if subject.knows_claims else ():
        if there or subject.has(CLAIM, name):
            continue
        volume = next(pods.mounts(workload.template, name) for workload in subject.users(name))
        what = f"It does not exist in namespace {cluster.namespace}, and this release does not make it."
        action = f"Make it, or name one that is there: {named(subject.live_claims)}."
        if volume == _CACHE and name == _SHARED:
            action = "Or install the release that does first."
        value = _value(volume, name, subject)
        yield Finding(PROBLEM, (f"{CLAIM} {name}",), what, _WAITS, action, value)


def _value(volume: str, name: str, subject: Subject) -> Value | None:
    """Return the value that names a claim, by the volume through which pods mount it, with a claim that is there."""
    if volume == _CACHE and name == _SHARED:
        return Value("modelCache.create", True)
    names = sorted(subject.live_claims)
    if volume.startswith(contract.VOLUME_UPSTREAM):
        upstream = volume.removeprefix(contract.VOLUME_UPSTREAM)
        return Value(f"modelCache.upstream.{upstream}", {"claimName": names[0]} if names else None)
    path = {_CACHE: "modelCache.claimName", _ARTIFACTS: "artifactCache.claimName"}.get(volume)
    return Value(path, names[0]) if path and names else None


def lost(subject: Subject, _: Facts) -> Iterator[Finding]:
    """Find claims whose volume is gone, or that are about to go."""
    for name, there in mounted(subject):
        if there and there.get("status", {}).get("phase") == "Lost":
            what = f"It is Lost: its volume {there['spec'].get('volumeName')} is gone, and so is what was on it."
            action = f"Delete it, `kubectl delete pvc {name}`, and install again."
            yield Finding(PROBLEM, (f"{CLAIM} {name}",), what, _WAITS, action)
        if there and there["metadata"].get("deletionTimestamp"):
            what = "It is being deleted, and goes as soon as no pod mounts it."
            action = "Wait until it is gone, or stop the pods that still mount it: `helm llmkube cache status`."
            yield Finding(PROBLEM, (f"{CLAIM} {name}",), what, "New pods do not start with it.", action)


def pending(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find claims that wait for a volume although their class makes one at once."""
    for name, there in mounted(subject):
        if not there or there.get("status", {}).get("phase", "Pending") != "Pending" or subject.planned:
            continue
        chosen = class_of(there, cluster)
        if chosen and chosen.get("volumeBindingMode") == "WaitForFirstConsumer":
            what = f"It has no volume yet: its class {pods.name(chosen)} makes one for the first pod that is scheduled."
            yield Finding(NOTE, (f"{CLAIM} {name}",), what)
        elif chosen:
            what = f"It still has no volume, although its class {pods.name(chosen)} makes one at once."
            action = f"`kubectl describe pvc {name}` says what {chosen['provisioner']} has against it."
            yield Finding(PROBLEM, (f"{CLAIM} {name}",), what, _WAITS, action)


def change(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find claims that are there and can not become what the release wants."""
    for claim in subject.claims if subject.planned else ():
        there = subject.live_claims.get(pods.name(claim))
        if there is None:
            continue
        yield from _immutable(claim, there)
        wanted, has = _requested(claim), _requested(there)
        part = values_of(claim)
        size = there["spec"]["resources"]["requests"]["storage"]
        if wanted < has:
            what = f"It is there with {size}, and the release wants {units.size(wanted)}: a claim never shrinks."
            yield Finding(PROBLEM, (title(claim),), what, _REFUSED, "", Value(f"{part}.size", size))
        chosen = class_of(there, cluster)
        if wanted > has and chosen and not chosen.get("allowVolumeExpansion"):
            what = f"It is there with {size}, and volumes of its class {pods.name(chosen)} can not grow."
            action = "Or keep the size, and another model in a claim of another release."
            yield Finding(PROBLEM, (title(claim),), what, _REFUSED, action, Value(f"{part}.size", size))


_REFUSED = "Helm ends with an error: the API server refuses the changed claim."


def _requested(claim: Object) -> int:
    return units.quantity(claim["spec"]["resources"]["requests"]["storage"]) or 0


def _immutable(claim: Object, there: Object) -> Iterator[Finding]:
    part = values_of(claim)
    wanted, has = claim["spec"]["accessModes"], there["spec"]["accessModes"]
    if wanted != has:
        what = f"It is there with {has[0]}, and the release wants {wanted[0]}: that can not be changed."
        yield Finding(PROBLEM, (title(claim),), what, _REFUSED, "", Value(f"{part}.accessMode", has[0]))
    name, of = claim["spec"].get("storageClassName"), there["spec"].get("storageClassName")
    if name is not None and name != of:
        what = f"It is there with the class {of or 'none'}, and the release wants {name or 'none'}: "
        what += "a claim keeps its class."
        yield Finding(PROBLEM, (title(claim),), what, _REFUSED, "", Value(f"{part}.storageClass", of or ""))


def attached(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find claims that one pod alone can have, and another one has."""
    for name, there in mounted(subject):
        if not there or "ReadWriteOncePod" not in there["spec"]["accessModes"] or not subject.planned:
            continue
        holders = [pods.name(pod) for pod in subject.live_pods if name in pods.claims(pod)]
        if holders:
            what = f"It is ReadWriteOncePod, and the pod {named(holders)} has it."
            yield Finding(WARNING, (f"{CLAIM} {name}",), what, "Other pods wait until that one has ended.")


def volume_node(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find claims whose volume is where no pod of the release may run."""
    from llmkube_plugin.doctor.nodes import matches_terms, selected

    for name, there in mounted(subject):
        volume_name = there["spec"].get("volumeName") if there else None
        volume = cluster.one(facts.VOLUMES, volume_name, everywhere=True) if volume_name else None
        required = ((volume or {}).get("spec", {}).get("nodeAffinity") or {}).get("required") or {}
        nodes = cluster.all(facts.NODES) if required else None
        reachable = [node for node in nodes or [] if matches_terms(node, required.get("nodeSelectorTerms") or [])]
        for workload in subject.users(name) if nodes else ():
            if not [node for node in reachable if selected(node, workload.spec)]:
                where = named(map(pods.name, reachable))
                what = f"The volume of claim {name} can only be mounted on {where}, where its pods may not run."
                causes = "Its pods stay Pending: the scheduler reports a volume node affinity conflict."
                action = "Let the pods run there, or keep the weights on another claim."
                yield Finding(PROBLEM, (workload.title,), what, causes, action, Value("server.nodeSelector", {}))
