"""What the doctor says of nodes, in full."""

from __future__ import annotations

import pytest
from clinic import Case, Clinic, busy, check, claim, node, not_ready

from llmkube_plugin.doctor import checks

CASES = {
    "nodes": Case(
        [not_ready(node("node-1"))],
        {},
        """
        PROBLEM nodes: Deployment web, Job web-preload, CronJob web-model-cache-maintenance
          No node is ready and takes pods: there are 1.
          Its pods stay Pending; `helm install --wait` ends with its timeout.
          See `kubectl get nodes`.
        """,
    ),
    "node-selector": Case(
        [],
        {"server__nodeSelector": {"gpu": "a100"}},
        """
        PROBLEM node-selector: Deployment web, Job web-preload, CronJob web-model-cache-maintenance
          No node has the labels that its pods want: gpu=a100.
          Its pods stay Pending; `helm install --wait` ends with its timeout.
          Set server.nodeSelector: {}
          Label a node, or ask for labels that nodes have: `kubectl get nodes --show-labels`.
        """,
    ),
    "node-selector, affinity": Case(
        [],
        {
            "server__affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}]
                    }
                }
            }
        },
        """
        PROBLEM node-selector: Deployment web, Job web-preload, CronJob web-model-cache-maintenance
          No node matches the node affinity of its pods.
          Its pods stay Pending; `helm install --wait` ends with its timeout.
          Set server.affinity: {}
          Label a node, or ask for labels that nodes have: `kubectl get nodes --show-labels`.
        """,
    ),
    "node-selector, where nodes are made": Case(
        [node("node-1", {"karpenter.sh/nodepool": "default"})],
        {"server__nodeSelector": {"gpu": "a100"}},
        """
        WARNING node-selector: Deployment web, Job web-preload, CronJob web-model-cache-maintenance
          No node has the labels that its pods want: gpu=a100.
          Its pods stay Pending; `helm install --wait` ends with its timeout.
          Set server.nodeSelector: {}
          Label a node, or ask for labels that nodes have: `kubectl get nodes --show-labels`.
        """,
    ),
    "taints": Case(
        [node("node-1", taints=[{"key": "team", "value": "ml", "effect": "NoSchedule"}])],
        {},
        """
        PROBLEM taints: Deployment web, Job web-preload, CronJob web-model-cache-maintenance
          All nodes that its pods may run on have taints that they do not tolerate:
            team=ml:NoSchedule.
          Its pods stay Pending; `helm install --wait` ends with its timeout.
          Set server.tolerations: [{"key": "team", "operator": "Exists", "effect": "NoSchedule"}]
        """,
    ),
    "node-resources, no GPU": Case(
        [],
        {"server__gpu__vendor": "nvidia"},
        """
        PROBLEM node-resources: Deployment web
          Each of its pods asks for 1 of nvidia.com/gpu, and of the nodes it may run on no node has
            any.
          Its pods stay Pending; `helm install --wait` ends with its timeout.
          Set server.gpu.vendor: ""
          Install the device plugin of nvidia.com/gpu, add nodes that have it, or serve without it.
        """,
    ),
    "node-resources, too few GPUs": Case(
        [node("gpu-1", has={"nvidia.com/gpu": "2"})],
        {"server__gpu": {"vendor": "nvidia", "count": 4}},
        """
        PROBLEM node-resources: Deployment web
          Each of its pods asks for 4 of nvidia.com/gpu, and of the nodes it may run on the most
            that one has is 2, on gpu-1.
          Its pods stay Pending; `helm install --wait` ends with its timeout.
          Set server.gpu.count: 2
        """,
    ),
    "node-resources, memory": Case(
        [],
        {"server__resources": {"requests": {"memory": "64Gi"}}},
        """
        PROBLEM node-resources: Deployment web
          Each of its pods asks for 64.0Gi of memory, and of the nodes it may run on the most that
            one has is 32.0Gi, on node-1.
          Its pods stay Pending; `helm install --wait` ends with its timeout.
          Set server.resources.requests.memory: "16384Mi"
        """,
    ),
    "node-resources, not on one node": Case(
        [node("node-1", has={"memory": "64Gi", "cpu": "4"}), node("node-2", has={"memory": "8Gi", "cpu": "64"})],
        {"server__resources": {"requests": {"memory": "32Gi", "cpu": "32"}}},
        """
        PROBLEM node-resources: Deployment web
          No node that its pods may run on has all at once: 32 of cpu, 32.0Gi of memory.
          Its pods stay Pending; `helm install --wait` ends with its timeout.
          Set server.resources: {}
        """,
    ),
    "node-room": Case(
        [node("gpu-1", has={"nvidia.com/gpu": "2"}), busy("notebook", "gpu-1", **{"nvidia.com/gpu": "2"})],
        {"server__gpu": {"vendor": "nvidia", "count": 1}},
        """
        WARNING node-room: Deployment web
          It asks for 0.1 of cpu, 256Mi of memory, 1 of nvidia.com/gpu, and other pods hold too much
            of that now: nvidia.com/gpu is short.
          Its pods stay Pending until others have ended.
          See who holds it: `kubectl describe nodes`.
        """,
    ),
    "one-node": Case(
        [],
        {"server__replicas": 2},
        """
        NOTE one-node: Deployment web
          Its 2 pods share the claim web-model-cache, which is ReadWriteOnce: they have to be on one
            node.
          They go down together with that node, and there can be no more than fit on it.
          Set modelCache.accessMode: "ReadWriteMany"
        """,
    ),
    "one-node, not enough GPUs": Case(
        [node("gpu-1", has={"nvidia.com/gpu": "1"})],
        {"server__replicas": 2, "server__gpu__vendor": "nvidia"},
        """
        PROBLEM one-node: Deployment web
          Its 2 pods share the claim web-model-cache, which is ReadWriteOnce: they have to be on one
            node.
          Some stay Pending: no node that they may run on has 0.2 of cpu, 512Mi of memory, 2 of
            nvidia.com/gpu.
          Set modelCache.accessMode: "ReadWriteMany"
        """,
    ),
    "one-node, one pod": Case(
        [claim("mine", mode="ReadWriteOncePod")],
        {
            "modelCache__mode": "existingClaim",
            "modelCache__claimName": "mine",
            "modelCache__accessMode": "ReadWriteMany",
            "server__replicas": 2,
        },
        """
        PROBLEM one-node: Deployment web
          Its 2 pods share the claim mine, which is ReadWriteOncePod: only one of them can have it.
          All pods but one stay Pending.
          Set server.replicas: 1
        """,
    ),
    "one-node, not drawn there": Case(
        [claim("mine")],
        {
            "modelCache__mode": "existingClaim",
            "modelCache__claimName": "mine",
            "modelCache__accessMode": "ReadWriteMany",
            "server__replicas": 2,
        },
        """
        WARNING one-node: Deployment web
          Its 2 pods share the claim mine, which is ReadWriteOnce: they have to be on one node.
          Nothing draws them there: a pod that is put on another node stays ContainerCreating.
          Set modelCache.accessMode: "ReadWriteOnce"
        """,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_finding_says_what_it_causes_and_what_to_set(clinic: Clinic, case: Case) -> None:
    check(clinic, case)


def test_every_check_has_a_case() -> None:
    names = {each.name for each in (*checks.PLACEMENT,)}

    assert {name.partition(",")[0] for name in CASES} == names
