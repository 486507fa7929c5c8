"""Every value is described, is in the schema, and does something."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.rendering import CHART, SERVING, Renderer, nested
from tools import values_schema

VALUES = CHART / "values.yaml"
# By path of a key: another value than the default (to), and the values without which it would have no meaning (given).
CHANGES: dict[str, dict[str, Any]] = {
    path: change
    for file in sorted(Path(__file__).with_name("changes").glob("*.yaml"))
    for path, change in yaml.safe_load(file.read_text("utf-8")).items()
}


def test_every_value_has_a_change_to_try() -> None:
    leaves = {leaf.path for key in values_schema.read_keys(VALUES) for leaf in key.leaves()}
    assert set(CHANGES) == leaves


@pytest.mark.parametrize("path", CHANGES)
def test_no_value_is_dead(chart: Renderer, path: str) -> None:
    change = CHANGES[path]
    before = {**SERVING, **change.get("given", {})}
    assert chart.text(nested({**before, path: change["to"]})) != chart.text(nested(before))


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
    assert free == {".global"} | resources | contexts | probes


def test_values_of_a_parent_chart_are_let_through(chart: Renderer) -> None:
    assert chart.text(nested({**SERVING, "global": {"team": "a"}})) == chart.text(nested(SERVING))


def test_numbers_from_a_values_file_are_not_written_with_an_exponent(chart: Renderer) -> None:
    large = {"runtime.contextSize": 1048576, "preload.activeDeadlineSeconds": 31536000}
    text = chart.text(nested({**SERVING, **large}))
    assert '"1048576"' in text
    assert "activeDeadlineSeconds: 31536000" in text


def test_a_parent_chart_may_use_the_chart_twice(tmp_path: Path, helm: str) -> None:
    shutil.copytree(CHART, tmp_path / "charts" / "llmkube")
    dependencies = [{"name": "llmkube", "version": "0.1.0", "alias": alias} for alias in ("small", "large")]
    parent = {"apiVersion": "v2", "name": "models", "version": "1.0.0", "dependencies": dependencies}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(parent))
    objects = Renderer(helm, tmp_path).objects({"small": nested(SERVING), "large": nested(SERVING)})
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in objects]
    assert len(names) == len(set(names))
    assert {name for kind, name in names if kind == "Service"} == {"chat-small", "chat-large"}
    selectors = [manifest["spec"]["selector"] for manifest in objects if manifest["kind"] == "Service"]
    assert selectors[0] != selectors[1]
