"""chart-testing installs the chart with each of `charts/llmkube/ci/*-values.yaml`, runs `helm test`, and removes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.provider import Local, tools_folder
from e2e.kit import CHART, Done
from fakehub import FakeHub
from images.build import DOWNLOADER, MODEL_SERVER, REPOSITORY, Image
from models.gguf import write_gguf
from toolchain.catalog import CLUSTER

pytestmark = pytest.mark.cluster

FILES = sorted((CHART / "ci").glob("*-values.yaml"))


@pytest.fixture
def ci_hub(node: Local, tmp_path: Path) -> Iterator[FakeHub]:
    """A hub that has every model that the values name, each of a few MiB."""
    for source in {source for file in FILES for source in _sources(yaml.safe_load(file.read_text()))}:
        owner, repository, name = source.removeprefix("hf://").split("/", 2)
        target = tmp_path / "hub" / owner / repository / "main" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_gguf(target, mib=4)
    with FakeHub(tmp_path / "hub", listen=(node.host_address, 0), cdn_listen=(node.host_address, 0)) as running:
        yield running


def test_chart_testing_installs_tests_and_removes_the_chart_with_each_of_its_values(
    node: Local, ci_hub: FakeHub, tmp_path: Path
) -> None:
    done = _ct(node, ci_hub, tmp_path)
    assert done.code == 0, f"{done.out}\n{done.err}"
    assert "All charts installed successfully" in done.out
    for file in FILES:
        assert file.name in done.out
    served = [file for file in FILES if (yaml.safe_load(file.read_text()).get("model") or {}).get("source")]
    assert done.out.count("Phase:          Succeeded") == len(served), "`helm test` did not ask every server"


def _ct(node: Local, hub: FakeHub, home: Path) -> Done:
    tools = tools_folder([*CLUSTER, "helm", "ct"])
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "KUBECONFIG": str(node.kubeconfig)}
    environment |= {f"HELM_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    values = {
        "downloader.hfEndpoint": hub.endpoint,
        **_image(node, "downloader.image", DOWNLOADER),
        **_image(node, "runtime.image", MODEL_SERVER),
    }
    sets = " ".join(f"--set {path}={value}" for path, value in values.items())
    config = ["--config", str(REPOSITORY / "ct.yaml"), "--charts", str(CHART)]
    extra = ["--helm-extra-args", "--timeout 4m", "--helm-extra-set-args", sets]
    return Done.of([str(tools / "ct"), "install", *config, *extra], environment)


def _image(node: Local, path: str, image: Image) -> dict[str, str]:
    repository, _, tag = node.reference(image).rpartition(":")
    return {f"{path}.repository": repository, f"{path}.tag": tag}


def _sources(values: dict[str, Any]) -> list[str]:
    preloaded = ((values.get("preload") or {}).get("models") or {}).values()
    models = [values.get("model") or {}, *preloaded]
    return [model["source"] for model in models if model.get("source")]
