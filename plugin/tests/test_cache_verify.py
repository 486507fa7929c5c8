from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import releases

if TYPE_CHECKING:
    from collections.abc import Callable

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
    assert f"helm llmkube cache verify {releases.TINY_KEY} --repair" in result.stderr
    assert "helm llmkube cache clear KEY" in result.stderr
    assert json.loads(document.stdout)["entries"][0]["state"] == "damaged"


def test_a_key_is_looked_for_where_releases_name_it(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving("a"), *releases.serving("b", source="hf://org/other/x.gguf"))
    cluster.plays = lambda _: verified()

    run("cache", "verify", releases.TINY_KEY)

    assert arguments(cluster) == [("a-model-cache", ["verify", releases.TINY_KEY, "-o", "json"])]


def test_a_key_that_no_release_names_is_looked_for_on_the_volumes(cluster: FakeKubernetes, run: Run) -> None:
    orphan = "00112233445566aa"
    cluster.add(*releases.serving("a"), *releases.serving("b"))
    cluster.plays = holding({"a-model-cache": [], "b-model-cache": [releases.on_volume(orphan, source="hf://old/one")]})

    by_key, by_source = run("cache", "verify", orphan), run("cache", "verify", "--model", "hf://old/one")
    nowhere = run("cache", "verify", "beefbeefbeefbeef")

    assert (by_key.exit_code, by_source.exit_code, nowhere.exit_code) == (0, 0, 1)
    verified = [each for each in arguments(cluster) if each[1][0] == "verify"]
    assert verified == [("b-model-cache", ["verify", orphan, "-o", "json"])] * 2
    assert "the volumes hold no entry for: beefbeefbeefbeef" in nowhere.stderr


def holding(held: dict[str, list[dict[str, Any]]]) -> Callable[[dict[str, Any]], Script]:
    """Return what becomes of Jobs on claims that hold entries, all of them whole."""

    def play(job: dict[str, Any]) -> Script:
        verb = job["spec"]["template"]["spec"]["containers"][0]["args"][0]
        return (
            releases.volume(*held[job["metadata"]["annotations"]["llmkube.dev/claim"]])
            if verb == "list"
            else verified()
        )

    return play


def test_a_model_is_all_that_a_release_names(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving("a"), *releases.serving("b", source="hf://org/other/x.gguf"))
    cluster.plays = lambda _: verified()

    run("cache", "verify", "--model", "a")

    assert arguments(cluster) == [("a-model-cache", ["verify", releases.TINY_KEY, "-o", "json"])]


def repaired() -> Script:
    entry = {"key": releases.TINY_KEY, "entry": "/models/k", "state": "complete", "bytes": 5000}
    problems = [{"path": "model.gguf", "problem": "has sha256 0 instead of 1"}]
    again = {**entry, "problems": problems, "repaired": {"bytesFetched": 4096}}
    return releases.maintenance_says({"schema": 1, "root": "/models", "entries": [again]})


def test_a_repair_says_what_it_downloaded_and_leaves_no_damage(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())
    cluster.plays = lambda _: repaired()

    result, document = run("cache", "verify", "--repair"), run("cache", "verify", "--repair", "-o", "json")

    assert (result.exit_code, document.exit_code) == (0, 0)
    assert result.stdout.splitlines()[1].split()[-2:] == ["repaired", "1"]
    assert f"{releases.TINY_KEY}: repaired, 4.0Ki downloaded" in result.stderr
    assert json.loads(document.stdout)["entries"][0]["repaired"] == {"bytesFetched": 4096}
    assert arguments(cluster)[0] == ("web-model-cache", ["verify", "--repair", "-o", "json"])


def test_only_a_repair_has_the_credentials_that_origins_want(cluster: FakeKubernetes, run: Run) -> None:
    secret = {"source": releases.TINY, "existingSecret": "hub"}
    cluster.add(*releases.release("web", model=secret, modelCache={"size": "1Gi"}))
    cluster.plays = lambda _: repaired()

    for flags in ([], ["--repair"], ["--repair", "--dry-run"]):
        run("cache", "verify", *flags)

    mounts = [str(job["spec"]["template"]["spec"]) for job in cluster.created("jobs")]
    assert ["LLMKUBE_CREDENTIALS" in each and "'secretName': 'hub'" in each for each in mounts] == [False, True, False]


def test_a_dry_run_of_a_repair_only_verifies_and_without_one_it_means_nothing(
    cluster: FakeKubernetes, run: Run
) -> None:
    cluster.add(*releases.serving())
    cluster.plays = lambda _: verified({"path": "model.gguf", "problem": "is missing"})

    planned, unclear = run("cache", "verify", "--repair", "--dry-run"), run("cache", "verify", "--dry-run")

    assert planned.exit_code == 13
    assert (
        f"`helm llmkube cache verify {releases.TINY_KEY} --repair` downloads again what is damaged." in planned.stderr
    )
    assert arguments(cluster) == [("web-model-cache", ["verify", "-o", "json"])]
    assert unclear.exit_code == 2


def test_a_cache_that_can_not_be_read_does_not_hide_the_others(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving("a"), *releases.serving("b"))
    error = releases.maintenance_says(releases.failed(15, "volume", "it is gone", "Look."))
    error.states = [releases.job_pod(releases.ended(15), "Failed", "maintenance")]
    claim = "llmkube.dev/claim"
    cluster.plays = lambda job: error if job["metadata"]["annotations"][claim] == "a-model-cache" else verified()

    result = run("cache", "verify")

    assert result.exit_code == 15
    assert "b-model-cache" in result.stdout
    assert "it is gone\nLook." in result.stderr


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
