"""A volume that only one node can have: every pod of its releases runs there.

A `local-path` volume is bound to its node for ever: it draws the pods itself. A network disk can be had by any node,
but by one at a time: there it is the chart that keeps them together, on a node that is fuller than the other one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cluster.local.disks import DISK
from cluster.provider import Local
from e2e.kit import Space, report
from fakehub import FakeHub

pytestmark = pytest.mark.cluster

SMALL = "hf://acme/small/model-f16.gguf"
OTHER = "hf://acme/other/model-f16.gguf"
CLASSES = ["local-path", DISK]


@pytest.fixture
def cordoned(node: Local) -> Iterator[list[str]]:
    """Nodes that a test gives no more pods, back in service afterwards."""
    names: list[str] = []
    yield names
    for name in names:
        node.kubectl("uncordon", name)


@pytest.fixture
def most(node: Local) -> dict[str, str]:
    """Requests for most of a node: whatever else runs finds more room on the other one."""
    cores = node.kubectl("get", "node", "node-1", "--output", "jsonpath={.status.allocatable.cpu}")
    return {"cpu": f"{int(cores) * 600}m"}


@pytest.mark.parametrize("storage", CLASSES)
def test_what_is_added_to_a_server_runs_where_its_volume_is(space: Space, storage: str, most: dict[str, str]) -> None:
    values: dict[str, Any] = {"modelCache__storageClass": storage, "server__resources__requests": most}
    space.install("small", model__source=SMALL, **values)
    space.install("small", model__source=SMALL, preload__models__other__source=OTHER, **values)
    space.kubectl("create", "job", "scan", "--from=cronjob/small-model-cache-maintenance")
    space.kubectl("wait", "--for=condition=Complete", "job", "--all", "--timeout=90s")
    components = [component for component, _ in _places(space)]
    assert components == ["maintenance", "preload", "preload", "server"]
    assert len({node for _, node in _places(space)}) == 1


@pytest.mark.parametrize("storage", CLASSES)
def test_all_releases_of_a_shared_claim_run_where_it_is(space: Space, storage: str, most: dict[str, str]) -> None:
    space.install("cache", modelCache__mode="shared", modelCache__create=True, modelCache__storageClass=storage)
    shared: dict[str, Any] = {"model__source": SMALL, "modelCache__mode": "shared"}
    space.install("one", **shared, server__resources__requests=most)
    space.install("two", **shared)
    servers = [node for component, node in _places(space) if component == "server"]
    assert len(servers) == 2
    assert len(set(servers)) == 1


def test_all_pods_of_a_server_run_where_its_disk_is(space: Space) -> None:
    space.install("small", model__source=SMALL, modelCache__storageClass=DISK, server__replicas=2)
    nodes = {pod["spec"]["nodeName"] for pod in space.pods("small", "server")}
    assert len(nodes) == 1
    claim = space.get("pvc", "small-model-cache")
    disk = space.get("pv", claim["spec"]["volumeName"])
    assert "nodeAffinity" not in disk["spec"]  # either node could have had it
    assert _attached(space, disk["metadata"]["name"]) == nodes


def test_a_server_moves_with_its_disk_to_another_node_and_downloads_nothing(
    space: Space, hub: FakeHub, cordoned: list[str]
) -> None:
    space.install("small", model__source=SMALL, modelCache__storageClass=DISK)
    space.kubectl("wait", "--for=condition=Complete", "job", "--all", "--timeout=90s")
    before = space.pods("small", "server")[0]["spec"]["nodeName"]
    hub.requests.clear()
    cordoned.append(before)
    space.cluster.kubectl("cordon", before)
    space.restart("small")
    moved = space.pods("small", "server")[0]
    assert moved["spec"]["nodeName"] != before
    assert report(moved)["result"] == "hit"
    assert list(hub.requests) == []
    assert space.chat("small").strip()


def _places(space: Space) -> list[tuple[str, str]]:
    """Component and node of every pod."""
    pods: list[Any] = space.get("pods", "--selector=llmkube.dev/release")
    return sorted((pod["metadata"]["labels"]["app.kubernetes.io/component"], pod["spec"]["nodeName"]) for pod in pods)


def _attached(space: Space, volume: str) -> set[str]:
    """The nodes that a volume is attached to."""
    attachments: list[Any] = space.get("volumeattachments")
    return {
        attachment["spec"]["nodeName"]
        for attachment in attachments
        if attachment["spec"]["source"]["persistentVolumeName"] == volume
    }
