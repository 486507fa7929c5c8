"""Rendering the chart the way a user does: with the helm binary."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools.render_examples import KUBERNETES

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "llmkube"
CONTRACT = ROOT / "tests" / "contract"

Object = dict[str, Any]

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

    def text(self, values: Mapping[str, Any], release: str = "chat") -> str:
        """Return the manifests as text.

        Raises RefusedError: helm did not render these values.
        """
        command = [self.helm, "template", release, str(self.chart), "--namespace", "models", "--values", "-"]
        command += ["--kube-version", KUBERNETES]
        done = subprocess.run(command, input=yaml.safe_dump(values), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RefusedError(done.stderr)
        return done.stdout

    def objects(self, values: Mapping[str, Any], release: str = "chat") -> list[Object]:
        """Return the rendered objects in the order of installation; raises as ``text``."""
        return [document for document in yaml.safe_load_all(self.text(values, release)) if document]


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
