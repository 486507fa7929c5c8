"""The key that the chart computes is the key that the downloader computes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.rendering import CHART, CONTRACT, RefusedError, Renderer

VECTORS: list[dict[str, Any]] = yaml.safe_load((CONTRACT / "key-vectors.yaml").read_text("utf-8"))
ACCEPTED = [vector for vector in VECTORS if not vector.get("error")]
REFUSED = [vector for vector in VECTORS if vector.get("error")]
# Writes what _key.tpl makes of each of the given models. The chart itself refuses some sources that have a key, because
# nothing can download them yet.
TEMPLATE = """\
{{- range $index, $model := .Values.models }}
---
{{ include "llmkube.key.parse" (dict "path" (printf "models.%d" $index) "spec" $model) }}
{{- end }}
"""


@pytest.fixture(name="keys", scope="module")
def _keys(helm: str, tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    chart = tmp_path_factory.mktemp("keys")
    (chart / "templates").mkdir()
    shutil.copy(CHART / "templates" / "_key.tpl", chart / "templates")
    (chart / "templates" / "keys.yaml").write_text(TEMPLATE)
    (chart / "Chart.yaml").write_text(json.dumps({"apiVersion": "v2", "name": "keys", "version": "1.0.0"}))
    return Renderer(helm, Path(chart))


def _model(vector: dict[str, Any]) -> dict[str, Any]:
    return {name: vector[name] for name in ("source", "revision", "files", "include", "exclude") if name in vector}


def test_templates_compute_the_key_of_every_vector(keys: Renderer) -> None:
    parsed = keys.objects({"models": [_model(vector) for vector in ACCEPTED]})
    computed = {vector["name"]: (one["canonical"], one["key"]) for vector, one in zip(ACCEPTED, parsed, strict=True)}
    assert computed == {vector["name"]: (vector["canonical"], vector["key"]) for vector in ACCEPTED}


@pytest.mark.parametrize("vector", REFUSED, ids=lambda vector: vector["name"])
def test_templates_refuse_what_the_key_refuses_and_name_the_value(keys: Renderer, vector: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match=r"models\.0\.(source|revision|files|include|exclude): "):
        keys.text({"models": [_model(vector)]})
