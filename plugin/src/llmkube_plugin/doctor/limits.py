"""Whether quotas and limits of the namespace leave room for what is to be installed."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from llmkube_plugin import contract, pods, units
from llmkube_plugin.doctor import facts
from llmkube_plugin.doctor.amounts import Amounts, amount, pod_requests
from llmkube_plugin.doctor.finding import NOTE, PROBLEM, WARNING, Finding, Value
from llmkube_plugin.doctor.storage import class_of, values_of
from llmkube_plugin.doctor.subject import title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkube_plugin.doctor.facts import Facts
    from llmkube_plugin.doctor.subject import Subject, Workload
    from llmkube_plugin.kube import Object

_NO_PODS = "The API server refuses its pods: none is ever made."
_COMPUTE = ("cpu", "memory", "ephemeral-storage")


def quota(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find quotas that what is to be installed would exceed."""
    # What is there already counts as used, and would count twice where it may not be read.
    knows = subject.planned and subject.knows_claims and subject.knows_pods
    quotas = cluster.own(facts.QUOTAS) if knows else None
    wanted = _wanted(subject, cluster) if quotas else {}
    for each in quotas or []:
        if each["spec"].get("scopes") or each["spec"].get("scopeSelector"):
            what = "It counts only some pods; whether it has room for these is not computed."
            yield Finding(NOTE, (title(each),), what)
            continue
        used = each.get("status", {}).get("used") or {}
        for resource, limit in (each["spec"].get("hard") or {}).items():
            left = amount(limit) - amount(used.get(resource))
            if wanted.get(_plain(resource), 0) > left:
                yield _exceeded(each, resource, wanted[_plain(resource)], limit, used.get(resource, "0"), left)


def _plain(resource: str) -> str:
    """Return a resource of a quota under one name: `cpu` is `requests.cpu`, `count/pods` is `pods`."""
    if resource in _COMPUTE:
        return f"requests.{resource}"
    return resource.removeprefix("count/") if resource in ("count/pods", "count/persistentvolumeclaims") else resource


def _exceeded(each: Object, resource: str, wanted: float, limit: str, used: str, left: float) -> Finding:
    storage = "storage" in resource or resource == "persistentvolumeclaims"
    what = f"It allows {limit} of {resource}, {used} is used, and this release wants {_shown(resource, wanted)}."
    causes = "Helm ends with an error: the API server refuses the claim." if storage else _NO_PODS.replace("its", "the")
    value = None
    if resource.endswith("requests.storage") and left > 0:
        value = Value("modelCache.size", f"{int(left / 2**20)}Mi")
    elif resource in ("persistentvolumeclaims", "count/persistentvolumeclaims"):
        value = Value("modelCache.mode", "shared")
    elif resource.startswith("requests.") and "/" in resource and left >= 1:
        value = Value("server.gpu.count", int(left))
    return Finding(PROBLEM, (title(each),), what, causes, "Ask for a larger quota, or free what is not needed.", value)


def _shown(resource: str, count: float) -> str:
    sized = any(word in resource for word in ("memory", "storage"))
    return units.size(int(count)) if sized and not resource.endswith("persistentvolumeclaims") else f"{count:g}"


def _wanted(subject: Subject, cluster: Facts) -> dict[str, float]:
    """Return what the release adds to the namespace, by the names that quotas have for it."""
    wanted: dict[str, float] = defaultdict(float)
    for claim in subject.claims:
        if pods.name(claim) in subject.live_claims:
            continue
        size = amount(claim["spec"]["resources"]["requests"]["storage"])
        chosen = class_of(claim, cluster)
        prefixes = ["", f"{pods.name(chosen)}.storageclass.storage.k8s.io/"] if chosen else [""]
        for prefix in prefixes:
            wanted[f"{prefix}requests.storage"] += size
            wanted[f"{prefix}persistentvolumeclaims"] += 1
    for workload in subject.running:
        if not _is_there(workload, subject):
            for name, count in _pods_want(workload, cluster).items():
                wanted[name] += count * workload.replicas
    return wanted


def _is_there(workload: Workload, subject: Subject) -> bool:
    """Return whether a release of this name has such pods already, which are counted as used."""
    release, component = pods.label(workload.item, contract.LABEL_RELEASE), workload.component
    live = subject.live_pods
    mine = [pod for pod in live if pods.label(pod, contract.LABEL_RELEASE) == release]
    return any(pods.label(pod, contract.LABEL_COMPONENT) == component for pod in mine)


def _pods_want(workload: Workload, cluster: Facts) -> Amounts:
    """Return what each pod of a workload takes of quotas; limit ranges fill in what its containers do not say."""
    spec = {**workload.spec}
    for part in ("initContainers", "containers"):
        spec[part] = [_defaulted(container, cluster) for container in spec.get(part) or []]
    asked = {f"requests.{name}": count for name, count in pod_requests(spec).items()}
    limited = {f"limits.{name}": count for name, count in pod_requests(spec, "limits").items()}
    return {"pods": 1.0, **asked, **limited}


def _defaulted(container: Object, cluster: Facts) -> Object:
    resources = container.get("resources") or {}
    requests, limits = dict(resources.get("requests") or {}), dict(resources.get("limits") or {})
    for item in _container_limits(cluster):
        for name, text in (item.get("default") or {}).items():
            limits.setdefault(name, text)
        for name, text in (item.get("defaultRequest") or {}).items():
            if name not in (resources.get("limits") or {}):
                requests.setdefault(name, text)
    return {**container, "resources": {"requests": requests, "limits": limits}}


def _container_limits(cluster: Facts) -> list[Object]:
    ranges = cluster.own(facts.LIMITS) or []
    return [item for each in ranges for item in each["spec"]["limits"] if item["type"] == "Container"]


def quota_demands(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find pods that say nothing about a resource of which a quota wants to hear."""
    # Limits that may not be read could say what containers leave out.
    quotas = cluster.own(facts.QUOTAS) if cluster.own(facts.LIMITS) is not None else None
    for each in quotas or []:
        if each["spec"].get("scopes") or each["spec"].get("scopeSelector"):
            continue
        for resource in each["spec"].get("hard") or {}:
            part, _, name = _plain(resource).partition(".")
            for workload in subject.running if part in ("requests", "limits") and name in _COMPUTE[:2] else ():
                yield from _silent(workload, part, name, each, cluster)


def _silent(workload: Workload, part: str, name: str, quota: Object, cluster: Facts) -> Iterator[Finding]:
    for container in workload.containers:
        resources = _defaulted(container, cluster)["resources"]
        said = name in resources[part] or (part == "requests" and name in resources["limits"])
        if not said:
            what = f"The quota {pods.name(quota)} counts {part}.{name}, and the container {container['name']} has none."
            path = "server" if container["name"] == "server" else "downloader"
            example = {"cpu": "1", "memory": "1Gi"}[name]
            value = Value(f"{path}.resources.{part}.{name}", example)
            yield Finding(PROBLEM, (workload.title,), what, _NO_PODS, "", value)
            return


def limit_range(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find claims and containers outside of what limit ranges allow."""
    for each in cluster.own(facts.LIMITS) or []:
        for item in each["spec"]["limits"]:
            if item["type"] == "PersistentVolumeClaim" and subject.planned:
                yield from _claim_limits(subject, each, item)
            elif item["type"] == "Container":
                yield from _container_maximum(subject, cluster, each, item)


def _claim_limits(subject: Subject, each: Object, item: Object) -> Iterator[Finding]:
    for claim in subject.claims if subject.knows_claims else ():
        if pods.name(claim) in subject.live_claims:
            continue
        size = claim["spec"]["resources"]["requests"]["storage"]
        most, least = (item.get("max") or {}).get("storage"), (item.get("min") or {}).get("storage")
        bound = (
            most if most and amount(size) > amount(most) else least if least and amount(size) < amount(least) else None
        )
        if bound:
            what = f"It wants {size}, and {title(each)} allows claims {'up to' if bound == most else 'from'} {bound}."
            causes = "Helm ends with an error: the API server refuses the claim."
            yield Finding(PROBLEM, (title(claim),), what, causes, "", Value(f"{values_of(claim)}.size", bound))


def _container_maximum(subject: Subject, cluster: Facts, each: Object, item: Object) -> Iterator[Finding]:
    for workload in subject.workloads:
        for container in workload.containers:
            limits = _defaulted(container, cluster)["resources"]["limits"]
            for name, most in (item.get("max") or {}).items():
                given = limits.get(name)
                if given is None or amount(given) > amount(most):
                    path = "server" if container["name"] == "server" else "downloader"
                    said = f"has a limit of {given}" if given else "has none"
                    what = f"{title(each)} allows containers up to {most} of {name}, and {container['name']} {said}."
                    value = Value(f"{path}.resources.limits.{name}", most)
                    yield Finding(PROBLEM, (workload.title,), what, _NO_PODS, "", value)


def default_memory(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find servers that get a memory limit from a limit range, which knows nothing of their model."""
    given = [
        item["default"]["memory"] for item in _container_limits(cluster) if "memory" in (item.get("default") or {})
    ]
    for workload in subject.running if given else ():
        for container in workload.containers:
            limits = (container.get("resources") or {}).get("limits") or {}
            if container["name"] == "server" and "memory" not in limits:
                what = f"A limit range of the namespace gives its server a memory limit of {given[0]}."
                causes = "A server that needs more is killed (OOMKilled), again and again."
                value = Value("server.resources.limits.memory", "16Gi")
                yield Finding(WARNING, (workload.title,), what, causes, "", value)
