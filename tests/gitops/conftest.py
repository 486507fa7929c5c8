"""The stage: a cluster of its own with both engines, because they act on whatever a cluster holds."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from cluster.choice import choice
from cluster.local import bringup
from cluster.provider import Local, tools_folder
from e2e.kit import RESTRICTED, Helm, Space
from fakehub import FakeHub
from gitops import engines
from gitops.argo import Argo
from gitops.flux import Flux
from gitops.kit import Stage
from gitops.sources import Addresses, Sources, merged
from gitops.web import serve
from images.build import DOWNLOADER, MODEL_SERVER, NODE_IMAGES, build
from models.gguf import write_gguf
from toolchain.catalog import CLUSTER

_numbers = itertools.count(1)


@pytest.fixture(scope="package")
def own_cluster() -> Iterator[bringup.LocalCluster]:
    """A cluster that ends with these tests; one of the user would be acted on by controllers he did not ask for."""
    if choice() != "local":
        pytest.skip("the engines run beside the cluster built from source only")
    name = f"test-gitops-{os.getpid()}"
    try:
        yield bringup.up(name, tools_folder(("helm", "flux", *CLUSTER)), build(NODE_IMAGES), owner=os.getpid())
    finally:
        bringup.down(name)


@pytest.fixture(scope="package")
def provided(own_cluster: bringup.LocalCluster) -> Local:
    """The cluster with the images that the releases need."""
    provided = Local(own_cluster)
    provided.load([DOWNLOADER, MODEL_SERVER])
    return provided


@pytest.fixture(scope="package")
def helm(provided: Local, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm, to publish charts with."""
    return Helm(tools_folder(["helm"]) / "helm", provided, tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="package")
def models_hub(provided: Local, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHub]:
    """A hub with generated models under the names that the examples ask for."""
    root = tmp_path_factory.mktemp("hub")
    for seed, size in enumerate(("0.5", "1.5")):
        folder = root / f"Qwen/Qwen2.5-{size}B-Instruct-GGUF/main"
        folder.mkdir(parents=True)
        write_gguf(folder / f"qwen2.5-{size}b-instruct-q4_k_m.gguf", mib=4, seed=seed)
    address = (provided.host_address, 0)
    with FakeHub(root, listen=address, cdn_listen=address) as running:
        yield running


@pytest.fixture
def hub(models_hub: FakeHub) -> Iterator[FakeHub]:
    """The hub, with an empty request log and without faults."""
    models_hub.requests.clear()
    yield models_hub
    models_hub.faults.clear()


@pytest.fixture(scope="package")
def stage(
    own_cluster: bringup.LocalCluster,
    provided: Local,
    helm: Helm,
    models_hub: FakeHub,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """The cluster, and the chart where the engines can get it."""
    registry = engines.registry(own_cluster)
    root = tmp_path_factory.mktemp("sources")
    with serve(root, provided.host_address) as url:
        addresses = Addresses(f"{url}/git/llmkube.git", f"{url}/charts", registry)
        yield Stage(own_cluster, Sources(root, addresses, helm, _defaults(provided, helm, models_hub)))


@pytest.fixture
def space(stage: Stage, provided: Local, helm: Helm, hub: FakeHub) -> Iterator[Space]:
    """A namespace of the test's own that enforces Pod Security `restricted`."""
    name = f"gitops-{next(_numbers)}"
    stage.cluster.kubectl("create", "namespace", name)
    stage.cluster.kubectl("label", "namespace", name, RESTRICTED)
    yield Space(name, provided, helm, hub.endpoint)
    stage.cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="package")
def running_flux(own_cluster: bringup.LocalCluster) -> None:
    """Flux's controllers."""
    engines.flux(own_cluster)


@pytest.fixture(scope="package")
def running_argo(own_cluster: bringup.LocalCluster) -> None:
    """Argo CD's controllers."""
    tools_folder(["argocd"])
    engines.argocd(own_cluster)


@pytest.fixture
def flux(stage: Stage, running_flux: None, space: Space) -> Iterator[Flux]:
    """Flux, with one namespace to act in."""
    flux = Flux(stage, space)
    yield flux
    flux.remove()


@pytest.fixture
def argo(stage: Stage, running_argo: None, space: Space) -> Iterator[Argo]:
    """Argo CD, with one namespace to act in."""
    argo = Argo(stage, space)
    yield argo
    argo.remove()


def _defaults(provided: Local, helm: Helm, hub: FakeHub) -> dict[str, object]:
    """The values of the chart that differ here from what it is published with: those of every release of the tests."""
    defaults: dict[str, object] = {}
    for path, value in Space("", provided, helm, hub.endpoint).images().items():
        section, _, name = path.partition("__")
        for outer in reversed(name.split("__")):
            value = {outer: value}
        defaults = merged(defaults, {section: value})
    return defaults
