"""Whether the API server takes what is to be installed: kinds that it does not know, objects that belong to others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_plugin import contract, pods
from llmkube_plugin.doctor.finding import PROBLEM, Finding, Value
from llmkube_plugin.doctor.subject import CLAIM, title
from llmkube_plugin.kube import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkube_plugin.doctor.facts import Facts
    from llmkube_plugin.doctor.subject import Subject
    from llmkube_plugin.kube import Object

_RELEASE = "meta.helm.sh/release-name"
_NAMESPACE = "meta.helm.sh/release-namespace"
# Kinds of the chart that are no part of Kubernetes: the value that renders them, and who brings them.
_VALUES = {
    "PodMonitor": ("server.podMonitor.enabled", "the Prometheus Operator"),
    "ServiceMonitor": ("server.serviceMonitor.enabled", "the Prometheus Operator"),
    "HTTPRoute": ("server.httpRoute.enabled", "the Gateway API"),
    "ScaledObject": ("server.keda.enabled", "KEDA"),
}
# Where the objects of the chart are found.
_PLACES = {
    "Deployment": Kind("deployments", "/apis/apps/v1"),
    "CronJob": Kind("cronjobs", "/apis/batch/v1"),
    "Service": Kind("services", "/api/v1"),
    "ServiceAccount": Kind("serviceaccounts", "/api/v1"),
    CLAIM: Kind("persistentvolumeclaims", "/api/v1"),
}


def missing_kind(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find objects of kinds that the cluster does not know."""
    for item in subject.objects if subject.planned else ():
        if cluster.serves(item.get("apiVersion", "v1"), item["kind"]):
            continue
        path, who = _VALUES.get(item["kind"], ("", "whoever defines it"))
        what = f"The cluster does not know the kind {item['kind']} of {item['apiVersion']}."
        causes = f"Helm ends with an error, no matches for kind {item['kind']}, and installs nothing."
        value = Value(path, False) if path else None
        yield Finding(PROBLEM, (title(item),), what, causes, f"Install {who}, or leave the object out.", value)


def owner(subject: Subject, cluster: Facts) -> Iterator[Finding]:
    """Find objects that are there already and belong to another release, or to none."""
    for item in subject.objects if subject.planned else ():
        place = _PLACES.get(item["kind"])
        there = cluster.one(place, pods.name(item)) if place else None
        release = pods.label(item, contract.LABEL_RELEASE)
        if there is None or _is_mine(there, release, cluster.namespace):
            continue
        yield _conflict(item, there, release, cluster.namespace)


def _is_mine(there: Object, release: str, namespace: str) -> bool:
    """Return whether Helm takes an object for one of a release: by annotations, and a label."""
    named = (pods.annotation(there, _RELEASE), pods.annotation(there, _NAMESPACE))
    return named == (release, namespace) and pods.label(there, "app.kubernetes.io/managed-by") == "Helm"


def _conflict(item: Object, there: Object, release: str, namespace: str) -> Finding:
    other = pods.annotation(there, _RELEASE)
    whose = f"it belongs to the release {other}" if other not in ("", release) else "Helm did not make it"
    what = f"It is there already, and {whose}."
    causes = "Helm ends with an error, invalid ownership metadata, and installs nothing. Argo CD and Flux take it over."
    if item["kind"] == CLAIM and pods.annotation(item, contract.ANNOTATION_MODE) == "shared":
        return Finding(PROBLEM, (title(item),), what, causes, "", Value("modelCache.create", False))
    if item["kind"] == CLAIM:
        action = "Use it with modelCache.mode=existingClaim; or take it over: `helm install --take-ownership`."
        return Finding(PROBLEM, (title(item),), what, causes, action, Value("modelCache.claimName", pods.name(item)))
    action = (
        f"Take another name; or take it over: `helm install {release} --take-ownership`, or delete it in {namespace}."
    )
    return Finding(PROBLEM, (title(item),), what, causes, action, Value("fullnameOverride", f"{release}-2"))
