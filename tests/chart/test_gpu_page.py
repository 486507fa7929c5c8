"""The values on the page about GPUs do what the page says."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import pytest
import yaml

from chart.rendering import ROOT, SERVING, Renderer, nested, pod_templates

PAGE = (ROOT / "docs" / "gpus.md").read_text("utf-8")
EXAMPLES: list[dict[str, Any]] = [
    yaml.safe_load(textwrap.dedent(text))
    for text in re.findall(r"^ *```yaml\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
]
ROWS: list[tuple[str, str]] = re.findall(r"^\| (`[a-z]+: .*?) \| `([a-z./0-9-]+)`", PAGE, re.MULTILINE)


def _merged(values: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = values.keys() & over.keys()
    return {**values, **over, **{name: {**values[name], **over[name]} for name in both}}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: " ".join(example["server"]))
def test_an_example_renders(chart: Renderer, example: dict[str, Any]) -> None:
    assert chart.objects(_merged(nested(SERVING), example))


@pytest.mark.parametrize(("values", "resource"), ROWS, ids=[resource for _, resource in ROWS])
def test_a_pod_holds_what_the_table_says(chart: Renderer, values: str, resource: str) -> None:
    pairs = re.findall(r"`(\w+): ([^`]+)`", values)
    gpu = {name: yaml.safe_load(value) if value == "true" else value for name, value in pairs}
    gpu = gpu if "resourceName" not in gpu else {"resourceName": gpu["resourceName"]}
    resource = gpu.get("resourceName", resource)
    objects = chart.objects(_merged(nested(SERVING), {"server": {"gpu": gpu}}))
    (deployment,) = (manifest for manifest in objects if manifest["kind"] == "Deployment")
    (template,) = pod_templates(deployment)
    assert template["spec"]["containers"][0]["resources"]["limits"] == {resource: 1}
