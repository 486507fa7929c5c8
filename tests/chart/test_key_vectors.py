"""The key that the chart computes is the key that the downloader computes."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
import yaml

from chart.rendering import CONTRACT, RefusedError, Renderer, nested

VECTORS: list[dict[str, Any]] = yaml.safe_load((CONTRACT / "key-vectors.yaml").read_text("utf-8"))
ACCEPTED = [vector for vector in VECTORS if not vector.get("error")]
REFUSED = [vector for vector in VECTORS if vector.get("error")]


def _entry(vector: dict[str, Any]) -> dict[str, Any]:
    return {name: vector[name] for name in ("source", "revision", "files", "include", "exclude") if name in vector}


def _values(models: dict[str, Any]) -> dict[str, Any]:
    return nested({"modelCache.size": "1Gi", "downloader.allowHttp": ["*"], "preload.models": models})


def _batches() -> list[list[dict[str, Any]]]:
    """Vectors in groups in which no key is there twice, as one release refuses to preload one source twice."""
    batches: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    seen: defaultdict[str, int] = defaultdict(int)
    for vector in ACCEPTED:
        batches[seen[vector["key"]]].append(vector)
        seen[vector["key"]] += 1
    return list(batches.values())


def test_templates_compute_the_key_of_every_vector(chart: Renderer) -> None:
    computed = {}
    for batch in _batches():
        objects = chart.objects(_values({f"v{number:03}": _entry(vector) for number, vector in enumerate(batch)}))
        jobs = [manifest for manifest in objects if manifest["kind"] == "Job"]
        for vector, job in zip(batch, jobs, strict=True):
            computed[vector["name"]] = job["metadata"]["labels"]["llmkube.dev/key"]
    assert computed == {vector["name"]: vector["key"] for vector in ACCEPTED}


@pytest.mark.parametrize("vector", REFUSED, ids=lambda vector: vector["name"])
def test_templates_refuse_what_the_key_refuses_and_name_the_value(chart: Renderer, vector: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match=r"preload\.models\.refused\.(source|revision|files|include|exclude): "):
        chart.text(_values({"refused": _entry(vector)}))
