"""Network disks for a local cluster: as in a cloud, any node can have one, but one node at a time, and they grow.

The driver is `toolchain/csi/disks`. Provisioning, attaching and growing is done by the sidecars that real drivers have.
"""

from __future__ import annotations

import json
from pathlib import Path

from cluster.local.bringup import LocalCluster
from cluster.local.components import Component
from cluster.local.layout import INSIDE, Node

DISK = "network-disk"  # the storage class
MINIMUM_MIB = 300  # what a smaller claim gets too
_DRIVER = "disks.llmkube.local"
_SIDECARS = ("csi-provisioner", "csi-attacher", "csi-resizer")


def start(cluster: LocalCluster) -> None:
    """Starts driver and sidecars, once, and returns when the nodes know the driver."""
    if (cluster.layout.state / "disks").exists():
        return
    cluster.kubectl("apply", "--filename", "-", stdin=json.dumps(_objects()))
    for node in cluster.nodes:
        cluster.start(_driver(node))
    socket = _socket(cluster.nodes[0])
    seen = cluster.layout.state / socket.relative_to(INSIDE)
    cluster.wait_for("the disks' driver", seen.exists)  # a sidecar that finds no socket gives up
    for name in _SIDECARS:
        cluster.start(_sidecar(name, socket))
    cluster.wait_for("the nodes to know the disks", lambda: all(_registered(cluster, node) for node in cluster.nodes))
    (cluster.layout.state / "disks").touch()


def _socket(node: Node) -> Path:
    return node.folder / "kubelet" / "plugins" / _DRIVER / "csi.sock"


def _driver(node: Node) -> Component:
    folders = ["--data", str(node.layout.disks), "--kubelet", str(node.folder / "kubelet")]
    return Component(f"disks-{node.number}", ["disks", "--node", node.name, *folders])


def _sidecar(name: str, socket: Path) -> Component:
    return Component(name, [name, "--csi-address", str(socket), "--kubeconfig", f"{INSIDE}/admin.kubeconfig"])


def _registered(cluster: LocalCluster, node: Node) -> bool:
    found = cluster.get(f"/apis/storage.k8s.io/v1/csinodes/{node.name}")
    return found is not None and any(driver["name"] == _DRIVER for driver in found["spec"].get("drivers") or [])


def _objects() -> dict[str, object]:
    driver = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": _DRIVER},
        "spec": {"attachRequired": True, "podInfoOnMount": False, "fsGroupPolicy": "File"},
    }
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": DISK},
        "provisioner": _DRIVER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
        "reclaimPolicy": "Delete",
    }
    return {"apiVersion": "v1", "kind": "List", "items": [driver, storage_class]}
