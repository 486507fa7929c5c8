"""What is known of the programs that make volumes, beyond what a cluster says of them."""

from __future__ import annotations

import re

# Volumes of these are on one node at a time when they hold a file system, as their documentation says.
_ONE_NODE = (
    "ebs.csi.aws.com",
    "pd.csi.storage.gke.io",
    "disk.csi.azure.com",
    "cinder.csi.openstack.org",
    "dobs.csi.digitalocean.com",
    "csi.hetzner.cloud",
    "linodebs.csi.linode.com",
    "block.csi.vultr.com",
    "rbd.csi.ceph.com",
    "rancher.io/local-path",
    "topolvm.io",
    "topolvm.cybozu.com",
    "local.csi.openebs.io",
    "zfs.csi.openebs.io",
    "openebs.io/local",
)
# These are shared file systems.
_SHARED = (
    "efs.csi.aws.com",
    "fsx.csi.aws.com",
    "filestore.csi.storage.gke.io",
    "file.csi.azure.com",
    "cephfs.csi.ceph.com",
    "nfs.csi.k8s.io",
    "nfs-subdir-external-provisioner",
    "driver.longhorn.io",
    "csi.juicefs.com",
    "nfs.csi.ceph.com",
    "manila.csi.openstack.org",
)
# In-tree provisioners, which Kubernetes hands on to CSI drivers.
_MOVED = {
    "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
    "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
    "kubernetes.io/azure-disk": "disk.csi.azure.com",
    "kubernetes.io/azure-file": "file.csi.azure.com",
    "kubernetes.io/cinder": "cinder.csi.openstack.org",
    "kubernetes.io/vsphere-volume": "csi.vsphere.vmware.com",
}
_LOOKS_LIKE_CSI = re.compile(r"(^|[.-])csi([.-]|$)")
NOBODY = "kubernetes.io/no-provisioner"


def driver(provisioner: str) -> str:
    """Return the program that makes volumes for a class's provisioner."""
    return _MOVED.get(provisioner, provisioner)


def is_csi(provisioner: str) -> bool:
    """Return whether a provisioner is certainly a CSI driver, judged by its name alone."""
    return provisioner in _MOVED or bool(_LOOKS_LIKE_CSI.search(provisioner))


def one_node(provisioner: str) -> bool:
    """Return whether several nodes can certainly not mount a volume at the same time."""
    return _is_one_of(driver(provisioner), _ONE_NODE)


def shared(provisioner: str) -> bool:
    """Return whether several nodes can certainly mount a volume at the same time."""
    return _is_one_of(driver(provisioner), _SHARED)


def _is_one_of(name: str, known: tuple[str, ...]) -> bool:
    """Return whether a name is known; operators put their namespace before it, or a host."""
    return any(name == each or name.endswith((f".{each}", f"/{each}")) for each in known)
