"""A node with GPUs, tainted as they are by convention, and nothing about it in the values but the vendor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from chart.rendering import nested
from cluster.provider import Local
from e2e.kit import Space

pytestmark = pytest.mark.cluster

SMALL = "hf://acme/small/model-f16.gguf"
GPU = "nvidia.com/gpu"
TAINT = f"{GPU}=present:NoSchedule"


@pytest.fixture
def gpu_node(node: Local) -> Iterator[str]:
    """node-2 with one GPU, as far as the scheduler and the kubelet are concerned, behind the usual taint."""
    _advertise(node, "1")
    node.kubectl("taint", "node", "node-2", TAINT)
    node.kubectl("label", "node", "node-2", "test/gpu=present")
    node.kubectl("wait", "--for=jsonpath={.status.allocatable.nvidia\\.com/gpu}=1", "node/node-2", "--timeout=60s")
    yield "node-2"
    node.kubectl("taint", "node", "node-2", f"{TAINT}-")
    node.kubectl("label", "node", "node-2", "test/gpu-")
    _advertise(node, None)


def _advertise(node: Local, count: str | None) -> None:
    patch = json.dumps({"status": {"capacity": {GPU: count}}})
    node.kubectl("patch", "node", "node-2", "--subresource=status", "--type=merge", "--patch", patch)


def test_download_and_server_run_on_the_tainted_node_and_only_the_server_holds_the_gpu(
    space: Space, gpu_node: str
) -> None:
    space.install(
        "small",
        model__source=SMALL,
        server__gpu__vendor="nvidia",
        server__nodeSelector={"test/gpu": "present"},
    )
    space.kubectl("wait", "--for=condition=Complete", "job", "--all", "--timeout=90s")
    for component, gpus in (("server", "1"), ("preload", None)):
        (pod,) = space.pods("small", component)
        assert pod["spec"]["nodeName"] == gpu_node
        assert [limit.get(GPU) for limit in _limits(pod)] == [gpus]


def test_without_tolerations_nothing_runs_there(space: Space, gpu_node: str) -> None:
    space.install(
        "small",
        wait=False,
        model__source=SMALL,
        server__gpu={"vendor": "nvidia", "tolerate": False},
        server__nodeSelector={"test/gpu": "present"},
    )
    unschedulable = "--for=jsonpath={.status.conditions[?(@.type=='PodScheduled')].reason}=Unschedulable"
    space.await_servers("small")
    space.kubectl("wait", unschedulable, "pod", "--all", "--timeout=60s")
    assert not [pod for pod in space.get("pods") if pod["spec"].get("nodeName")]


def test_the_doctor_names_the_taint_and_what_tolerates_it(space: Space, gpu_node: str) -> None:
    values: dict[str, Any] = {
        "model__source": SMALL,
        "server__gpu": {"vendor": "nvidia", "tolerate": False},
        "server__nodeSelector": {"test/gpu": "present"},
    }
    (space.helm.home / "values.json").write_text(
        json.dumps(nested({path.replace("__", "."): value for path, value in values.items()}))
    )
    asked = ("doctor", "small", "-f", str(space.helm.home / "values.json"), "--set", "modelCache.size=256Mi")

    done = space.llmkube(*asked, "-o", "json", check=False)

    (taint,) = [each for each in json.loads(done.out)["findings"] if each["check"] == "taints"]
    assert (done.code, taint["value"]["path"]) == (1, "server.tolerations")
    space.install("small", wait=False, **values)
    unschedulable = "--for=jsonpath={.status.conditions[?(@.type=='PodScheduled')].reason}=Unschedulable"
    space.await_servers("small")
    space.kubectl("wait", unschedulable, "pod", "--all", "--timeout=60s")
    tolerated = json.dumps(taint["value"]["example"])
    assert space.llmkube(*asked, "--set-json", f"server.tolerations={tolerated}").code == 0
    space.install("small", **values, server__tolerations=taint["value"]["example"])
    assert space.pods("small", "server")[0]["spec"]["nodeName"] == gpu_node


def test_a_changed_server_takes_over_the_last_gpu(space: Space, gpu_node: str) -> None:
    values: dict[str, Any] = {
        "model__source": SMALL,
        "modelCache__mode": "ephemeral",  # so that it is the GPU alone that leaves room for one pod
        "server__gpu__vendor": "nvidia",
    }
    space.install("small", **values)
    first = space.pods("small", "server")[0]["metadata"]["uid"]
    space.install("small", **values, server__env={"CHANGED": "yes"})
    (pod,) = [pod for pod in space.pods("small", "server") if "deletionTimestamp" not in pod["metadata"]]
    assert pod["metadata"]["uid"] != first
    assert pod["spec"]["nodeName"] == gpu_node
    assert space.chat("small").strip()


def _limits(pod: Any) -> list[dict[str, str]]:
    return [container.get("resources", {}).get("limits", {}) for container in pod["spec"]["containers"]]
