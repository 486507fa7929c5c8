"""The stage of the tests that need more than one node: two nodes, network disks, GPUs where a test wants them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cluster import provider
from cluster.choice import choice
from cluster.local.layout import existing
from cluster.provider import Local, tools_folder
from e2e.kit import Helm
from images.build import DOWNLOADER, MODEL_SERVER

NAME = "nodes"


@pytest.fixture(scope="package")
def stage() -> Iterator[Local]:
    """A cluster of two nodes with the images that every test needs, or the one of `cluster up nodes --nodes 2`.

    Only a cluster of our own: the tests drain its nodes, taint them and add devices.
    """
    if choice() != "local":
        pytest.skip("these tests drain and taint nodes: only those of the cluster built from source")
    kept = NAME in existing()
    name = NAME if kept else f"{NAME}-{os.getpid()}"
    try:
        running = provider.up(name, None if kept else os.getpid(), nodes=2)
        assert isinstance(running, Local)
        running.load([DOWNLOADER, MODEL_SERVER])
        running.start_disks()
        yield running
    finally:
        if not kept:
            provider.down(name)


@pytest.fixture(scope="package")
def helm(stage: Local, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm 4 with the plugin installed from this checkout."""
    return Helm.with_plugin(stage, "helm", tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="package")
def helm3(stage: Local, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm 3."""
    return Helm(tools_folder(["helm3"]) / "helm3", stage, tmp_path_factory.mktemp("helm3"))
