"""The values in the documentation render, and make what they are shown for."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from chart.rendering import ROOT, SERVING, Renderer, nested

TEXT = (ROOT / "docs" / "serving.md").read_text("utf-8")
EXAMPLES: list[dict[str, Any]] = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
SERVER = {
    "ingress": "Ingress",
    "autoscaling": "HorizontalPodAutoscaler",
    "keda": "ScaledObject",
    "podMonitor": "PodMonitor",
    "lifecycle": "Deployment",
    "terminationGracePeriodSeconds": "Deployment",
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: next(iter(example.get("server", example))))
def test_an_example_renders_what_it_enables(chart: Renderer, example: dict[str, Any]) -> None:
    values = nested(SERVING)
    kinds = {manifest["kind"] for manifest in chart.objects({**values, **example})}
    wanted = {SERVER[section] for section in example.get("server", {})}
    wanted |= {"NetworkPolicy"} if "networkPolicy" in example else set()
    assert wanted
    assert wanted <= kinds


def test_a_server_pauses_before_it_is_stopped_as_the_page_says(chart: Renderer) -> None:
    (example,) = (example for example in EXAMPLES if "lifecycle" in example.get("server", {}))
    (deployment,) = (
        manifest for manifest in chart.objects({**nested(SERVING), **example}) if manifest["kind"] == "Deployment"
    )
    pod = deployment["spec"]["template"]["spec"]
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 0 < pause < pod["terminationGracePeriodSeconds"] == 120


def test_every_value_that_is_named_is_there() -> None:
    known = yaml.safe_load((ROOT / "charts" / "llmkube" / "values.yaml").read_text("utf-8"))
    for path in re.findall(r"`((?:server|networkPolicy|tests)\.[A-Za-z.]+)", TEXT):
        at = known
        for name in path.split("."):
            assert name in at, path
            at = at[name]
