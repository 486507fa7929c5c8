"""What pods name and do not bring: Secrets, ConfigMaps, identities, classes, images."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from llmkube_plugin import pods
from llmkube_plugin.doctor import facts
from llmkube_plugin.doctor.finding import PROBLEM, WARNING, Finding, Value
from llmkube_plugin.doctor.nodes import is_ready, selected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkube_plugin.doctor.facts import Facts
    from llmkube_plugin.doctor.subject import Subject, Workload
    from llmkube_plugin.kube import Kind, Object

_KINDS: dict[str, Kind] = {"Secret": facts.SECRETS, "ConfigMap": facts.CONFIG_MAPS}
_DEVICES = {"ResourceClaim": facts.DEVICES, "ResourceClaimTemplate": facts.DEVICE_TEMPLATES}
# The values from which the chart makes a volume, by the volume's name and what it holds.
_VOLUMES = {
    ("credentials", "Secret"): "model.existingSecret",
    ("ca-bundle", "Secret"): "downloader.caBundle.secret",
    ("ca-bundle", "ConfigMap"): "downloader.caBundle.configMap",
    ("chat-template", "ConfigMap"): "runtime.chatTemplate.configMap",
}
_STUCK = "Its pods do not start: {0}."


class _Reference(NamedTuple):
    """A Secret or ConfigMap that a pod needs: its keys, the value of the chart that names it, and what pods end in."""

    kind: str
    name: str
    keys: tuple[str, ...]
    value: str
    state: str


def secrets(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find Secrets that pods need and that are not there, or lack a key."""
    yield from _referenced("Secret", subject, cluster)


def config_maps(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find ConfigMaps that pods need and that are not there, or lack a key."""
    yield from _referenced("ConfigMap", subject, cluster)


def _referenced(kind: str, subject: Subject, cluster: Facts) -> Iterator[Finding]:
    for workload in subject.workloads:
        for reference in _references(workload):
            if reference.kind == kind and not subject.has(kind, reference.name):
                yield from _look(reference, workload, cluster)


def _look(reference: _Reference, workload: Workload, cluster: Facts) -> Iterator[Finding]:
    kind, name, keys, value, state = reference
    resource = _KINDS[kind]
    settled = Value(value, name) if value else None
    make = f"kubectl -n {cluster.namespace} create {kind.lower()} {'generic ' if kind == 'Secret' else ''}{name}"
    key = keys[0] if keys else "HF_TOKEN" if value == "model.existingSecret" else "KEY"
    if cluster.misses(resource, name):
        what = f"Its pods need the {kind} {name}, which does not exist in namespace {cluster.namespace}."
        action = f"Make it: `{make} --from-literal={key}=...`; or name one that is there."
        yield Finding(PROBLEM, (workload.title,), what, _STUCK.format(state), action, settled)
        return
    found = cluster.one(resource, name) or {}
    has = {**(found.get("data") or {}), **(found.get("binaryData") or {})}
    lacking = [each for each in keys if found and each not in has]
    if lacking:
        what = f"Its pods need the key {lacking[0]} of the {kind} {name}, which has not got it."
        action = f"Add the key, `kubectl -n {cluster.namespace} edit {kind.lower()} {name}`."
        yield Finding(PROBLEM, (workload.title,), what, _STUCK.format(state), action)


def _references(workload: Workload) -> Iterator[_Reference]:
    for volume in workload.spec.get("volumes") or []:
        yield from _of_volume(volume)
    for container in workload.containers:
        for variable in container.get("env") or []:
            for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                named = (variable.get("valueFrom") or {}).get(field)
                if named and not named.get("optional"):
                    value = "runtime.apiKey.existingSecret" if "API_KEY" in variable["name"] else ""
                    yield _Reference(kind, named["name"], (named["key"],), value, "CreateContainerConfigError")
        for source in container.get("envFrom") or []:
            for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                if field in source and not source[field].get("optional"):
                    yield _Reference(kind, source[field]["name"], (), "", "CreateContainerConfigError")


def _of_volume(volume: Object) -> Iterator[_Reference]:
    projected = (volume.get("projected") or {}).get("sources") or []
    for part in (volume, *projected):
        for field, kind in (("secret", "Secret"), ("configMap", "ConfigMap")):
            named = part.get(field)
            if named and not named.get("optional"):
                keys = tuple(item["key"] for item in named.get("items") or [])
                value = _VOLUMES.get((volume["name"], kind), "")
                yield _Reference(kind, named.get("secretName") or named["name"], keys, value, "FailedMount")


def pull_secrets(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find Secrets for pulling images that are not there."""
    for workload in subject.workloads:
        for each in workload.spec.get("imagePullSecrets") or []:
            if not subject.has("Secret", each["name"]) and cluster.misses(facts.SECRETS, each["name"]):
                what = f"Its images are pulled with the Secret {each['name']}, which does not exist in namespace "
                what += f"{cluster.namespace}."
                action = f"Make it: `kubectl -n {cluster.namespace} create secret docker-registry {each['name']} ...`."
                causes = "Nodes pull without it; from a private registry that ends in ImagePullBackOff."
                yield Finding(WARNING, (workload.title,), what, causes, action, Value("imagePullSecrets", []))


def service_account(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find pods whose service account is neither there nor made by the release."""
    for workload in subject.workloads:
        name = workload.spec.get("serviceAccountName") or "default"
        if not subject.has("ServiceAccount", name) and cluster.misses(facts.ACCOUNTS, name):
            what = f"Its pods run as the service account {name}, which does not exist in namespace {cluster.namespace}."
            causes = "The API server refuses its pods: none is ever made."
            yield Finding(PROBLEM, (workload.title,), what, causes, "", Value("serviceAccount.create", True))


def priority_class(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find pods that name a priority class which does not exist."""
    yield from _classes(subject, cluster, "PriorityClass", facts.PRIORITIES)


def runtime_class(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find pods that name a runtime class which does not exist."""
    yield from _classes(subject, cluster, "RuntimeClass", facts.RUNTIMES)


def _classes(subject: Subject, cluster: Facts, kind: str, resource: Kind) -> Iterator[Finding]:
    there = cluster.all(resource)
    field = f"{kind[0].lower()}{kind[1:]}Name"
    for workload in subject.workloads if there is not None else ():
        name = workload.spec.get(field)
        if not name or name in map(pods.name, there or []) or subject.has(kind, name):
            continue
        part = "server" if workload.component == "server" else "downloader"
        what = f"Its pods want the {kind} {name}, which does not exist."
        causes = "The API server refuses its pods: none is ever made."
        yield Finding(PROBLEM, (workload.title,), what, causes, "", Value(f"{part}.{field}", ""))


def resource_claim(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find claims of devices, and templates for them, that are not there."""
    for workload in subject.workloads:
        for each in workload.spec.get("resourceClaims") or []:
            for kind, resource in _DEVICES.items():
                name = each.get(f"{kind[0].lower()}{kind[1:]}Name")
                if name and not subject.has(kind, name) and cluster.misses(resource, name):
                    what = f"Its pods want the {kind} {name}, which does not exist in namespace {cluster.namespace}."
                    value = Value(f"server.resourceClaims.{each['name']}", None)
                    yield Finding(PROBLEM, (workload.title,), what, "Its pods stay Pending.", "Make it.", value)


def image(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find images without a registry that no node has: they come from nowhere."""
    nodes = [node for node in cluster.all(facts.NODES) or [] if is_ready(node)]
    for workload in subject.workloads if nodes else ():
        open_to = [node for node in nodes if selected(node, workload.spec)]
        for container in workload.containers:
            reference = container["image"]
            if "/" in reference.partition("@")[0] or not open_to or all(_holds(node, reference) for node in open_to):
                continue
            without = [pods.name(node) for node in open_to if not _holds(node, reference)]
            what = (
                f"Its image {reference} names no registry, and {len(without)} of {len(open_to)} nodes do not have it."
            )
            causes = "On such a node its pods end in ErrImagePull, unless Docker Hub has an image of that name."
            action = "Push the image to a registry that the nodes reach, and name it with that."
            part = "runtime" if container["name"] == "server" else "downloader"
            example = f"registry.example.com/{re.split('[:@]', reference)[0]}"
            yield Finding(WARNING, (workload.title,), what, causes, action, Value(f"{part}.image.repository", example))


def _holds(node: Object, reference: str) -> bool:
    """Return whether a node has an image; a node tells of fifty, so no is no proof."""
    known = (name for each in node["status"].get("images") or [] for name in each.get("names") or [])
    return any(name == reference or name.endswith(f"/{reference}") for name in known)
