"""Whether there is a node for every pod: labels, taints, and what it asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_plugin import contract, pods, units
from llmkube_plugin.doctor import facts
from llmkube_plugin.doctor.amounts import amount, pod_requests
from llmkube_plugin.doctor.finding import NOTE, PROBLEM, WARNING, Finding, Value, named
from llmkube_plugin.doctor.nodes import is_ready, selected, untolerated
from llmkube_plugin.doctor.storage import ONE_NODE_MODES
from llmkube_plugin.kube import PODS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmkube_plugin.doctor.facts import Facts
    from llmkube_plugin.doctor.subject import Subject, Workload
    from llmkube_plugin.kube import Object

_PENDING = "Its pods stay Pending; `helm install --wait` ends with its timeout."
_GROWS = "karpenter.sh/nodepool"  # label of nodes that are made when pods want them
# Resources that every node has, by the values that ask for them.
_ORDINARY = ("cpu", "memory", "ephemeral-storage", "pods", "hugepages-1Gi", "hugepages-2Mi")


def no_nodes(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find that no node takes pods."""
    nodes = cluster.all(facts.NODES)
    if nodes is not None and not any(map(is_ready, nodes)) and subject.workloads:
        what = f"No node is ready and takes pods: there are {len(nodes)}." if nodes else "The cluster has no nodes."
        objects = tuple(workload.title for workload in subject.workloads)
        yield Finding(PROBLEM, objects, what, _PENDING, "See `kubectl get nodes`.")


def node_selector(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find pods whose node selector or affinity no node matches."""
    nodes = _ready(cluster)
    for workload in subject.workloads if nodes else ():
        if any(selected(node, workload.spec) for node in nodes):
            continue
        wanted = workload.spec.get("nodeSelector") or {}
        labels = named(f"{key}={value}" for key, value in wanted.items())
        what = f"No node has the labels that its pods want: {labels}."
        value = Value("server.nodeSelector", {})
        if not wanted:
            what, value = "No node matches the node affinity of its pods.", Value("server.affinity", {})
        action = "Label a node, or ask for labels that nodes have: `kubectl get nodes --show-labels`."
        yield Finding(_severity(nodes), (workload.title,), what, _PENDING, action, value)


def taints(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find pods whose nodes all have taints that they do not tolerate."""
    nodes = _ready(cluster)
    for workload in subject.workloads:
        matching = [node for node in nodes if selected(node, workload.spec)]
        if not matching or any(not untolerated(node, workload.spec) for node in matching):
            continue
        left = untolerated(matching[0], workload.spec)
        kept = named({_taint(taint) for node in matching for taint in untolerated(node, workload.spec)})
        what = f"All nodes that its pods may run on have taints that they do not tolerate: {kept}."
        tolerations = [*(workload.spec.get("tolerations") or []), *map(_toleration, left)]
        yield Finding(_severity(nodes), (workload.title,), what, _PENDING, "", Value("server.tolerations", tolerations))


def _taint(taint: Object) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def _toleration(taint: Object) -> Object:
    return {"key": taint["key"], "operator": "Exists", "effect": taint["effect"]}


def node_resources(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find pods that ask for more than the largest node that they may run on has."""
    for workload in subject.workloads:
        nodes = _open(workload, cluster)
        asked = pod_requests(workload.spec)
        if not nodes or any(_has(node, asked) for node in nodes):
            continue
        for resource, wanted in asked.items():
            most = max(_offers(node, resource) for node in nodes)
            if wanted > most:
                yield _too_much(workload, resource, wanted, most, nodes)
                break
        else:
            what = "No node that its pods may run on has all at once: " + _listed(asked) + "."
            yield Finding(_severity(nodes), (workload.title,), what, _PENDING, "", Value("server.resources", {}))


def _too_much(workload: Workload, resource: str, wanted: float, most: float, nodes: list[Object]) -> Finding:
    name = next(pods.name(node) for node in nodes if _offers(node, resource) == most)
    offered = f"the most that one has is {_shown(resource, most)}, on {name}" if most else "no node has any"
    what = (
        f"Each of its pods asks for {_shown(resource, wanted)} of {resource}, and of the nodes it may run on {offered}."
    )
    part = (
        "server.resources.requests"
        if workload.component == contract.COMPONENT_SERVER
        else "downloader.resources.requests"
    )
    if resource in _ORDINARY:
        value = Value(f"{part}.{resource}", _example(resource, most))
        return Finding(_severity(nodes), (workload.title,), what, _PENDING, "", value)
    action = "" if most else f"Install the device plugin of {resource}, add nodes that have it, or serve without it."
    value = Value("server.gpu.count", int(most)) if most else Value("server.gpu.vendor", "")
    return Finding(_severity(nodes), (workload.title,), what, _PENDING, action, value)


def _example(resource: str, most: float) -> str:
    """Return an amount that leaves room for what else runs on the node."""
    if resource == "cpu":
        return f"{int(most * 500)}m"
    return f"{max(1, int(most / 2 / 2**20))}Mi"


def _shown(resource: str, count: float) -> str:
    if resource in ("memory", "ephemeral-storage"):
        return units.size(int(count))
    return f"{count:g}"


def _listed(asked: dict[str, float]) -> str:
    return ", ".join(f"{_shown(resource, count)} of {resource}" for resource, count in sorted(asked.items()))


def node_room(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find pods for which the nodes have no room now, because others hold it."""
    for workload in subject.running if subject.planned else ():
        nodes, asked = _open(workload, cluster), pod_requests(workload.spec)
        fitting = [node for node in nodes if _has(node, asked)]
        if not fitting or (everybody := cluster.all(PODS)) is None:
            continue
        mine = pods.label(workload.item, contract.LABEL_RELEASE)
        others = [pod for pod in everybody if not pods.is_over(pod) and not _is_of(pod, mine, subject.namespace)]
        free = {pods.name(node): _left(node, others) for node in fitting}
        if any(all(left.get(resource, 0) >= wanted for resource, wanted in asked.items()) for left in free.values()):
            continue
        short = sorted({name for left in free.values() for name, wanted in asked.items() if left.get(name, 0) < wanted})
        what = f"It asks for {_listed(asked)}, and other pods hold too much of that now: {named(short)} is short."
        yield Finding(WARNING, (workload.title,), what, "Its pods stay Pending until others have ended.", _ROOM)


_ROOM = "See who holds it: `kubectl describe nodes`."


def _is_of(pod: Object, release: str, namespace: str) -> bool:
    return bool(release) and (pods.label(pod, contract.LABEL_RELEASE), pods.namespace(pod)) == (release, namespace)


def _left(node: Object, others: Iterable[Object]) -> dict[str, float]:
    left = {name: amount(text) for name, text in (node["status"].get("allocatable") or {}).items()}
    for pod in others:
        if pod["spec"].get("nodeName") == pods.name(node):
            for resource, held in pod_requests(pod["spec"]).items():
                left[resource] = left.get(resource, 0) - held
    return left


def one_node(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find servers whose replicas have to be on one node, because of their claim."""
    for workload in subject.running:
        claim = _of_one_node(workload, subject) if workload.replicas > 1 else None
        if claim is None:
            continue
        mode = claim["spec"]["accessModes"][0]
        severity, where, causes = _together(workload, mode, cluster)
        value = Value("modelCache.accessMode", "ReadWriteMany")
        if severity == WARNING:
            value = Value("modelCache.accessMode", mode)  # which lets the chart draw them together
        elif pods.name(claim) in subject.live_claims:
            value = Value("server.replicas", 1)  # a claim that is there keeps its mode
        what = f"Its {workload.replicas} pods share the claim {pods.name(claim)}, which is {mode}: {where}."
        yield Finding(severity, (workload.title,), what, causes, "", value)


def _together(workload: Workload, mode: str, cluster: Facts) -> tuple[str, str, str]:
    """Return how bad it is that pods share a claim of one node: severity, what they are bound to, what comes of it."""
    if mode == "ReadWriteOncePod":
        return PROBLEM, "only one of them can have it", "All pods but one stay Pending."
    where = "they have to be on one node"
    asked = {name: each * workload.replicas for name, each in pod_requests(workload.spec).items()}
    nodes = _open(workload, cluster)
    if nodes and not any(_has(node, asked) for node in nodes):
        return PROBLEM, where, f"Some stay Pending: no node that they may run on has {_listed(asked)}."
    if not (workload.spec.get("affinity") or {}).get("podAffinity"):
        return WARNING, where, "Nothing draws them there: a pod that is put on another node stays ContainerCreating."
    return NOTE, where, "They go down together with that node, and there can be no more than fit on it."


def _of_one_node(workload: Workload, subject: Subject) -> Object | None:
    """Return the claim that keeps the pods of a workload together, None when none does."""
    made = {pods.name(claim): claim for claim in subject.claims}
    for name in sorted(workload.claims):
        claim = subject.live_claims.get(name) or made.get(name)
        if claim and set(claim["spec"]["accessModes"]) <= set(ONE_NODE_MODES):
            return claim
    return None


def _ready(cluster: Facts) -> list[Object]:
    return [node for node in cluster.all(facts.NODES) or [] if is_ready(node)]


def _open(workload: Workload, cluster: Facts) -> list[Object]:
    """Return the nodes that let the pods of a workload in."""
    spec = workload.spec
    return [node for node in _ready(cluster) if selected(node, spec) and not untolerated(node, spec)]


def _offers(node: Object, resource: str) -> float:
    return amount((node["status"].get("allocatable") or {}).get(resource))


def _has(node: Object, asked: dict[str, float]) -> bool:
    return all(_offers(node, resource) >= wanted for resource, wanted in asked.items())


def _severity(nodes: list[Object]) -> str:
    """Return how bad it is that no node fits: where nodes are made when pods want them, one may come."""
    grows = any(_GROWS in (node["metadata"].get("labels") or {}) for node in nodes)
    return WARNING if grows else PROBLEM
