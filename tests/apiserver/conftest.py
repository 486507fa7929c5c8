"""A real API server without anybody behind it: no controllers, no nodes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

import pytest

from apiserver.client import Api
from chart.rendering import Renderer
from cluster.choice import choice
from cluster.local import bringup
from cluster.provider import tools_folder
from toolchain.build import ensure

_LEVEL = "pod-security.kubernetes.io"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def chart() -> Renderer:
    """The chart, ready to render."""
    return Renderer(str(tools_folder(["helm"]) / "helm"))


@pytest.fixture(scope="package")
def api() -> Iterator[Api]:
    """The API server, with the definitions of all kinds that the chart renders."""
    if choice() != "local":
        pytest.skip("the API server alone is run in namespaces of this machine: as root on Linux")
    tools = tools_folder(("kube", "etcd", "pause"))
    name = f"api-{os.getpid()}"
    try:
        running = bringup.up(name, tools, [], os.getpid(), count=0)
        running.kubectl("apply", "--server-side", "--filename", str(ensure(["crds"])["crds"]))
        running.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        api = Api(running)
        _storage_class(api, "standard", default=True)
        yield api
        api.close()
    finally:
        bringup.down(name)


@pytest.fixture(scope="package")
def space(api: Api) -> Callable[[], str]:
    """Makes a namespace that enforces Pod Security `restricted`, and warns of workloads whose pods would break it."""

    def make() -> str:
        name = f"space-{next(_numbers)}"
        labels = {f"{_LEVEL}/enforce": "restricted", f"{_LEVEL}/warn": "restricted"}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        api.done("POST", "/api/v1/namespaces", body)
        return name

    return make


def _storage_class(api: Api, name: str, *, default: bool) -> None:
    annotations = {"storageclass.kubernetes.io/is-default-class": str(default).lower()}
    body = {
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": "example.com/storage",
        "allowVolumeExpansion": True,
    }
    api.done("POST", "/apis/storage.k8s.io/v1/storageclasses", body)
