"""The cluster built from source: what its users and the machine it runs on are promised."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import provider
from cluster.choice import choice
from cluster.local import bringup
from cluster.local.components import BASE_IMAGE
from cluster.local.disks import DISK
from cluster.local.layout import clusters_dir, existing, free_slot, locked, read_record
from harness.machine import look
from images.build import NODE_IMAGES, build
from toolchain.catalog import CLUSTER

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(choice() != "local", reason="only the cluster built from source leaves traces here"),
]


@pytest.fixture(scope="module")
def tools() -> Path:
    return provider.tools_folder(CLUSTER)


@pytest.fixture(scope="module")
def node_images() -> list[Path]:
    return build(NODE_IMAGES)


@pytest.fixture
def names() -> Iterator[list[str]]:
    """Names of clusters for one test, removed afterwards whatever happened."""
    made = [f"test-{os.getpid()}-{letter}" for letter in "ab"]
    yield made
    for name in made:
        bringup.down(name)


def test_two_clusters_run_side_by_side_and_leave_the_machine_as_it_was(
    tools: Path, node_images: list[Path], names: list[str]
) -> None:
    before = look()
    first, second = (bringup.up(name, tools, node_images, owner=os.getpid()) for name in names)

    assert first.kubectl("get", "nodes", "--output", "name").strip() == "node/node-1"
    assert second.kubectl("get", "nodes", "--output", "name").strip() == "node/node-1"
    second.kubectl("create", "namespace", "only-in-the-second")
    assert "only-in-the-second" not in first.kubectl("get", "namespaces", "--output", "name")

    for name in names:
        bringup.down(name)
    assert look() == before


def test_two_nodes_run_pods_that_reach_each_other_and_leave_the_machine_as_it_was(
    tools: Path, node_images: list[Path], names: list[str]
) -> None:
    before = look()
    pair = bringup.up(names[0], tools, node_images, owner=os.getpid(), count=2)
    for node in pair.nodes:
        serve = ["--command", "--", "python3", "-m", "http.server", "8080"]
        where = json.dumps({"spec": {"nodeName": node.name}})
        pair.kubectl("run", node.name, f"--image={BASE_IMAGE}", f"--overrides={where}", *serve)
    pair.kubectl("wait", "--for=condition=Ready", "pod/node-1", "pod/node-2", "--timeout=60s")
    address = pair.kubectl("get", "pod", "node-2", "--output", "jsonpath={.status.podIP}")
    ask = f"import urllib.request; print(urllib.request.urlopen('http://{address}:8080', timeout=10).status)"
    assert pair.kubectl("exec", "node-1", "--", "python3", "-c", ask).strip() == "200"

    again = bringup.up(names[0], tools, node_images, owner=os.getpid())
    assert [node.name for node in again.nodes] == ["node-1", "node-2"]
    bringup.down(names[0])
    assert look() == before


def test_a_disk_that_a_pod_writes_to_goes_when_the_owner_of_its_cluster_is_killed(
    tools: Path, node_images: list[Path], names: list[str]
) -> None:
    before = look()
    with subprocess.Popen(["sleep", "infinity"]) as owner:
        running = bringup.up(names[0], tools, node_images, owner=owner.pid)
        provider.Local(running).start_disks()
        for item in _writer():
            running.kubectl("apply", "--filename", "-", stdin=json.dumps(item))
        running.kubectl("wait", "--for=condition=Ready", "pod/writer", "--timeout=90s")
        assert look().loops != before.loops
        owner.kill()
    with locked():
        assert names[0] in bringup.sweep()
    assert look() == before


def _writer() -> list[dict[str, object]]:
    """A claim of a network disk, and a pod that writes to it without end."""
    claim: dict[str, object] = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "disk"},
        "spec": {
            "storageClassName": DISK,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "300Mi"}},
        },
    }
    container = {
        "name": "writer",
        "image": BASE_IMAGE,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", "while true; do echo more >> /disk/file; done"],
        "volumeMounts": [{"name": "disk", "mountPath": "/disk"}],
    }
    volume = {"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}
    pod: dict[str, object] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "writer"},
        "spec": {"containers": [container], "volumes": [volume]},
    }
    return [claim, pod]


def test_a_cluster_with_fewer_nodes_than_asked_for_is_not_taken(
    tools: Path, node_images: list[Path], names: list[str]
) -> None:
    bringup.up(names[0], tools, node_images, owner=os.getpid())
    with pytest.raises(RuntimeError, match=f"{names[0]} is up with fewer nodes than 2"):
        bringup.up(names[0], tools, node_images, owner=os.getpid(), count=2)


def test_up_returns_the_cluster_that_is_up_already(tools: Path, node_images: list[Path], names: list[str]) -> None:
    first = bringup.up(names[0], tools, node_images, owner=os.getpid())
    again = bringup.up(names[0], tools, node_images, owner=os.getpid())
    assert again.namespace.init == first.namespace.init


def test_a_bring_up_that_fails_leaves_nothing(tools: Path, names: list[str], tmp_path: Path) -> None:
    broken = tmp_path / "image.tar"
    broken.write_bytes(b"no image")
    before = look()
    with pytest.raises(RuntimeError, match=r"images import .*image\.tar: exit 1"):
        bringup.up(names[0], tools, [broken])
    assert look() == before
    assert names[0] not in existing()


def test_a_bring_up_that_is_interrupted_leaves_nothing(names: list[str]) -> None:
    before = look()
    with _cluster_up(names[0]) as run:
        _wait_until_started(names[0], run)
        run.send_signal(signal.SIGINT)
    assert look() == before
    assert names[0] not in existing()


@pytest.mark.parametrize("nodes", [1, 2])
def test_the_next_run_removes_what_a_killed_one_left(names: list[str], nodes: int) -> None:
    before = look()
    with _cluster_up(names[0], nodes) as run:
        _wait_until_started(names[0], run)
        run.kill()
    assert look() != before
    sweep = [sys.executable, "-m", "cluster", "sweep"]
    told = subprocess.run(sweep, capture_output=True, text=True, check=True).stdout
    assert f"cluster {names[0]} was abandoned: removed" in told
    assert look() == before


def _cluster_up(name: str, nodes: int = 1) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cluster", "up", name, "--nodes", str(nodes)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _wait_until_started(name: str, run: subprocess.Popen[bytes]) -> None:
    """Returns in the middle of the bring-up: process 1 is there, the first component has opened its log."""
    log = clusters_dir() / name / "log" / "kube-apiserver.log"
    for _ in range(600):
        record = read_record(name)
        if record and record.init and log.exists():
            return
        assert run.poll() is None, "the bring-up ended before it could be interrupted"
        assert run.stdout is not None
        select.select([run.stdout], [], [], 0.05)  # wakes at once when the run says something or ends
    pytest.fail("the bring-up did not start within 30 s")


def test_addresses_that_this_machine_uses_already_are_left_alone() -> None:
    with locked():
        slot = free_slot()
        subprocess.run(["ip", "link", "add", "taken", "type", "bridge"], check=True)
        try:
            subprocess.run(["ip", "address", "add", f"10.245.{slot}.9/24", "dev", "taken"], check=True)
            subprocess.run(["ip", "link", "set", "taken", "up"], check=True)
            assert free_slot() != slot
        finally:
            subprocess.run(["ip", "link", "delete", "taken"], check=True)
        assert free_slot() == slot


def test_an_api_server_alone_checks_objects_and_leaves_nothing(tools: Path, names: list[str]) -> None:
    before = look()
    alone = bringup.up(names[0], tools, [], owner=os.getpid(), count=0)
    alone.kubectl("create", "namespace", "checked")
    assert alone.kubectl("get", "nodes", "--output", "name") == ""
    pod = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"container": []}}'
    with pytest.raises(RuntimeError, match="unknown field"):
        alone.kubectl("--namespace", "checked", "create", "--filename", "-", stdin=pod)
    bringup.down(names[0])
    assert look() == before
