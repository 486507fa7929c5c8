"""What registries and their search pages show of the chart."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml

from chart.rendering import CHART

METADATA: dict[str, Any] = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
KINDS = {"added", "changed", "deprecated", "removed", "fixed", "security"}


def test_the_icon_is_the_picture_beside_the_chart() -> None:
    head, _, data = METADATA["icon"].partition(",")
    assert head == "data:image/svg+xml;base64"
    assert base64.b64decode(data) == (CHART / "icon.svg").read_bytes()


def test_chart_and_program_have_one_version() -> None:
    assert METADATA["version"] == METADATA["appVersion"]


@pytest.mark.parametrize("name", ["category", "license", "operator", "changes"])
def test_a_registry_is_told(name: str) -> None:
    assert METADATA["annotations"][f"artifacthub.io/{name}"]


def test_changes_are_of_the_kinds_that_registries_know() -> None:
    changes = yaml.safe_load(METADATA["annotations"]["artifacthub.io/changes"])
    assert {change["kind"] for change in changes} <= KINDS
    assert all(change["description"] for change in changes)
