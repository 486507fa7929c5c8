"""Releases are found by what they render, whoever put that into the cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.kit import CHART, Space

pytestmark = pytest.mark.cluster

SMALL = "hf://acme/small/model-f16.gguf"
WAYS = ("installed", "applied", "renamed")


@pytest.fixture
def three(space: Space, tmp_path: Path) -> Space:
    """The same release three times: by `helm install`, by `kubectl apply`, and moved here by a kustomization."""
    values: dict[str, Any] = {"model__source": SMALL, "server__replicas": 0, "preload__enabled": False}
    space.install("installed", wait=False, **values)
    for release, namespace in (("applied", space.name), ("renamed", "elsewhere")):
        (tmp_path / f"{release}.yaml").write_text(_rendered(space, release, namespace, values))
    kustomization = {"namespace": space.name, "resources": ["renamed.yaml"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    space.kubectl("apply", "--filename", str(tmp_path / "applied.yaml"))
    space.cluster.kubectl("apply", "--kustomize", str(tmp_path))
    return space


def test_only_what_helm_installed_has_a_record_of_helm(three: Space) -> None:
    records = three.get("secrets", "--selector=owner=helm")
    assert {record["metadata"]["labels"]["name"] for record in records} == {"installed"}


def test_list_and_status_see_a_release_however_it_came(three: Space) -> None:
    listed = _json(three, "list")["entries"]
    assert {tuple(entry["releases"]) for entry in listed} == {(way,) for way in WAYS}
    assert {entry["claim"] for entry in listed} == {f"{way}-model-cache" for way in WAYS}
    for way in WAYS:
        (cache,) = _json(three, "status", way)["caches"]
        assert (cache["claim"], cache["release"]) == (f"{way}-model-cache", way)


def test_preload_scan_and_clear_work_on_a_release_however_it_came(three: Space) -> None:
    for way in WAYS:
        (job,) = _json(three, "preload", way)["jobs"]
        assert (job["claim"], job["report"]["result"]) == (f"{way}-model-cache", "fetched")
    scanned = _json(three, "list", "--scan")["entries"]
    assert [(entry["releases"], entry["state"]) for entry in scanned] == [([way], "complete") for way in sorted(WAYS)]
    for way in WAYS:
        cleared = _json(three, "clear", "--model", way, "--yes")
        assert [entry["claim"] for entry in cleared["entries"]] == [f"{way}-model-cache"]
        assert cleared["bytesFreed"] >= cleared["bytes"] > 0


def _rendered(space: Space, release: str, namespace: str, values: dict[str, Any]) -> str:
    """Return what `helm template` prints for a namespace."""
    paths = {name.replace("__", "."): value for name, value in (space.images() | values).items()}
    sets = [part for path, value in paths.items() for part in ("--set-json", f"{path}={json.dumps(value)}")]
    return space.helm("template", release, str(CHART), "--namespace", namespace, *sets).out


def _json(space: Space, *arguments: str) -> Any:
    return json.loads(space.llmkube("cache", *arguments, "-o", "json").out)
