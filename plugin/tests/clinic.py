"""Clusters for the doctor to look at: one that has all that a release needs, and what else a test puts into it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import releases

if TYPE_CHECKING:
    from pathlib import Path

    from fake_kubernetes import FakeKubernetes

    from conftest import Run

Object = dict[str, Any]

IMAGE = "registry.example.com/llmkube-downloader"
# A Job's name ends in a hash of what it does.
_PRELOAD = re.compile("web-preload-[0-9a-f]{8}")
# A release of which nothing is to be said.
FINE: Object = {
    "model": {"source": "https://models.example.com/tiny.gguf"},
    "modelCache": {"size": "1Gi"},
    "downloader": {"image": {"repository": IMAGE}},
}


class Case(NamedTuple):
    """What is in a cluster beside what healthy() puts there, values by path, and what is then said."""

    world: list[Object]
    values: Object
    says: str


def check(clinic: Clinic, case: Case) -> None:
    """Fail when the doctor does not say just that; lines may be broken anywhere."""
    clinic.cluster.add(*case.world)
    assert " ".join(case.says.split()) in " ".join(clinic.about(**case.values).split())


def cluster_object(kind: str, name: str, api: str = "v1", **fields: Any) -> Object:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **fields}


def node(
    name: str, labels: Object | None = None, taints: list[Object] | None = None, has: Object | None = None
) -> Object:
    """Return a node that is ready."""
    has = {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "100Gi", "pods": "110", **(has or {})}
    status = {"allocatable": has, "conditions": [{"type": "Ready", "status": "True"}]}
    made = cluster_object("Node", name, spec={"taints": taints or []}, status=status)
    made["metadata"]["labels"] = {"kubernetes.io/hostname": name, **(labels or {})}
    return made


def storage_class(name: str, provisioner: str = "example.com/storage", *, default: bool = False, **more: Any) -> Object:
    fields = {"volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": True, **more}
    made = cluster_object("StorageClass", name, "storage.k8s.io/v1", provisioner=provisioner, **fields)
    made["metadata"]["annotations"] = {"storageclass.kubernetes.io/is-default-class": str(default).lower()}
    return made


def claim(name: str, phase: str = "Bound", mode: str = "ReadWriteOnce", **spec: Any) -> Object:
    """Return a claim that is there, of nobody's release."""
    fields = {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "standard"}
    return cluster_object("PersistentVolumeClaim", name, spec={**fields, **spec}, status={"phase": phase})


def volume(name: str, **spec: Any) -> Object:
    """Return a volume that nobody has."""
    fields = {"capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    return cluster_object("PersistentVolume", name, spec={**fields, **spec}, status={"phase": "Available"})


def healthy(cluster: FakeKubernetes) -> None:
    """Put into a cluster what a release needs: a node, a class, a namespace."""
    cluster.add(node("node-1"), storage_class("standard", default=True), cluster_object("Namespace", "default"))


@dataclass(frozen=True)
class Clinic:
    """Asks the doctor about releases."""

    run: Run
    cluster: FakeKubernetes
    folder: Path

    def about(self, *arguments: str, **values: Any) -> str:
        """Return what is said of a release `web` with values by path, `__` for dots, over those of FINE."""
        result = self.run("doctor", "--manifests", str(self.manifests(**values)), *arguments)
        assert result.exit_code == int("\nPROBLEM " in f"\n{result.stdout}"), result.output
        return _PRELOAD.sub("web-preload", result.stdout)

    def findings(self, **values: Any) -> list[Object]:
        """Return the same as data."""
        result = self.run("doctor", "--manifests", str(self.manifests(**values)), "-o", "json")
        found: list[Object] = json.loads(result.stdout)["findings"]
        return found

    def manifests(self, **values: Any) -> Path:
        """Return a file with what helm renders."""
        path = self.folder / "manifests.yaml"
        path.write_text(releases.rendered("web", json.dumps(_over(FINE, values))))
        return path


def _over(base: Object, values: Object) -> Object:
    made: Object = json.loads(json.dumps(base))
    for path, value in values.items():
        *parents, name = path.split("__")
        place = made
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = value
    return made


def csi_driver(name: str, **spec: Any) -> Object:
    return cluster_object("CSIDriver", name, "storage.k8s.io/v1", spec=spec)


def csi_node(name: str, *drivers: str) -> Object:
    spec = {"drivers": [{"name": driver} for driver in drivers]}
    return cluster_object("CSINode", name, "storage.k8s.io/v1", spec=spec)


def owned(item: Object, release: str = "web") -> Object:
    """Return an object as if Helm had made it for a release."""
    metadata = item["metadata"]
    metadata["labels"] = {"app.kubernetes.io/managed-by": "Helm", "llmkube.dev/release": release}
    metadata["annotations"] = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": "default"}
    return item


def going(item: Object) -> Object:
    """Return an object that is being deleted."""
    item["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    return item


def not_ready(item: Object) -> Object:
    item["status"]["conditions"][0]["status"] = "False"
    return item


def on_node(name: str) -> Object:
    """Return the node affinity of a volume that is on one node."""
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [name]}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


def busy(name: str, on: str, **requests: str) -> Object:
    """Return a running pod that holds something of its node."""
    spec = {"nodeName": on, "containers": [{"name": "main", "resources": {"requests": requests}}]}
    return cluster_object("Pod", name, spec=spec, status={"phase": "Running"})


def namespace(level: str) -> Object:
    """Return the namespace with the Pod Security level that it enforces."""
    made = cluster_object("Namespace", "default")
    made["metadata"]["labels"] = {"pod-security.kubernetes.io/enforce": level}
    return made


def quota(hard: Object, used: Object, **spec: Any) -> Object:
    return cluster_object("ResourceQuota", "team", spec={"hard": hard, **spec}, status={"hard": hard, "used": used})


def limit_range(**limit: Any) -> Object:
    return cluster_object("LimitRange", "sizes", spec={"limits": [limit]})


def policy(**spec: Any) -> Object:
    fields = {"podSelector": {}, "policyTypes": ["Egress"], **spec}
    return cluster_object("NetworkPolicy", "closed", "networking.k8s.io/v1", spec=fields)
