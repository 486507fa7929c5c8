"""The stage of the end-to-end tests: a cluster with images, a hub that pods reach, helm with the plugin."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster import provider
from cluster.local.layout import existing
from cluster.provider import Cluster, Local
from cluster.shared import shared
from e2e.kit import RESTRICTED, Helm, Space
from fakehub import FakeHub
from images.build import DOWNLOADER, MODEL_SERVER
from lanes import run_folder, run_process
from models.gguf import write_gguf

KEPT = "dev"
_numbers = itertools.count(1)


# Recognised in any log, object or file that it must not be in.
TOKEN = "hf_canary_of_the_tests"


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster of `make cluster-up` when there is one, else one for these tests, with the images that all need.

    Tests in a namespace of their own do not see each other: all processes of a run share it.
    """
    if KEPT in existing():
        yield _loaded(provider.up(KEPT))
        return
    run = run_process()
    name = f"test-{run}"
    folder = run_folder(tmp_path_factory) / "cluster"
    folder.mkdir(exist_ok=True)
    with shared(folder, lambda: _loaded(provider.up(name, owner=run)), lambda: provider.down(name)) as cluster:
        yield cluster


def _loaded(cluster: Cluster) -> Cluster:
    cluster.load([DOWNLOADER, MODEL_SERVER])
    return cluster


@pytest.fixture(scope="session")
def hub_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Repositories with generated models: acme/small, acme/other, and their like behind a token."""
    root = tmp_path_factory.mktemp("hub")
    for seed, repository in enumerate(("acme/small", "acme/other", "acme/gated")):
        folder = root / repository / "main"
        folder.mkdir(parents=True)
        write_gguf(folder / "model-f16.gguf", mib=4, seed=seed)
    (root / "acme/gated/repo.json").write_text(json.dumps({"gated": "auto", "token": TOKEN}))
    return root


@pytest.fixture
def hub(stage: Cluster, hub_root: Path) -> Iterator[FakeHub]:
    """A hub of the test's own, with an empty request log, at an address that pods reach."""
    with FakeHub(hub_root, listen=(stage.host_address, 0), cdn_listen=(stage.host_address, 0)) as running:
        yield running


@pytest.fixture(scope="package")
def helm(stage: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm 4 with the plugin installed from this checkout."""
    return Helm.with_plugin(stage, "helm", tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="package")
def helm3(stage: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm 3 with the plugin installed from this checkout."""
    return Helm.with_plugin(stage, "helm3", tmp_path_factory.mktemp("helm3"))


@pytest.fixture
def space(stage: Cluster, helm: Helm, hub: FakeHub) -> Iterator[Space]:
    """A namespace of the test's own that enforces Pod Security `restricted`."""
    name = f"e2e-{os.getpid()}-{next(_numbers)}"
    stage.kubectl("create", "namespace", name)
    stage.kubectl("label", "namespace", name, RESTRICTED)
    yield Space(name, stage, helm, hub.endpoint)
    stage.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(params=["helm", "helm3"])
def either(request: pytest.FixtureRequest, space: Space) -> Space:
    """The namespace, with Helm 4 (server-side apply, watches) or Helm 3 (three-way merge, polls)."""
    helm: Helm = request.getfixturevalue(request.param)
    return replace(space, helm=helm)


@pytest.fixture
def token() -> str:
    """The token that opens acme/gated."""
    return TOKEN


@pytest.fixture
def node(stage: Cluster) -> Local:
    """The cluster, where its node's file system can be reached from here."""
    if not isinstance(stage, Local):
        pytest.skip("only the node of the cluster built from source can be looked into")
    return stage


@pytest.fixture
def volume_bytes(node: Local) -> Callable[[str, str], dict[str, int]]:
    """Measures, on the volume itself, how many bytes lie below each entry of a claim."""

    def measure(namespace: str, claim: str) -> dict[str, int]:
        folder = _volume_folder(node, namespace, claim)
        return {entry.name: _bytes(entry) for entry in folder.iterdir() if not entry.name.startswith(".")}

    return measure


@pytest.fixture
def volume_file(node: Local) -> Callable[[str, str, str], Path]:
    """Finds a file of the only entry of a claim, on the volume itself."""

    def find(namespace: str, claim: str, name: str) -> Path:
        (file,) = _volume_folder(node, namespace, claim).glob(f"*/{name}")
        return file

    return find


@pytest.fixture
def volume_folder(node: Local) -> Callable[[str, str], Path]:
    """Finds the folder that a claim's volume is on this machine."""
    return lambda namespace, claim: _volume_folder(node, namespace, claim)


@pytest.fixture
def volume_leases(node: Local) -> Callable[[str, str], list[str]]:
    """Reads, on the volume itself, the UIDs of the pods that say that they use an entry of a claim."""

    def read(namespace: str, claim: str) -> list[str]:
        leases = _volume_folder(node, namespace, claim).glob(".llmkube/leases/*/use.*")
        return sorted(lease.name.removeprefix("use.") for lease in leases)

    return read


@pytest.fixture
def volume_text(node: Local) -> Callable[[str, str], str]:
    """Reads every small file of a claim's volume: manifests, records, leases."""

    def read(namespace: str, claim: str) -> str:
        files = [path for path in _volume_folder(node, namespace, claim).rglob("*") if path.is_file()]
        return "".join(path.read_text(errors="replace") for path in files if path.stat().st_size < 1 << 20)

    return read


@pytest.fixture
def small_volume(space: Space, node: Local) -> Iterator[str]:
    """A claim bound to a volume of 3 MiB, less than any model of the tests has."""
    folder = f"/run/small-{space.name}"
    node.run_on_node(["mkdir", "-p", folder])
    node.run_on_node(["mount", "-t", "tmpfs", "-o", "size=3m,mode=0777", "tmpfs", folder])
    _small_volume(node, space.name, folder)
    yield "small-volume"
    node.kubectl("delete", "pv", f"small-{space.name}", "--wait=false")


def _volume_folder(node: Local, namespace: str, claim: str) -> Path:
    volume = node.kubectl("-n", namespace, "get", "pvc", claim, "-o", "jsonpath={.spec.volumeName}")
    return next(node.volumes.glob(f"{volume}*"))


def _bytes(folder: Path) -> int:
    """What `du --apparent-size` counts of the files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _small_volume(stage: Cluster, namespace: str, folder: str) -> None:
    """A local volume at `folder` of the node, and a claim in `namespace` bound to it."""
    name = f"small-{namespace}"
    node = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": spec
        | {
            "capacity": {"storage": "3Mi"},
            "local": {"path": folder},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [node]}]}},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "small-volume", "namespace": namespace},
        "spec": spec | {"volumeName": name, "resources": {"requests": {"storage": "3Mi"}}},
    }
    for item in (volume, claim):
        stage.apply(item)
