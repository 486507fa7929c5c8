"""What Kubernetes, or server-side apply, refuses in objects: told without a cluster, for many renderings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from chart.rendering import Object, pod_templates

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_DNS_LABEL = re.compile(_LABEL)
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Of a kind's name: the pattern, and the longest one. A CronJob's is shorter, as its Jobs' names are made from it; those
# of Jobs and Deployments become labels of their pods.
_NAMES: dict[str, tuple[re.Pattern[str], int]] = {
    "Service": (_SERVICE, 63),
    "CronJob": (_DNS_LABEL, 52),
    "Job": (_DNS_LABEL, 63),
    "Deployment": (_DNS_LABEL, 63),
    "Pod": (_DNS_LABEL, 63),
}
_ANY_NAME = (_SUBDOMAIN, 253)
# Lists of a container or a pod in which nothing may be there twice, and what tells their items apart.
_CONTAINER_LISTS = {"env": "name", "volumeMounts": "mountPath", "volumeDevices": "devicePath"}
_POD_LISTS = {"volumes": "name", "imagePullSecrets": "name", "resourceClaims": "name"}


def problems(objects: Iterable[Object]) -> list[str]:
    """Return what is wrong with objects that are to be in one namespace together; nothing when all is well."""
    everything = list(objects)
    found = [f"{identity} is there twice" for identity in repeated(identities(everything))]
    for manifest in everything:
        where = "/".join(identity_of(manifest))
        found += [f"{where}: {problem}" for problem in (*_metadata(manifest), *_pods(manifest))]
    return found


def identity_of(manifest: Object) -> tuple[str, str]:
    """Return kind and name of an object."""
    return manifest["kind"], manifest["metadata"]["name"]


def identities(objects: Iterable[Object]) -> list[tuple[str, str]]:
    """Return kind and name of every object."""
    return [identity_of(manifest) for manifest in objects]


def repeated(items: Iterable[Any]) -> list[Any]:
    """Return what is there more than once."""
    return [item for item, count in Counter(items).items() if count > 1]


def _metadata(manifest: Object) -> Iterator[str]:
    pattern, longest = _NAMES.get(manifest["kind"], _ANY_NAME)
    name = manifest["metadata"]["name"]
    if not (isinstance(name, str) and pattern.fullmatch(name) and len(name) <= longest):
        yield f"the name is not valid: {name!r}"
    for metadata in (manifest["metadata"], *(template["metadata"] for template in pod_templates(manifest))):
        yield from _labels(metadata)


def _labels(metadata: Object) -> Iterator[str]:
    for name, value in metadata.get("labels", {}).items():
        if not (isinstance(value, str) and _VALUE.fullmatch(value) and len(value) <= 63):
            yield f"the label {name} has no valid value: {value!r}"
    for name, value in metadata.get("annotations", {}).items():
        if not isinstance(value, str):
            yield f"the annotation {name} is no text: {value!r}"


def _pods(manifest: Object) -> Iterator[str]:
    for template in [*pod_templates(manifest), *([manifest] if manifest["kind"] == "Pod" else [])]:
        spec = template["spec"]
        all_containers = [*spec.get("initContainers", []), *spec["containers"]]
        yield from _twice("containers", [container["name"] for container in all_containers])
        yield from _twice("ports", [port["name"] for item in all_containers for port in item.get("ports", [])])
        for items, key in _POD_LISTS.items():
            yield from _twice(items, [item[key] for item in spec.get(items, [])])
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        for container in all_containers:
            yield from (f"container {container['name']}: {problem}" for problem in _container(container, volumes))
        selector = manifest.get("spec", {}).get("selector", {}).get("matchLabels", {})
        if not selector.items() <= template["metadata"].get("labels", {}).items():
            yield "the selector does not match the pod's labels"


def _container(container: Object, volumes: set[str]) -> Iterator[str]:
    if not (_DNS_LABEL.fullmatch(container["name"]) and len(container["name"]) <= 63):
        yield "the name is not valid"
    for items, key in _CONTAINER_LISTS.items():
        yield from _twice(items, [item[key] for item in container.get(items, [])])
    for variable in container.get("env", []):
        if not _VARIABLE.fullmatch(variable["name"]):
            yield f"the variable {variable['name']!r} is not valid"
        if not isinstance(variable.get("value", ""), str):
            yield f"the variable {variable['name']} is no text"
    for mount in container.get("volumeMounts", []):
        if mount["name"] not in volumes:
            yield f"mounts {mount['name']}, which is no volume of the pod"


def _twice(what: str, names: Iterable[str]) -> Iterator[str]:
    yield from (f"{what}: {name} is there twice" for name in repeated(names))
