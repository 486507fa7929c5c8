"""What the doctor says of classes and claims, in full."""

from __future__ import annotations

import pytest
import releases
from clinic import Case, Clinic, check, claim, csi_driver, csi_node, going, node, on_node, owned, storage_class, volume

from llmkube_plugin.doctor import checks

CASES = {
    "storage-class": Case(
        [],
        {"modelCache__storageClass": "fast"},
        """
        PROBLEM storage-class: PersistentVolumeClaim web-model-cache
          It names the storage class fast, which does not exist. There are: standard (default).
          The claim stays Pending, and so do all pods that mount it: `helm install --wait` ends with
            its timeout.
          Set modelCache.storageClass: "standard"
        """,
    ),
    "default-class": Case(
        [storage_class("standard")],
        {},
        """
        PROBLEM default-class: PersistentVolumeClaim web-model-cache
          It names no storage class, and no class is the cluster's default. There are: standard.
          The claim stays Pending, and so do all pods that mount it: `helm install --wait` ends with
            its timeout.
          Set modelCache.storageClass: "standard"
        """,
    ),
    "ready-volume": Case(
        [volume("small", capacity={"storage": "100Mi"})],
        {"modelCache__storageClass": ""},
        """
        PROBLEM ready-volume: PersistentVolumeClaim web-model-cache
          It wants a volume without a class, and none is free that is large enough and has its
            access mode.
          The claim stays Pending, and so do all pods that mount it: `helm install --wait` ends with
            its timeout.
          Set modelCache.storageClass: "standard"
          Make such a PersistentVolume.
        """,
    ),
    "access-mode": Case(
        [storage_class("standard", "ebs.csi.aws.com", default=True), csi_driver("ebs.csi.aws.com")],
        {"modelCache__accessMode": "ReadWriteMany"},
        """
        PROBLEM access-mode: PersistentVolumeClaim web-model-cache
          It wants ReadWriteMany of the class standard, and volumes of ebs.csi.aws.com are on one
            node at a time.
          The claim stays Pending, and so do all pods that mount it: `helm install --wait` ends with
            its timeout.
          Set modelCache.accessMode: "ReadWriteOnce"
          A shared file system, such as NFS or CephFS, has it.
        """,
    ),
    "access-mode, another class has it": Case(
        [
            storage_class("standard", "rancher.io/local-path", default=True),
            storage_class("files", "nfs.csi.k8s.io"),
            csi_driver("nfs.csi.k8s.io"),
        ],
        {"modelCache__accessMode": "ReadWriteMany"},
        """
        PROBLEM access-mode: PersistentVolumeClaim web-model-cache
          It wants ReadWriteMany of the class standard, and volumes of rancher.io/local-path are on
            one node at a time.
          The claim stays Pending, and so do all pods that mount it: `helm install --wait` ends with
            its timeout.
          Set modelCache.storageClass: "files"
        """,
    ),
    "csi-driver": Case(
        [storage_class("standard", "ebs.csi.aws.com", default=True)],
        {},
        """
        PROBLEM csi-driver: PersistentVolumeClaim web-model-cache
          Its class standard is of the CSI driver ebs.csi.aws.com, which is not installed.
          The claim stays Pending, and so do all pods that mount it: `helm install --wait` ends with
            its timeout.
          Install the driver, or name another class.
        """,
    ),
    "csi-driver, on some nodes": Case(
        [
            storage_class("standard", "ebs.csi.aws.com", default=True),
            csi_driver("ebs.csi.aws.com"),
            csi_node("node-1", "ebs.csi.aws.com"),
            csi_node("node-2"),
        ],
        {},
        """
        WARNING csi-driver: PersistentVolumeClaim web-model-cache
          The CSI driver ebs.csi.aws.com does not run on these nodes: node-2.
          A pod that is put there can not mount its volume, and stays ContainerCreating.
          Let the driver's pods tolerate the taints of those nodes: see its DaemonSet, and `kubectl
            get csinode`.
        """,
    ),
    "binding-mode": Case(
        [
            storage_class("standard", default=True, volumeBindingMode="Immediate"),
            storage_class("later"),
            node("node-2", {"zone": "b"}),
        ],
        {"server__nodeSelector": {"zone": "b"}},
        """
        WARNING binding-mode: PersistentVolumeClaim web-model-cache
          Its class standard makes the volume at once, before it is known on which nodes the pods
            fit.
          The volume may lie in a zone or on a node without the GPUs, and then no pod can use it.
          Set modelCache.storageClass: "later"
          Take a class with volumeBindingMode WaitForFirstConsumer.
        """,
    ),
    "expansion": Case(
        [storage_class("standard", default=True, allowVolumeExpansion=False)],
        {},
        """
        NOTE expansion: PersistentVolumeClaim web-model-cache
          Volumes of the class standard can not grow: it has its 1Gi for good.
          A larger model, or a second one, needs another claim.
          Let modelCache.size be large enough now.
        """,
    ),
    "fs-group": Case(
        [
            storage_class("standard", "nfs.csi.example.com", default=True),
            csi_driver("nfs.csi.example.com", fsGroupPolicy="None"),
        ],
        {},
        """
        WARNING fs-group: PersistentVolumeClaim web-model-cache
          The driver of its class standard does not honour fsGroup: nobody gives the volume to the
            pods.
          Where its root is not writable for their user, downloads end with exit code 15 (volume).
          Set podSecurityContext.runAsUser: 10001
          Let the class or the file server give the volume to this user; or name the user that it
            belongs to.
        """,
    ),
    "fs-group, none where it is needed": Case(
        [storage_class("standard", "ebs.csi.aws.com", default=True), csi_driver("ebs.csi.aws.com")],
        {"podSecurityContext__fsGroup": None},
        """
        PROBLEM fs-group: PersistentVolumeClaim web-model-cache
          The pods that mount it have no fsGroup, and a new volume of its class belongs to root.
          Downloads end with exit code 15 (volume): nothing can be written.
          Set podSecurityContext.fsGroup: 10001
        """,
    ),
    "claim-missing": Case(
        [claim("other")],
        {"modelCache__mode": "existingClaim", "modelCache__claimName": "mine"},
        """
        PROBLEM claim-missing: PersistentVolumeClaim mine
          It does not exist in namespace default, and this release does not make it.
          All pods that mount it stay Pending.
          Set modelCache.claimName: "other"
          Make it, or name one that is there: other.
        """,
    ),
    "claim-missing, the shared one": Case(
        [],
        {"modelCache__mode": "shared"},
        """
        PROBLEM claim-missing: PersistentVolumeClaim llmkube-model-cache
          It does not exist in namespace default, and this release does not make it.
          All pods that mount it stay Pending.
          Set modelCache.create: true
          Or install the release that does first.
        """,
    ),
    "claim-missing, one that is asked before the origin": Case(
        [claim("other")],
        {"modelCache__upstream": {"team": {"claimName": "mine"}}},
        """
        PROBLEM claim-missing: PersistentVolumeClaim mine
          It does not exist in namespace default, and this release does not make it.
          All pods that mount it stay Pending.
          Set modelCache.upstream.team: {"claimName": "other"}
          Make it, or name one that is there: other.
        """,
    ),
    "claim-missing, of compiled files": Case(
        [claim("other")],
        {"artifactCache": {"enabled": True, "claimName": "mine"}},
        """
        PROBLEM claim-missing: PersistentVolumeClaim mine
          It does not exist in namespace default, and this release does not make it.
          All pods that mount it stay Pending.
          Set artifactCache.claimName: "other"
          Make it, or name one that is there: other.
        """,
    ),
    "claim-lost": Case(
        [claim("mine", "Lost", volumeName="pv-1")],
        {"modelCache__mode": "existingClaim", "modelCache__claimName": "mine"},
        """
        PROBLEM claim-lost: PersistentVolumeClaim mine
          It is Lost: its volume pv-1 is gone, and so is what was on it.
          All pods that mount it stay Pending.
          Delete it, `kubectl delete pvc mine`, and install again.
        """,
    ),
    "claim-lost, about to go": Case(
        [going(claim("mine"))],
        {"modelCache__mode": "existingClaim", "modelCache__claimName": "mine"},
        """
        PROBLEM claim-lost: PersistentVolumeClaim mine
          It is being deleted, and goes as soon as no pod mounts it.
          New pods do not start with it.
          Wait until it is gone, or stop the pods that still mount it: `helm llmkube cache status`.
        """,
    ),
    "claim-change, shrinks": Case(
        [owned(claim("web-model-cache", resources={"requests": {"storage": "5Gi"}}))],
        {},
        """
        PROBLEM claim-change: PersistentVolumeClaim web-model-cache
          It is there with 5Gi, and the release wants 1.0Gi: a claim never shrinks.
          Helm ends with an error: the API server refuses the changed claim.
          Set modelCache.size: "5Gi"
        """,
    ),
    "claim-change, can not grow": Case(
        [storage_class("standard", default=True, allowVolumeExpansion=False), owned(claim("web-model-cache"))],
        {"modelCache__size": "5Gi"},
        """
        PROBLEM claim-change: PersistentVolumeClaim web-model-cache
          It is there with 1Gi, and volumes of its class standard can not grow.
          Helm ends with an error: the API server refuses the changed claim.
          Set modelCache.size: "1Gi"
          Or keep the size, and another model in a claim of another release.
        """,
    ),
    "claim-change, access mode": Case(
        [owned(claim("web-model-cache"))],
        {"modelCache__accessMode": "ReadWriteMany"},
        """
        PROBLEM claim-change: PersistentVolumeClaim web-model-cache
          It is there with ReadWriteOnce, and the release wants ReadWriteMany: that can not be
            changed.
          Helm ends with an error: the API server refuses the changed claim.
          Set modelCache.accessMode: "ReadWriteOnce"
        """,
    ),
    "claim-change, class": Case(
        [owned(claim("web-model-cache")), storage_class("fast")],
        {"modelCache__storageClass": "fast"},
        """
        PROBLEM claim-change: PersistentVolumeClaim web-model-cache
          It is there with the class standard, and the release wants fast: a claim keeps its class.
          Helm ends with an error: the API server refuses the changed claim.
          Set modelCache.storageClass: "standard"
        """,
    ),
    "claim-taken": Case(
        [claim("mine", mode="ReadWriteOncePod"), releases.stranger("notebook", "mine")],
        {
            "modelCache__mode": "existingClaim",
            "modelCache__claimName": "mine",
            "modelCache__accessMode": "ReadWriteOncePod",
        },
        """
        WARNING claim-taken: PersistentVolumeClaim mine
          It is ReadWriteOncePod, and the pod notebook has it.
          Other pods wait until that one has ended.
        """,
    ),
    "volume-node": Case(
        [
            claim("mine", volumeName="pv-1"),
            volume("pv-1", nodeAffinity=on_node("node-1")),
            node("node-2", {"gpu": "yes"}),
        ],
        {"modelCache__mode": "existingClaim", "modelCache__claimName": "mine", "server__nodeSelector": {"gpu": "yes"}},
        """
        PROBLEM volume-node: Deployment web, Job web-preload, CronJob web-maintenance
          The volume of claim mine can only be mounted on node-1, where its pods may not run.
          Its pods stay Pending: the scheduler reports a volume node affinity conflict.
          Set server.nodeSelector: {}
          Let the pods run there, or keep the weights on another claim.
        """,
    ),
    "claim-size": Case(
        [],
        {"model": {"source": "https://models.example.com/tiny.gguf", "size": "3Gi"}},
        """
        PROBLEM claim-size: PersistentVolumeClaim web-model-cache
          It has 1Gi, and the weights that are downloaded to it take 3.0Gi.
          The download ends with exit code 14 (no-space).
          Set modelCache.size: "4Gi"
        """,
    ),
    "claim-size, of others": Case(
        [claim("mine")],
        {
            "modelCache__mode": "existingClaim",
            "modelCache__claimName": "mine",
            "model": {"source": "https://models.example.com/tiny.gguf", "size": "3Gi"},
        },
        """
        PROBLEM claim-size: PersistentVolumeClaim mine
          It has 1Gi, and the weights that are downloaded to it take 3.0Gi.
          The download ends with exit code 14 (no-space).
          Let the claim grow.
        """,
    ),
    "ephemeral-space": Case(
        [],
        {"modelCache__mode": "ephemeral", "model": {"source": "https://models.example.com/tiny.gguf", "size": "3Gi"}},
        """
        PROBLEM ephemeral-space: Deployment web
          Its cache may become 1Gi, and its weights take 3.0Gi.
          The pod is evicted while it downloads.
          Set modelCache.size: "4Gi"
        """,
    ),
    "ephemeral-space, larger than the disk": Case(
        [node("node-1", has={"ephemeral-storage": "20Gi"})],
        {
            "modelCache__mode": "ephemeral",
            "modelCache__size": "50Gi",
            "model": {"source": "https://models.example.com/tiny.gguf", "size": "40Gi"},
        },
        """
        PROBLEM ephemeral-space: Deployment web
          Its cache may become 50Gi on the node's own disk, and the largest has 20.0Gi.
          The pod is evicted when the disk is full, and begins again.
          Set modelCache.mode: "perModel"
        """,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_finding_says_what_it_causes_and_what_to_set(clinic: Clinic, case: Case) -> None:
    check(clinic, case)


def test_every_check_has_a_case() -> None:
    names = {
        each.name
        for each in (
            *checks.STORAGE,
            *checks.CLAIMS,
        )
    }

    assert {name.partition(",")[0] for name in CASES} == names - {"claim-pending", "free-space"}
