from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import releases

if TYPE_CHECKING:
    from fake_kubernetes import FakeKubernetes, Script

    from conftest import Run

ORPHAN = "00112233445566aa"


@pytest.fixture
def web(cluster: FakeKubernetes) -> FakeKubernetes:
    cluster.add(*releases.serving())

    def play(job: dict[str, Any]) -> Script:
        verb, *rest = job["spec"]["template"]["spec"]["containers"][0]["args"]
        if verb == "list":
            return releases.volume(
                releases.on_volume(releases.TINY_KEY), releases.on_volume(ORPHAN, source="hf://old/one")
            )
        return releases.maintenance_says({"schema": 1, "root": "/models", "key": rest[0], "pinned": verb == "pin"})

    cluster.plays = play
    return cluster


def ran(cluster: FakeKubernetes) -> list[list[str]]:
    return [job["spec"]["template"]["spec"]["containers"][0]["args"][:-2] for job in cluster.created("jobs")]


@pytest.mark.parametrize(("verb", "said"), [("pin", "Pinned"), ("unpin", "Unpinned")])
@pytest.mark.parametrize("chosen", [[releases.TINY_KEY], ["--model", "web"], ["--model", releases.TINY]])
def test_what_a_release_names_is_found_without_reading_the_volume(
    web: FakeKubernetes, run: Run, verb: str, said: str, chosen: list[str]
) -> None:
    result = run("cache", verb, *chosen)

    assert result.exit_code == 0, result.output
    assert f"web-model-cache  {releases.TINY_KEY}  {releases.TINY}" in result.stdout
    assert f"{said} 1 entry: " in result.stdout
    assert ran(web) == [[verb, releases.TINY_KEY]]
    assert len(web.all("jobs")) == 1  # the release's own


@pytest.mark.parametrize("chosen", [[ORPHAN], ["--model", "hf://old/one"]])
def test_what_no_release_names_is_looked_for_on_the_volume(web: FakeKubernetes, run: Run, chosen: list[str]) -> None:
    assert run("cache", "pin", *chosen).exit_code == 0
    assert ran(web) == [["list"], ["pin", ORPHAN]]


def test_several_are_pinned_at_once(web: FakeKubernetes, run: Run) -> None:
    result = run("cache", "pin", ORPHAN, "--model", "web", "-o", "json")

    document = json.loads(result.stdout)
    assert {entry["key"] for entry in document["entries"]} == {ORPHAN, releases.TINY_KEY}
    assert document["pinned"] is True


def test_what_is_not_there_is_named_and_nothing_is_done(web: FakeKubernetes, run: Run) -> None:
    result = run("cache", "pin", releases.TINY_KEY, "beefbeefbeefbeef")

    assert result.exit_code == 1
    assert "the volumes hold no entry for: beefbeefbeefbeef" in result.stderr
    assert "Nothing was done." in result.stderr
    assert ran(web) == [["list"]]


def test_something_has_to_be_chosen(run: Run) -> None:
    result = run("cache", "unpin")

    assert result.exit_code == 2
    assert "Choose entries: KEY... or --model" in result.stderr


def test_dry_run_shows_the_entries_and_makes_no_job(web: FakeKubernetes, run: Run) -> None:
    result = run("cache", "pin", "--model", "web", "--dry-run")

    assert result.stdout.endswith("Would pin 1 entry.\n")
    assert ran(web) == []


def test_one_that_fails_has_the_downloaders_exit_code_and_does_not_hide_the_other(
    web: FakeKubernetes, run: Run
) -> None:
    play = web.plays

    def fails(job: dict[str, Any]) -> Script:
        if job["spec"]["template"]["spec"]["containers"][0]["args"][:2] != ["pin", ORPHAN]:
            return play(job)
        script = releases.maintenance_says(releases.failed(12, "not-found", "it is gone", "Look again."))
        script.states = [releases.job_pod(releases.ended(12), "Failed", "maintenance")]
        return script

    web.plays = fails

    result = run("cache", "pin", ORPHAN, "--model", "web")

    assert result.exit_code == 12
    assert "it is gone\nLook again." in result.stderr
    assert "Pinned 1 entry" in result.stdout
