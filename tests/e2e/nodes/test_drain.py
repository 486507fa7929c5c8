"""A node is taken out of service: those who ask the model do not notice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.local.components import BASE_IMAGE
from cluster.provider import Local
from e2e.kit import Space

pytestmark = pytest.mark.cluster

SMALL = "hf://acme/small/model-f16.gguf"
# Asks without a pause until it is told to stop, each time on a connection of its own, and says what went wrong.
STOP = "/var/tmp/stop"  # noqa: S108 - of the client's container
CLIENT = """
import collections, json, pathlib, sys, urllib.request
seen = collections.Counter()
while not pathlib.Path(sys.argv[2]).exists():
    try:
        seen[urllib.request.urlopen(sys.argv[1], timeout=10).status] += 1
    except OSError as error:
        seen[str(error)] += 1
print(json.dumps(seen))
"""


@pytest.fixture
def drained(node: Local) -> Iterator[str]:
    """node-2, back in service afterwards."""
    yield "node-2"
    node.kubectl("uncordon", "node-2")


def test_a_server_of_two_pods_answers_all_the_while_its_nodes_are_drained(space: Space, drained: str) -> None:
    space.install(
        "small",
        model__source=SMALL,
        modelCache__mode="ephemeral",
        server__replicas=2,
        server__topologySpreadConstraints=_spread("small"),
        server__podDisruptionBudget__enabled=True,
        # A pod is asked to stop before every node knows that it gets no more requests.
        server__lifecycle={"preStop": {"sleep": {"seconds": 5}}},
    )
    assert {pod["spec"]["nodeName"] for pod in space.pods("small", "server")} == {"node-1", "node-2"}
    _start_client(space, "http://small:8080/health")
    _drain(space, drained)
    space.kubectl("rollout", "status", "deployment/small", "--timeout=120s")
    space.kubectl("exec", "client", "--", "touch", STOP)
    space.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/client", "--timeout=60s")
    seen = json.loads(space.kubectl("logs", "client"))
    assert seen.pop("200") > 0
    assert seen == {}


def test_the_last_pod_that_answers_is_not_taken_away(space: Space, drained: str) -> None:
    _install_on(space, drained, wait=True)
    with pytest.raises(RuntimeError, match="Cannot evict pod as it would violate the pod's disruption budget"):
        _drain(space, drained, "--timeout=20s")
    assert space.get("deployment", "small")["status"]["readyReplicas"] == 1


def test_pods_that_still_load_do_not_block_a_drain(space: Space, drained: str) -> None:
    # They run, but do not answer yet: pods whose init containers are not through may always be evicted.
    _install_on(space, drained, wait=False, server__probes__path="/nothing")
    space.await_servers("small", 2)
    running = "--for=jsonpath={.status.phase}=Running"
    space.kubectl("wait", running, "pod", "--selector=app.kubernetes.io/component=server", "--timeout=90s")
    loading = {pod["metadata"]["uid"] for pod in space.pods("small", "server")}
    _drain(space, drained)
    assert len(loading) == 2
    assert not loading & {pod["metadata"]["uid"] for pod in space.pods("small", "server")}


def _install_on(space: Space, node: str, *, wait: bool, **values: Any) -> None:
    """Two pods on `node`, of which the budget wants to have one always."""
    space.install(
        "small",
        wait=wait,
        model__source=SMALL,
        modelCache__mode="ephemeral",
        server__replicas=2,
        server__nodeSelector={"kubernetes.io/hostname": node},
        server__podDisruptionBudget={"enabled": True, "minAvailable": 1},
        **values,
    )


def _drain(space: Space, node: str, *flags: str) -> None:
    limits = flags or ("--timeout=120s",)
    selector = "--pod-selector=llmkube.dev/release=small"
    space.cluster.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", selector, *limits)


def _start_client(space: Space, url: str) -> None:
    container = {
        "name": "client",
        "image": BASE_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", CLIENT, url, STOP],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    identity = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {"nodeName": "node-1", "restartPolicy": "Never", "securityContext": identity, "containers": [container]}
    metadata = {"name": "client", "namespace": space.name}
    space.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod})
    space.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")


def _spread(release: str) -> list[dict[str, Any]]:
    selector = {"matchLabels": {"llmkube.dev/release": release, "app.kubernetes.io/component": "server"}}
    topology = "kubernetes.io/hostname"
    return [
        {"maxSkew": 1, "topologyKey": topology, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector},
    ]
