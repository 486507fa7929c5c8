"""Which entries `cache clear` takes: several models, orphans, and what pins keep."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import releases

if TYPE_CHECKING:
    from fake_kubernetes import FakeKubernetes, Script

    from conftest import Run

OLD, PINNED, FOREIGN = "00112233445566aa", "ffeeddccbbaa9988", "1111222233334444"
OTHER = "hf://org/other/x.gguf"


@pytest.fixture
def store(cluster: FakeKubernetes) -> FakeKubernetes:
    """Put a volume into the cluster that holds what two releases name, an orphan, a pinned one, and one of others."""
    cluster.add(*releases.serving())
    cluster.add(*(item for item in releases.serving("chat", source=OTHER) if item["kind"] != "CronJob"))
    for item in cluster.all("deployments") + cluster.all("jobs"):
        item["metadata"]["annotations"]["llmkube.dev/claim"] = "web-model-cache"
    [chat] = [item for item in cluster.all("deployments") if item["metadata"]["name"] == "chat"]
    held = [
        releases.on_volume(releases.TINY_KEY),
        releases.on_volume(chat["metadata"]["labels"]["llmkube.dev/key"], source=OTHER),
        releases.on_volume(OLD, source="hf://old/one"),
        releases.on_volume(PINNED, source="hf://kept/one", pinned=True),
        releases.on_volume(FOREIGN, "foreign", source=None),
    ]

    def play(job: dict[str, Any]) -> Script:
        verb, *keys = job["spec"]["template"]["spec"]["containers"][0]["args"]
        removed = [{"key": entry["key"], "bytes": entry["bytes"]} for entry in held if entry["key"] in keys]
        more = {"pendingBytes": 4096} if verb == "remove" else {}
        if verb == "list":
            return releases.volume(*held)
        return releases.maintenance_says({"schema": 1, "root": "/models", "removed": removed, **more})

    cluster.plays = play
    return cluster


def cleared(run: Run, *arguments: str) -> list[str]:
    """Return the sources of what would go."""
    result = run("cache", "clear", "--dry-run", "-o", "json", *arguments)
    assert result.exit_code == 0, result.output
    return [entry["source"] or entry["key"] for entry in json.loads(result.stdout)["entries"]]


def test_several_models_are_cleared_at_once(store: FakeKubernetes, run: Run) -> None:
    assert cleared(run, "--model", "web", "--model", OTHER) == [OTHER, releases.TINY]


def test_one_model_that_is_not_there_stops_everything(store: FakeKubernetes, run: Run) -> None:
    result = run("cache", "clear", "--model", "web", "--model", "nobody", "--yes")

    assert result.exit_code == 1
    assert "the volumes hold no entry for: nobody" in result.stderr
    assert "See `helm llmkube cache list --scan -n default` for what is there. Nothing was removed." in result.stderr


def test_orphans_are_what_no_release_names_but_not_what_is_pinned_or_of_others(store: FakeKubernetes, run: Run) -> None:
    told = run("cache", "clear", "--orphans", "--dry-run")

    assert cleared(run, "--orphans") == ["hf://old/one"]
    assert f"{PINNED} in web-model-cache stays: it is pinned." in told.stderr
    assert set(cleared(run, "--orphans", "--force")) == {"hf://old/one", "hf://kept/one", FOREIGN}


def test_an_orphan_that_a_pod_may_have_open_is_refused(store: FakeKubernetes, run: Run) -> None:
    store.add(releases.stranger("notebook", "web-model-cache"))

    result = run("cache", "clear", "--orphans", "--yes")

    assert result.exit_code == 1
    assert f"{OLD} in web-model-cache is used by notebook" in result.stderr


@pytest.mark.parametrize("chosen", [[PINNED], ["--model", "hf://kept/one"], ["--all"], ["--orphans", PINNED]])
def test_what_is_pinned_and_named_is_refused_with_the_pin(store: FakeKubernetes, run: Run, chosen: list[str]) -> None:
    result = run("cache", "clear", *chosen, "--yes")

    assert result.exit_code == 1
    assert f"{PINNED} in web-model-cache is pinned" in result.stderr
    assert "unpin with `cache unpin`" in result.stderr
    assert [job for job in store.created("jobs") if "remove" in str(job["spec"])] == []


def test_bytes_that_the_file_server_holds_back_are_told(store: FakeKubernetes, run: Run) -> None:
    assert "4.0Ki of it become free when" in run("cache", "clear", OLD, "--yes").stderr


def test_orphans_mean_nothing_in_a_directory(run: Run, tmp_path: Any) -> None:
    result = run("cache", "clear", "--orphans", "--dir", str(tmp_path))

    assert result.exit_code == 2
    assert "--orphans is for a cluster" in result.stderr
