"""The examples render, the same every time, to what is committed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.rendering import Renderer
from tools import render_examples

EXAMPLES = render_examples.examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_renders_the_same_bytes_every_time(helm: str, example: Path) -> None:
    assert render_examples.render(example, helm) == render_examples.render(example, helm)


def test_golden_files_are_what_the_chart_renders(helm: str) -> None:
    assert render_examples.stale(helm) == [], "run `make docs` and review the difference"


def test_a_golden_file_without_its_example_is_noticed(
    helm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone.rendered.yaml").write_text("")
    monkeypatch.setattr(render_examples, "EXAMPLES", tmp_path)
    assert render_examples.stale(helm) == [tmp_path / "gone.rendered.yaml"]


def test_an_example_that_does_not_render_is_named(helm: str, tmp_path: Path) -> None:
    example = tmp_path / "broken.yaml"
    example.write_text("model: {source: org/repo}\nmodelCache: {size: 1Gi}\n")
    with pytest.raises(render_examples.RenderError, match=r"broken\.yaml does not render: .*model\.source"):
        render_examples.render(example, helm)


def _values_of(manifest: Any) -> Any:
    """The values in a manifest of Flux or Argo CD; of an ApplicationSet those of the first line of its list."""
    if manifest["kind"] == "ApplicationSet":
        (line, *_) = manifest["spec"]["generators"][0]["list"]["elements"]
        values = json.dumps(manifest["spec"]["template"]["spec"]["source"]["helm"]["valuesObject"])
        return json.loads(re.sub(r"\{\{ \.(\w+) \}\}", lambda field: line[field[1]], values))
    source = manifest.get("spec", {}).get("source", {})
    return manifest["spec"]["values"] if manifest["kind"] == "HelmRelease" else source["helm"]["valuesObject"]


def _gitops_values() -> list[Any]:
    return [
        pytest.param(
            _values_of(manifest), id=f"{path.relative_to(render_examples.EXAMPLES)} {manifest['metadata']['name']}"
        )
        for engine in ("argocd", "flux")
        for path in sorted((render_examples.EXAMPLES / engine).rglob("*.yaml"))
        for manifest in yaml.safe_load_all(path.read_text("utf-8"))
        if "modelCache" in str(manifest)
    ]


@pytest.mark.parametrize("values", _gitops_values())
def test_the_values_in_the_gitops_examples_render(chart: Renderer, values: dict[str, Any]) -> None:
    kinds = {manifest["kind"] for manifest in chart.objects(values)}
    assert ("Deployment" in kinds) == ("model" in values)


def test_a_shared_cache_and_its_consumer_mean_the_same_entry_of_the_same_claim(chart: Renderer) -> None:
    owner, consumer = (
        chart.objects(yaml.safe_load((render_examples.EXAMPLES / f"shared-{role}.yaml").read_text("utf-8")))
        for role in ("cache", "consumer")
    )
    deployment = next(manifest for manifest in consumer if manifest["kind"] == "Deployment")
    claim = next(manifest for manifest in owner if manifest["kind"] == "PersistentVolumeClaim")
    keys = {manifest["metadata"]["labels"].get("llmkube.dev/key") for manifest in owner}
    assert deployment["metadata"]["labels"]["llmkube.dev/key"] in keys
    assert deployment["metadata"]["annotations"]["llmkube.dev/claim"] == claim["metadata"]["name"]
