"""Rendering the chart the way a user does: with the helm binary."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tools.render_examples import KUBERNETES

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "llmkube"
CONTRACT = ROOT / "tests" / "contract"

Object = dict[str, Any]

# Reads YAML ten times as fast; every PyYAML that comes as a wheel has it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

SERVING: dict[str, Any] = {"modelCache.size": "20Gi", "model.source": "hf://org/repo/tiny.gguf"}


class RefusedError(Exception):
    """Helm refused to render; the text is its message."""


@dataclass(frozen=True)
class Renderer:
    """Renders a chart with given values.

    - helm: the helm binary.
    - chart: directory of the chart.
    """

    helm: str
    chart: Path = CHART

    def text(self, values: Mapping[str, Any], release: str = "chat", namespace: str = "models") -> str:
        """Return the manifests as text.

        Raises RefusedError: helm did not render these values.
        """
        command = [self.helm, "template", release, str(self.chart), "--namespace", namespace, "--values", "-"]
        command += ["--kube-version", KUBERNETES]
        done = subprocess.run(command, input=yaml.safe_dump(values), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RefusedError(done.stderr)
        return done.stdout

    def objects(self, values: Mapping[str, Any], release: str = "chat") -> list[Object]:
        """Return the rendered objects in the order of installation; raises as ``text``."""
        return parsed(self.text(values, release))


def parsed(text: str) -> list[Object]:
    """Return the objects of rendered manifests."""
    return [document for document in yaml.load_all(text, Loader=_LOADER) if document]


def side_by_side(work: Callable[[_Given], _Made], items: Iterable[_Given]) -> list[_Made]:
    """Do the work for every item, as many at a time as there are processors; most of it is waiting for helm."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, items))


def nested(paths: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as a values file has them from values by dotted path: ``{"a.b": 1}`` -> ``{"a": {"b": 1}}``."""
    values: dict[str, Any] = {}
    for path, value in paths.items():
        *parents, name = path.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = value
    return values


def pod_templates(manifest: Object) -> Iterator[Object]:
    """Yield the pod templates inside an object."""
    spec = manifest.get("spec", {})
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    if "template" in spec:
        yield spec["template"]


def containers(manifest: Object) -> Iterator[Object]:
    """Yield the containers and init containers inside an object."""
    for template in pod_templates(manifest):
        yield from template["spec"].get("initContainers", [])
        yield from template["spec"]["containers"]
