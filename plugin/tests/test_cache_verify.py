from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import releases

if TYPE_CHECKING:
    from fake_kubernetes import FakeKubernetes, Script

    from conftest import Run


def verified(*problems: dict[str, str]) -> Script:
    """Return the script of a Job that has verified the only entry."""
    state = "damaged" if problems else "complete"
    entry = {"key": releases.TINY_KEY, "entry": "/models/k", "state": state, "bytes": 5000, "problems": problems}
    script = releases.maintenance_says({"schema": 1, "root": "/models", "entries": [entry]})
    if problems:
        script.states = [releases.job_pod(releases.ended(13), "Failed", "maintenance")]
    return script


def arguments(cluster: FakeKubernetes) -> list[tuple[str, list[str]]]:
    """Return the claim and the arguments of every Job that was made."""
    return [
        (
            job["metadata"]["annotations"]["llmkube.dev/claim"],
            job["spec"]["template"]["spec"]["containers"][0]["args"],
        )
        for job in cluster.created("jobs")
    ]


def test_whole_entries_are_listed_with_exit_code_0(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())
    cluster.plays = lambda _: verified()

    result = run("cache", "verify")

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1].split() == ["web-model-cache", releases.TINY_KEY, "4.9Ki", "complete", "0"]
    assert arguments(cluster) == [("web-model-cache", ["verify", "-o", "json"])]


def test_a_damaged_entry_is_exit_code_13_and_says_what_is_wrong(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())
    cluster.plays = lambda _: verified({"path": "model.gguf", "problem": "has sha256 0 instead of 1"})

    result, document = run("cache", "verify"), run("cache", "verify", "-o", "json")

    assert (result.exit_code, document.exit_code) == (13, 13)
    assert f"{releases.TINY_KEY}: model.gguf has sha256 0 instead of 1\n" in result.stderr
    assert "helm llmkube cache clear KEY" in result.stderr
    assert json.loads(document.stdout)["entries"][0]["state"] == "damaged"


def test_a_key_is_looked_for_where_releases_name_it(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving("a"), *releases.serving("b", source="hf://org/other/x.gguf"))
    cluster.plays = lambda _: verified()

    run("cache", "verify", releases.TINY_KEY)

    assert arguments(cluster) == [("a-model-cache", ["verify", releases.TINY_KEY, "-o", "json"])]


def test_a_key_that_no_release_names_needs_its_claim(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving("a"), *releases.serving("b"))
    cluster.plays = lambda _: verified()

    unclear = run("cache", "verify", "00112233445566aa")
    run("cache", "verify", "00112233445566aa", "--claim", "b-model-cache")

    assert unclear.exit_code == 1
    assert "Name the claim that holds it with --claim." in unclear.stderr
    assert arguments(cluster) == [("b-model-cache", ["verify", "00112233445566aa", "-o", "json"])]


@pytest.mark.parametrize("code", [12, 13])
def test_the_downloaders_own_failure_is_not_taken_for_damage(cluster: FakeKubernetes, run: Run, code: int) -> None:
    cluster.add(*releases.serving())
    error = {"code": code, "name": "any", "cause": "no such entry", "action": "Choose another."}
    script = releases.maintenance_says({"schema": 1, "error": error})
    script.states = [releases.job_pod(releases.ended(code), "Failed", "maintenance")]
    cluster.plays = lambda _: script

    result = run("cache", "verify", releases.TINY_KEY)

    assert result.exit_code == code
    assert "no such entry\nChoose another." in result.stderr
