"""The examples render, the same every time, to what is committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.rendering import ROOT, Renderer
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


def _gitops_values() -> list[Any]:
    application = yaml.safe_load((ROOT / "values-examples/argocd/application.yaml").read_text("utf-8"))
    flux = yaml.safe_load_all((ROOT / "values-examples/flux/helmrelease.yaml").read_text("utf-8"))
    release = next(document for document in flux if document["kind"] == "HelmRelease")
    return [
        pytest.param(application["spec"]["source"]["helm"]["valuesObject"], id="Argo CD"),
        pytest.param(release["spec"]["values"], id="Flux"),
    ]


@pytest.mark.parametrize("values", _gitops_values())
def test_the_values_in_the_gitops_examples_render(chart: Renderer, values: dict[str, Any]) -> None:
    assert "Deployment" in {manifest["kind"] for manifest in chart.objects(values)}


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
