"""`cache plan` reads what a release renders, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import releases
import yaml
from click.testing import CliRunner

from llmkube_plugin import installation
from llmkube_plugin.cli import cli

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

GI = 1 << 30


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")
    monkeypatch.delenv("HELM_NAMESPACE", raising=False)


def plan(rendered: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["cache", "plan", "-f", "-", *arguments], input=rendered, catch_exceptions=False)


def planned(items: list[releases.Object], *arguments: str) -> dict[str, Any]:
    result = plan(yaml.safe_dump_all(items), "-o", "json", *arguments)
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def serving(source: str = releases.TINY, **values: Any) -> list[releases.Object]:
    values = {"model": {"source": source, "size": "5Gi"}, "modelCache": {"size": "6Gi"}} | values
    return releases.release("web", **values)


def test_claims_and_entries_are_those_of_the_file() -> None:
    items = serving()
    document = planned(items, "-n", "team-a")

    [cache], [entry] = document["caches"], document["entries"]
    assert (cache["namespace"], cache["claim"], cache["made"]) == ("team-a", "web-model-cache", True)
    assert (cache["capacity"], cache["bytes"], cache["entries"]) == (6 * GI, 5 * GI, [releases.TINY_KEY])
    assert (entry["key"], entry["source"], entry["bytes"]) == (releases.TINY_KEY, releases.TINY, 5 * GI)
    assert (entry["sizeFrom"], entry["releases"]) == ("values", ["web"])
    job = releases.of_kind(items, "Job")["metadata"]["name"]
    assert entry["downloadedBy"] == [f"Job/{job}", "Deployment/web"]


def test_people_get_two_tables_and_a_sum() -> None:
    result = plan(yaml.safe_dump_all(serving()))

    claims, entries = result.stdout.split("\n\n")
    assert claims.splitlines()[1].split()[:4] == ["web-model-cache", "perModel", "by", "this"]
    assert entries.splitlines()[1].split()[:4] == ["web", releases.TINY, releases.TINY_KEY, "web-model-cache"]
    assert "Would download 1 entry, 5.0Gi.\n" in result.stderr


def test_every_model_of_the_catalog_has_its_size_however_its_source_is_written() -> None:
    models = yaml.safe_load(installation.CATALOG.read_text())["models"]
    items = releases.release(
        "shelf",
        modelCache={"mode": "shared", "create": True, "size": "9Ti"},
        preload={"models": {model["id"]: {"source": model["source"]} for model in models}},
    )

    sizes = {entry["source"]: (entry["bytes"], entry["sizeFrom"]) for entry in planned(items)["entries"]}

    assert sizes == {model["source"]: (model["size"], "catalog") for model in models}
    source = models[0]["source"].removeprefix("hf://").split("/", 2)
    for other in (
        f"https://huggingface.co/{source[0]}/{source[1]}/resolve/main/{source[2]}",
        f"hf://{source[0]}/{source[1]}@v1/{source[2]}",
    ):
        [entry] = planned(serving(model={"source": other}))["entries"]
        assert entry["bytes"] == models[0]["size"]


def test_an_unknown_size_is_said_to_be_unknown() -> None:
    items = serving(model={"source": releases.TINY})

    assert planned(items)["entries"][0]["bytes"] is None
    assert planned(items)["caches"][0]["unmeasured"] == 1
    assert "Would download 1 entry, of unknown size.\n" in plan(yaml.safe_dump_all(items)).stderr


def test_a_claim_that_is_too_small_is_warned_of() -> None:
    result = plan(yaml.safe_dump_all(serving(modelCache={"size": "4Gi"})))

    assert result.exit_code == 0
    assert "claim web-model-cache asks for 4.0Gi, and its entries take 5.0Gi: set modelCache.size" in result.stderr


def test_a_claim_of_somebody_else_is_expected_to_be_there() -> None:
    [cache] = planned(serving(modelCache={"mode": "existingClaim", "claimName": "mine"}))["caches"]

    assert (cache["claim"], cache["made"], cache["capacity"]) == ("mine", False, None)


def test_an_ephemeral_cache_has_no_claim_and_is_filled_by_each_pod() -> None:
    items = serving(modelCache={"mode": "ephemeral", "size": "6Gi"})

    assert (planned(items)["caches"], planned(items)["entries"][0]["claim"]) == ([], None)
    assert "What has no claim is downloaded by each pod." in plan(yaml.safe_dump_all(items)).stderr


def test_what_is_served_in_place_is_not_downloaded() -> None:
    items = releases.release("web", model={"source": "pvc://theirs/model.gguf"})

    assert planned(items)["entries"][0]["inPlace"]
    assert "Nothing would be downloaded." in plan(yaml.safe_dump_all(items)).stderr


def test_what_is_loaded_beside_a_model_is_an_entry_of_its_own() -> None:
    draft = {"source": "hf://org/draft/d.gguf", "size": "1Gi"}
    document = planned(serving(runtime={"name": "llamacpp", "draftModel": draft}))

    assert {entry["source"]: entry["bytes"] for entry in document["entries"]} == {
        releases.TINY: 5 * GI,
        draft["source"]: GI,
    }


def test_a_list_of_objects_is_read_like_documents() -> None:
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": serving()})

    assert plan(text, "-o", "name").stdout == f"{releases.TINY_KEY}\n"


def test_every_example_can_be_planned() -> None:
    examples = sorted((releases.REPOSITORY / "values-examples").glob("*.rendered.yaml"))

    assert examples
    for example in examples:
        result = CliRunner().invoke(cli, ["cache", "plan", "-f", str(example), "-o", "json"], catch_exceptions=False)
        assert result.exit_code == 0, (example, result.output)
        assert json.loads(result.stdout)["entries"] or "llmkube.dev/key" not in example.read_text()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "standard input holds no Kubernetes object"),
        ("Error: no such chart", "standard input holds no Kubernetes object"),
        ("a: [", "standard input is no YAML"),
    ],
)
def test_what_is_no_manifest_is_said_to_be_none(text: str, told: str) -> None:
    result = plan(text)

    assert result.exit_code == 1
    assert told in result.stderr


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["cache", "plan", "-f", str(tmp_path / "none.yaml")])

    assert result.exit_code == 1
    assert f"{tmp_path / 'none.yaml'} can not be read" in result.stderr


def test_a_plugin_without_the_catalog_still_plans(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(installation, "CATALOG", tmp_path / "none.yaml")

    assert planned(serving())["entries"][0]["bytes"] == 5 * GI
