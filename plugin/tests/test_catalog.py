"""The models that are known by an id."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import releases
import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run

FIELDS = {"id", "source", "size", "license", "for"}


@pytest.fixture(autouse=True)
def without_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")


def test_every_model_says_all_that_is_shown_of_it_and_nothing_that_is_not() -> None:
    listed = yaml.safe_load((releases.REPOSITORY / "charts" / "llmkube" / "catalog.yaml").read_text())["models"]

    assert [model["id"] for model in listed if set(model) != FIELDS or not model["source"].startswith("hf://")] == []
    assert len({model["id"] for model in listed}) == len({model["source"] for model in listed}) == len(listed)


def test_list_shows_id_size_license_and_purpose(run: Run) -> None:
    lines = run("catalog", "list").stdout.splitlines()

    assert lines[0].split() == ["ID", "SIZE", "LICENSE", "FOR"]
    assert "llama-3.1-8b" in [line.split()[0] for line in lines]
    (distilled,) = (line for line in lines if line.startswith("deepseek-r1-7b "))
    assert distilled.split()[1:4] == ["5.4Gi", "mit", "reasoning"]


def test_list_shows_only_what_mentions_all_words(run: Run) -> None:
    found = run("catalog", "list", "QWEN", "code", "-o", "name").stdout.split()

    assert found == ["qwen-2.5-coder-7b", "qwen-3-coder-30b-a3b", "qwen-2.5-coder-32b"]


def test_that_nothing_mentions_them_is_said(run: Run) -> None:
    result = run("catalog", "list", "nothing", "such")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "No model mentions nothing and such." in result.stderr


def test_show_tells_the_source_and_what_to_do_with_it(run: Run) -> None:
    result = run("catalog", "show", "llama-3.1-8b")

    assert "source:   hf://bartowski/Meta-Llama-3.1-8B-Instruct-GGUF/" in result.stdout
    assert "helm llmkube cache preload llama-3.1-8b" in result.stderr
    assert "helm install llama-3-1-8b CHART" in result.stderr  # a release's name may have no dots


def test_show_is_data_for_a_program(run: Run) -> None:
    model = json.loads(run("catalog", "show", "deepseek-r1-7b", "-o", "json").stdout)["model"]

    assert (model["bytes"], model["license"]) == (5781196768, "mit")


@pytest.mark.parametrize(
    ("typed", "meant"), [("llama-3-1-8b", "llama-3.1-8b"), ("LLAMA-3.1-8B", "llama-3.1-8b"), ("phi", "phi-4-mini")]
)
def test_a_mistyped_id_gets_the_nearest_ones(run: Run, typed: str, meant: str) -> None:
    result = run("catalog", "show", typed)

    assert result.exit_code == 1
    assert f"the catalog has no model '{typed}'\nDid you mean {meant}" in result.stderr


def test_nothing_like_it_is_not_guessed(run: Run) -> None:
    assert "Did you mean" not in run("catalog", "show", "zzzzzz").stderr


def test_a_plugin_without_its_catalog_says_how_to_get_one(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("llmkube_plugin.installation.CATALOG", tmp_path / "catalog.yaml")

    result = run("catalog", "list")

    assert result.exit_code == 1
    assert "can not be read" in result.stderr
    assert "name models by their source" in result.stderr
