"""What every verb of the plugin asks of the API server, and the Roles that are shipped for it.

A right is written as in `kubectl auth can-i`: `list pods`, `get pods/log`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from chart.rendering import ROOT, Object

ROLES = ROOT / "values-examples" / "rbac"
LISTS = frozenset(f"list {kind}" for kind in ("pods", "persistentvolumeclaims", "deployments", "jobs", "cronjobs"))
DOWNLOAD = LISTS | {"create jobs", "watch pods"}
VOLUME_WORK = DOWNLOAD | {"get pods/log", "delete jobs"}
# What doctor reads of its namespace, and of the cluster.
DOCTOR = (
    LISTS
    | {f"list {kind}" for kind in ("resourcequotas", "limitranges", "networkpolicies")}
    | {f"get {kind}" for kind in ("persistentvolumeclaims", "deployments", "cronjobs", "services", "namespaces")}
    | {f"get {kind}" for kind in ("secrets", "configmaps", "serviceaccounts")}
    | {f"get {kind}" for kind in ("resourceclaims", "resourceclaimtemplates")}
)
DOCTOR_CLUSTER = frozenset(
    {f"list {kind}" for kind in ("nodes", "storageclasses", "csidrivers", "csinodes", "priorityclasses")}
    | {"list runtimeclasses", "list persistentvolumes", "get persistentvolumes", "list pods"}
)
_EVENTS = {"list events": ""}  # asked only while a pod does not start
_GROUPS = {
    **dict.fromkeys(("jobs", "cronjobs"), "batch"),
    **dict.fromkeys(("storageclasses", "csidrivers", "csinodes"), "storage.k8s.io"),
    **dict.fromkeys(("resourceclaims", "resourceclaimtemplates"), "resource.k8s.io"),
    "deployments": "apps",
    "networkpolicies": "networking.k8s.io",
    "priorityclasses": "scheduling.k8s.io",
    "runtimeclasses": "node.k8s.io",
}

RELEASE = "chat"
SERVED = "hf://acme/small/model-f16.gguf"
OTHER = "hf://acme/other/model-f16.gguf"


@dataclass(frozen=True)
class Verb:
    """One way to call the plugin.

    - role: the shipped Role that allows it.
    - needs: rights without which it fails.
    - optional: rights without which it works, with what it says for want of them (empty: said in rare cases only).
    - codes: exit codes with which it works.
    - first: what an administrator does before, so that there is something to work on.
    """

    command: tuple[str, ...]
    role: str
    needs: frozenset[str]
    optional: Mapping[str, str] = field(default_factory=dict)
    first: tuple[tuple[str, ...], ...] = ()
    codes: tuple[int, ...] = (0,)

    @property
    def name(self) -> str:
        """What tests call it."""
        return " ".join(word for word in self.command if "/" not in word)

    @property
    def all(self) -> frozenset[str]:
        """Every right that it may use."""
        return self.needs | self.optional.keys()


VERBS = (
    Verb(("cache", "list"), "view", LISTS),
    Verb(("cache", "status"), "view", LISTS, {"get pods/log": "", **_EVENTS}),
    Verb(("cache", "df"), "view", LISTS),
    Verb(
        ("cache", "plan", "--file", str(ROOT / "values-examples" / "cpu-llamacpp.rendered.yaml")), "view", frozenset()
    ),
    Verb(("cache", "create", "models", "--size", "1Gi", "--dry-run"), "view", frozenset()),  # Helm does the rest
    Verb(("catalog", "list"), "view", frozenset()),
    Verb(("catalog", "show", "qwen-2.5-0.5b"), "view", frozenset()),
    Verb(("report", "--file", "-"), "view", LISTS),
    # It notes what it may not read, and finds that there is no node.
    Verb(("doctor",), "doctor", frozenset(), dict.fromkeys(DOCTOR, ""), codes=(0, 1)),
    Verb(("cache", "list", "--scan"), "operate", VOLUME_WORK, _EVENTS),
    Verb(("cache", "df", "--scan"), "operate", VOLUME_WORK, _EVENTS),
    Verb(("cache", "status", "--scan"), "operate", VOLUME_WORK, _EVENTS),
    Verb(("report", "--scan", "--file", "-"), "operate", VOLUME_WORK, _EVENTS),
    Verb(("cache", "verify"), "operate", VOLUME_WORK, _EVENTS),
    Verb(
        ("cache", "preload", RELEASE),
        "operate",
        DOWNLOAD,
        {"get pods/log": "how far it is can not be shown", **_EVENTS},
    ),
    Verb(("cache", "preload", OTHER, "--no-wait"), "operate", LISTS | {"create jobs"}),
    Verb(
        ("cache", "clear", "--model", OTHER, "--yes"),
        "operate",
        VOLUME_WORK,
        {"delete pods": "goes on showing an old report: you may not delete pods", **_EVENTS},
        first=(("cache", "preload", OTHER),),
    ),
    Verb(
        ("cache", "clear", "--orphans", "--yes"),
        "operate",
        VOLUME_WORK,
        {"delete pods": "goes on showing an old report: you may not delete pods", **_EVENTS},
        first=(("cache", "preload", OTHER),),
    ),
    Verb(
        ("cache", "prune", "--unused", "--yes"),
        "operate",
        VOLUME_WORK,
        {"delete pods": "", **_EVENTS},
        first=(("cache", "preload", OTHER),),
    ),
    Verb(("cache", "verify", "--repair"), "operate", VOLUME_WORK, _EVENTS),
    Verb(("cache", "pin", "--model", RELEASE), "operate", VOLUME_WORK, _EVENTS, first=(("cache", "preload", RELEASE),)),
    Verb(("cache", "unpin", "--model", RELEASE), "operate", VOLUME_WORK, _EVENTS),
)


def rules(rights: Iterable[str]) -> list[Object]:
    """Return the rules of a Role that has exactly these rights."""
    pairs = [right.split(" ") for right in sorted(rights)]
    return [{"apiGroups": [_group(resource)], "resources": [resource], "verbs": [verb]} for verb, resource in pairs]


def rights_of(file: Path) -> list[str]:
    """Return the rights that a shipped file gives, each as often as it does."""
    documents = yaml.safe_load_all(file.read_text("utf-8"))
    (role,) = (each for each in documents if each["kind"] in ("Role", "ClusterRole"))
    return list(itertools.chain.from_iterable(map(_expanded, role["rules"])))


def review(right: str, namespace: str, user: str, group: str = "") -> Object:
    """Return the question whether a user has a right; in all namespaces when none is named."""
    verb, resource = right.split(" ")
    kind, _, part = resource.partition("/")
    attributes = {"verb": verb, "resource": kind, "subresource": part, "group": _group(resource)}
    spec = {
        "user": user,
        "groups": [group] if group else [],
        "resourceAttributes": {**attributes, "namespace": namespace},
    }
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


def _expanded(rule: Object) -> Iterator[str]:
    for group, resource, verb in itertools.product(rule["apiGroups"], rule["resources"], rule["verbs"]):
        assert group == _group(resource), f"{resource} is of the API group {_group(resource)!r}"
        yield f"{verb} {resource}"


def _group(resource: str) -> str:
    return _GROUPS.get(resource, "")
