"""Every value is described, is in the schema, and does something."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from chart.rendering import CHART, SERVING, Renderer, nested
from tools import values_schema

VALUES = CHART / "values.yaml"


def test_schema_and_readme_are_generated_from_values_yaml() -> None:
    assert values_schema.stale(VALUES) == [], "run `make docs`"


def test_the_schema_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert values_schema.main([str(VALUES)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((CHART / "values.schema.json").read_text("utf-8"))


def test_drift_fails_the_check_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("values.yaml", "values.schema.json", "README.md"):
        shutil.copy(CHART / name, tmp_path)
    values = tmp_path / "values.yaml"
    assert values_schema.main([str(values), "--check"]) == 0
    values.write_text(values.read_text("utf-8") + "# -- More.\nmore: true\n", encoding="utf-8")
    assert values_schema.main([str(values), "--check"]) == 1
    assert "values.schema.json" in capsys.readouterr().err
    assert values_schema.main([str(values), "--write"]) == 0
    assert values_schema.main([str(values), "--check"]) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n", "a has no description"),
        ("# -- A map.\na:\n  b: 1\n", r"a\.b has no description"),
        ("# -- Nothing.\na: null\n", "a is null, so its type needs a line"),
        ("# -- A.\n# @schema {\na: 1\n", "the @schema line of a is no YAML"),
        ("# -- A.\n# @schema text\na: 1\n", "a needs one @schema line with a map"),
        ("[]\n", "is no map of values"),
        ("# -- A.\n# @schema {additionalProperties: {$like: b}}\na: {}\n", r"\$like: b names no value"),
    ],
    ids=["no description", "no description below", "null without type", "broken", "no map", "no values", "no such map"],
)
def test_a_values_file_that_breaks_a_rule_is_refused_with_the_key(tmp_path: Path, text: str, message: str) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(text)
    with pytest.raises(values_schema.ValuesError, match=message):
        values_schema.schema(values_schema.read_keys(values))


def test_a_map_that_is_like_another_one_has_its_keys_and_its_own(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    more = (
        "{additionalProperties: {anyOf: [{$like: model, properties: {when: {$like: model.source}}}, {type: 'null'}]}}"
    )
    values.write_text(f"# -- M.\nmodel:\n  # -- S.\n  source: ''\n# -- More.\n# @schema {more}\nmodels: {{}}\n")
    source = {"$ref": "#/properties/model/properties/source"}
    made = values_schema.schema(values_schema.read_keys(values))["properties"]["models"]["additionalProperties"]
    assert made["anyOf"] == [
        {"type": "object", "additionalProperties": False, "properties": {"source": source, "when": source}},
        {"type": "null"},
    ]


def _objects_of(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    own = [(path, schema)] if "properties" in schema else []
    below = schema.get("properties", {}).items()
    return own + [item for name, child in below for item in _objects_of(child, f"{path}.{name}")]


def test_misspelled_values_are_refused_everywhere_but_in_free_maps() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    free = {path for path, part in _objects_of(schema) if part["additionalProperties"] is not False}
    resources = {".downloader.resources", ".downloader.holdResources"}
    contexts = {
        ".podSecurityContext",
        ".podSecurityContext.seccompProfile",
        ".securityContext",
        ".securityContext.capabilities",
    }
    probes = {f".server.probes.{name}" for name in ("startup", "readiness", "liveness")}
    behavior = {".server.autoscaling.behavior", ".server.autoscaling.behavior.scaleDown"}
    assert free == {".global"} | resources | contexts | probes | behavior


def test_values_of_a_parent_chart_are_let_through(chart: Renderer) -> None:
    assert chart.text(nested({**SERVING, "global": {"team": "a"}})) == chart.text(nested(SERVING))


def test_numbers_from_a_values_file_are_not_written_with_an_exponent(chart: Renderer) -> None:
    large = {"runtime.contextSize": 1048576, "preload.activeDeadlineSeconds": 31536000}
    text = chart.text(nested({**SERVING, **large}))
    assert '"1048576"' in text
    assert "activeDeadlineSeconds: 31536000" in text
