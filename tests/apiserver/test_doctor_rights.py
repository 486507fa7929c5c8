"""The shipped Roles of `doctor` are what its checks read; without one right it names that, and the others go on."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from apiserver.client import Api
from apiserver.rights import DOCTOR, DOCTOR_CLUSTER, SERVED
from apiserver.staging import ORDER, Place
from chart.rendering import ROOT, Object, Renderer, nested

pytestmark = pytest.mark.cluster

# Releases that name all that checks look for; what they name is there, or is not.
_THERE: dict[str, Any] = {"model.source": SERVED, "modelCache.size": "1Gi"}
_NAMING: dict[str, Any] = {
    **_THERE,
    "model.existingSecret": "hf",
    "modelCache.storageClass": "drives",
    "modelCache.upstream.central.claimName": "central",
    "artifactCache.enabled": True,
    "artifactCache.storageClass": "",
    "downloader.caBundle.configMap": "authority",
    "imagePullSecrets": [{"name": "registry"}],
    "server.resourceClaims.one.resourceClaimName": "gpu",
    "server.resourceClaims.more.resourceClaimTemplateName": "gpus",
}
_BORROWED = {
    "serviceAccount.create": False,
    "artifactCache.storageClass": "nowhere",
    "podSecurityContext.fsGroup": None,
}
_PASSING = {name: value for name, value in _NAMING.items() if "upstream" not in name}
_RELEASES: list[tuple[str, dict[str, Any]]] = [
    ("new", _NAMING),
    ("borrows", {**_NAMING, **_BORROWED}),
    ("passing", {**_PASSING, "modelCache.mode": "ephemeral", "server.replicas": 2}),
    ("there", _THERE),  # an upgrade
]
_ROW = re.compile(r"^\| (namespace|cluster) \| `(\w+)` ([^|]+?) \| [^|]+ \| (.+) \|$", re.MULTILINE)
_SENTENCE = re.compile(r"You may not (\w+) (\S+) (of the cluster|in namespace \S+)\. Not looked at: (.*)\.")


class Right(NamedTuple):
    """A right, and whether it is one of the cluster."""

    name: str
    of_the_cluster: bool


RIGHTS = [Right(right, of_the_cluster=False) for right in sorted(DOCTOR)]
RIGHTS += [Right(right, of_the_cluster=True) for right in sorted(DOCTOR_CLUSTER)]


class Clinic(NamedTuple):
    """A namespace with something for every check to read, and the ways in which `doctor` is asked there."""

    place: Place
    calls: list[tuple[str, ...]]

    def findings(self, user: str) -> list[Any]:
        """Return what a user gets to hear, of all ways to ask, as data."""
        found = []
        for call in self.calls:
            result = self.place.run("doctor", *call, "-o", "json", user=user)
            assert result.exit_code in (0, 1), result.output
            found += json.loads(result.stdout)["findings"]
        return found

    def unread(self, findings: list[Any]) -> dict[Right, set[str]]:
        """Return the rights that are said to be missing, with the checks that wanted them."""
        found: dict[Right, set[str]] = defaultdict(set)
        for each in findings:
            if each["check"] == "rights":
                told = _SENTENCE.fullmatch(each["what"])
                assert told, each["what"]
                verb, resource, where, checks = told.groups()
                assert where in ("of the cluster", f"in namespace {self.place.namespace}")
                role = "ClusterRole" if where == "of the cluster" else "Role"
                assert each["action"] == f"Ask for a {role} with the verb {verb} on {resource}."
                found[Right(f"{verb} {resource}", where == "of the cluster")] |= set(checks.split(", "))
        return found


@pytest.fixture(scope="module")
def clinic(api: Api, chart: Renderer, space: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    place = Place(api, space())
    _furnish(place)
    for each in chart.objects(nested(_THERE), "there"):
        if each["kind"] in ORDER:
            made = place.make(each)
            if each["kind"] == "Job":
                _fail(place, made)
    folder = tmp_path_factory.mktemp("clinic")
    calls: list[tuple[str, ...]] = [()]
    for name, values in _RELEASES:
        (folder / name).write_text(chart.text(nested(values), name))
        calls.append(("--manifests", str(folder / name)))
    return Clinic(place, calls)


def _furnish(place: Place) -> None:
    """Put into a namespace, and into the cluster, what checks only look at when it is there."""
    api, driver = place.api, "ebs.csi.aws.com"  # of which is known that its volumes are on one node at a time
    api.done("POST", "/api/v1/nodes", {"metadata": {"name": "roomy"}})
    api.done("PATCH", "/api/v1/nodes/roomy", {"spec": {"taints": None}})  # one that no kubelet has registered yet has
    has = {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "100Gi", "pods": "110"}
    status = {"allocatable": has, "capacity": has, "conditions": [{"type": "Ready", "status": "True"}]}
    api.done("PATCH", "/api/v1/nodes/roomy/status", {"status": status})
    storage = "/apis/storage.k8s.io/v1"
    api.done("POST", f"{storage}/csidrivers", {"metadata": {"name": driver}, "spec": {}})
    api.done("POST", f"{storage}/storageclasses", {"metadata": {"name": "drives"}, "provisioner": driver})
    term = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["elsewhere"]}]}
    volume: Object = {"capacity": {"storage": "1Gi"}, "nfs": {"server": "files", "path": "/models"}}
    volume["nodeAffinity"] = {"required": {"nodeSelectorTerms": [term]}}
    body = {"metadata": {"name": "central"}, "spec": {**volume, "accessModes": ["ReadWriteMany"]}}
    api.done("POST", "/api/v1/persistentvolumes", body)
    claim = {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Gi"}}}
    hard = {"requests.cpu": "100", "requests.storage": "100Gi"}
    limits = [
        {"type": "Container", "defaultRequest": {"cpu": "10m"}, "max": {"memory": "64Gi"}},
        {"type": "PersistentVolumeClaim", "max": {"storage": "1Ti"}},
    ]
    place.make(_named("PersistentVolumeClaim", "central", {**claim, "volumeName": "central"}))
    place.make(_named("ResourceQuota", "team", {"hard": hard}))
    place.make(_named("LimitRange", "sizes", {"limits": limits}))


def _named(kind: str, name: str, spec: Object) -> Object:
    return {"kind": kind, "metadata": {"name": name}, "spec": spec}


def _fail(place: Place, job: Object) -> None:
    """Tell a Job that it has failed for good, as its controller does."""
    conditions = [{"type": each, "status": "True", "reason": "Test"} for each in ("FailureTarget", "Failed")]
    path = f"/apis/batch/v1/namespaces/{place.namespace}/jobs/{job['metadata']['name']}/status"
    place.api.done("PATCH", path, {"status": {"startTime": "2026-01-02T03:04:05Z", "conditions": conditions}})


@pytest.fixture(scope="module")
def all_found(clinic: Clinic) -> list[Any]:
    """What a user with both shipped Roles gets to hear."""
    return clinic.findings(clinic.place.user(DOCTOR, DOCTOR_CLUSTER))


def test_with_the_shipped_rights_every_check_is_answered(clinic: Clinic, all_found: list[Any]) -> None:
    assert clinic.unread(all_found) == {}


_RIGHTS = [pytest.param(each, id=f"{each.name}{' of the cluster' * each.of_the_cluster}") for each in RIGHTS]


@pytest.mark.parametrize("right", _RIGHTS)
def test_without_one_right_it_is_named_with_what_wanted_it_and_nothing_is_made_up(
    clinic: Clinic, all_found: list[Any], right: Right
) -> None:
    # Who may list pods of the cluster may list those of the namespace.
    lacks = {right, *(each for each in RIGHTS if each == Right(right.name, of_the_cluster=True))}
    own, wide = ([each.name for each in RIGHTS if each.of_the_cluster == of and each not in lacks] for of in (0, 1))

    found = clinic.findings(clinic.place.user(own, wide))

    wanted = {each: documented()[each] for each in lacks}
    assert clinic.unread(found) == wanted
    left_out = {"rights", *(check for checks in wanted.values() for check in checks)}
    told = [(each["check"], each["what"]) for each in all_found]
    assert [each for each in found if each["check"] != "rights" and (each["check"], each["what"]) not in told] == []
    if "what releases there are" not in left_out:  # of one that is not seen, nothing is looked at
        assert [each for each in all_found if each["check"] not in left_out and each not in found] == []


def test_the_page_names_every_right_and_no_other() -> None:
    assert documented().keys() == set(RIGHTS)


def documented() -> dict[Right, set[str]]:
    """Return the rights that the page lists, each with the checks that are left out without it."""
    page = (ROOT / "docs" / "plugin-rbac.md").read_text("utf-8").partition("## What `doctor` reads")[2]
    found: dict[Right, set[str]] = defaultdict(set)
    for where, verb, resources, checks in _ROW.findall(page.partition("\n## ")[0]):
        for resource in resources.split(", "):
            found[Right(f"{verb} {resource}", where == "cluster")] |= set(re.findall("`([^`]+)`", checks))
    return found
