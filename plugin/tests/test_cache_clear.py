from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import releases
from fake_kubernetes import Script

if TYPE_CHECKING:
    from fake_kubernetes import FakeKubernetes

    from conftest import Run

ORPHAN = "00112233445566aa"


@pytest.fixture
def web(cluster: FakeKubernetes) -> FakeKubernetes:
    """Put a release into the cluster whose volume also holds an entry that no release uses."""
    cluster.add(*releases.serving())
    old = releases.on_volume(ORPHAN, source="hf://old/one", bytes=3 << 20)
    held = [releases.on_volume(releases.TINY_KEY, bytes=1 << 20), old]

    def play(job: dict[str, Any]) -> Script:
        verb, *keys = arguments_of(job)
        if verb == "list":
            return releases.volume(*held)
        removed = [{"key": entry["key"], "bytes": entry["bytes"]} for entry in held if entry["key"] in keys]
        return releases.maintenance_says({"schema": 1, "root": "/models", "removed": removed})

    cluster.plays = play
    return cluster


def removals(cluster: FakeKubernetes) -> list[list[str]]:
    """Return the arguments of the Jobs that remove something."""
    return [arguments for job in cluster.created("jobs") if (arguments := arguments_of(job))[0] == "remove"]


def arguments_of(job: dict[str, Any]) -> list[str]:
    arguments: list[str] = job["spec"]["template"]["spec"]["containers"][0]["args"]
    return arguments


def test_an_entry_is_shown_removed_and_its_bytes_counted(web: FakeKubernetes, run: Run) -> None:
    result = run("cache", "clear", ORPHAN, "--yes")

    assert result.exit_code == 0, result.output
    assert ["web-model-cache", ORPHAN, "hf://old/one", "3.0Mi", "complete", "-"] in [
        line.split() for line in result.stdout.splitlines()
    ]
    assert result.stdout.endswith("Removed 1 entry, freed 3.0Mi.\n")
    assert removals(web) == [["remove", ORPHAN, "-o", "json"]]
    assert len(web.all("jobs")) == 1  # the release's own


@pytest.mark.parametrize("model", ["web", releases.TINY])
def test_a_model_is_chosen_by_release_or_source(web: FakeKubernetes, run: Run, model: str) -> None:
    result = run("cache", "clear", "--model", model, "--yes", "-o", "json")

    document = json.loads(result.stdout)
    assert [entry["key"] for entry in document["entries"]] == [releases.TINY_KEY]
    assert document["bytesFreed"] == 1 << 20


def test_all_removes_every_entry_in_one_job_per_claim(web: FakeKubernetes, run: Run) -> None:
    assert run("cache", "clear", "--all", "--yes").stdout.endswith("Removed 2 entries, freed 4.0Mi.\n")
    [arguments] = removals(web)
    assert sorted(arguments[1:3]) == sorted([releases.TINY_KEY, ORPHAN])


def test_reports_of_what_is_gone_are_gone_too(web: FakeKubernetes, run: Run) -> None:
    job = next(item for item in web.all("jobs"))
    over = releases.job_pod(releases.ended(0, releases.fetched()), "Succeeded")
    web.add(releases.pod_of(job, "web-preload", over), releases.stranger("other", "another-claim"))

    before = run("cache", "list", "-o", "json")
    run("cache", "clear", releases.TINY_KEY, "--yes")
    after = run("cache", "list", "-o", "json")

    states = [json.loads(listed.stdout)["entries"][0]["state"] for listed in (before, after)]
    assert states == ["complete", "pending"]
    assert [pod["metadata"]["name"] for pod in web.all("pods")] == ["other"]


def test_the_report_of_another_entry_stays(web: FakeKubernetes, run: Run) -> None:
    over = releases.job_pod(releases.ended(0, releases.fetched()), "Succeeded")
    web.add(releases.pod_of(web.all("jobs")[0], "web-preload", over))

    run("cache", "clear", ORPHAN, "--yes")

    assert [pod["metadata"]["name"] for pod in web.all("pods")] == ["web-preload"]


def test_without_the_right_to_delete_pods_the_old_report_is_mentioned(web: FakeKubernetes, run: Run) -> None:
    over = releases.job_pod(releases.ended(0, releases.fetched()), "Succeeded")
    web.add(releases.pod_of(web.all("jobs")[0], "web-preload", over))
    web.refuse("delete", "pods", 403, "no")

    result = run("cache", "clear", releases.TINY_KEY, "--yes")

    assert result.exit_code == 0
    assert "`cache list` goes on showing an old report: you may not delete pods 'web-preload'" in result.stderr


def test_only_the_named_claim_is_touched(web: FakeKubernetes, run: Run) -> None:
    web.add(*releases.serving("chat"))

    run("cache", "clear", "--all", "--claim", "chat-model-cache", "--yes")

    claims = {job["metadata"]["annotations"]["llmkube.dev/claim"] for job in web.created("jobs")}
    assert claims == {"chat-model-cache"}


def test_an_unknown_claim_is_named_with_the_known_ones(web: FakeKubernetes, run: Run) -> None:
    result = run("cache", "clear", "--all", "--claim", "x")

    assert "no release in namespace default has the claim 'x'\nThere are: web-model-cache." in result.stderr


def test_something_has_to_be_chosen(run: Run) -> None:
    result = run("cache", "clear")

    assert result.exit_code == 2
    assert "Choose what to remove" in result.stderr


@pytest.mark.parametrize("arguments", [["beefbeefbeefbeef", ORPHAN], ["--model", "nobody"]])
def test_one_thing_that_is_not_there_stops_everything(web: FakeKubernetes, run: Run, arguments: list[str]) -> None:
    result = run("cache", "clear", *arguments, "--yes")

    assert result.exit_code == 1
    assert f"the volumes hold no entry for: {arguments[0] if len(arguments[0]) == 16 else 'nobody'}" in result.stderr
    assert removals(web) == []


def test_an_entry_in_use_is_refused_with_the_names_of_its_pods(web: FakeKubernetes, run: Run) -> None:
    deployment = web.all("deployments")[0]
    web.add(releases.pod_of(deployment, "web-1", releases.served()))

    result = run("cache", "clear", releases.TINY_KEY, "--yes")

    assert result.exit_code == 1
    assert f"refusing to remove anything: {releases.TINY_KEY} in web-model-cache is used by web-1" in result.stderr
    assert removals(web) == []


def test_a_pod_of_one_entry_does_not_keep_another(web: FakeKubernetes, run: Run) -> None:
    web.add(releases.pod_of(web.all("deployments")[0], "web-1", releases.served()))

    assert run("cache", "clear", ORPHAN, "--yes").exit_code == 0


def test_a_pod_of_somebody_else_keeps_every_entry(web: FakeKubernetes, run: Run) -> None:
    web.add(releases.stranger("notebook", "web-model-cache"))

    result = run("cache", "clear", ORPHAN, "--yes")

    assert result.exit_code == 1
    assert "is used by notebook" in result.stderr


def test_a_maintenance_pod_keeps_nothing(web: FakeKubernetes, run: Run) -> None:
    template = web.all("cronjobs")[0]["spec"]["jobTemplate"]
    web.add(releases.pod_of(template, "m", releases.job_pod({"running": {}}, "Running", "maintenance")))

    assert run("cache", "clear", ORPHAN, "--yes").exit_code == 0


def says_it_uses(cluster: FakeKubernetes, *uids: str) -> None:
    """Let the volume's entry carry the use leases of pods."""
    play, held = cluster.plays, releases.on_volume(ORPHAN, pods=list(uids))
    cluster.plays = lambda job: releases.volume(held) if "list" in arguments_of(job) else play(job)


def test_what_pods_that_are_gone_said_of_an_entry_does_not_keep_it(web: FakeKubernetes, run: Run) -> None:
    says_it_uses(web, "uid-gone", "uid-over")
    over = releases.stranger("over", "web-model-cache")
    over["metadata"]["uid"], over["status"]["phase"] = "uid-over", "Succeeded"
    web.add(over)

    assert run("cache", "clear", ORPHAN, "--yes").exit_code == 0
    assert removals(web) == [["remove", ORPHAN, "--gone-pods=uid-gone,uid-over", "-o", "json"]]


def test_what_a_pod_says_that_mounts_another_claim_keeps_it(web: FakeKubernetes, run: Run) -> None:
    # It may reach the same storage on another way.
    says_it_uses(web, "uid-here")
    here = releases.stranger("here", "another-claim")
    here["metadata"]["uid"] = "uid-here"
    web.add(here)

    result = run("cache", "clear", ORPHAN, "--yes")

    assert result.exit_code == 1
    assert f"{ORPHAN} in web-model-cache is used by here" in result.stderr


def test_a_pod_that_came_while_the_volume_was_read_is_not_taken_for_gone(web: FakeKubernetes, run: Run) -> None:
    says_it_uses(web, "uid-late")
    play = web.plays

    def pod_comes(job: dict[str, Any]) -> Script:
        late = releases.stranger("late", "another-claim")
        late["metadata"]["uid"] = "uid-late"
        web.add(late)
        return play(job)

    web.plays = pod_comes

    assert "is used by late" in run("cache", "clear", ORPHAN, "--yes").stderr
    assert removals(web) == []


def test_a_pod_that_only_the_volume_knows_is_named_too(web: FakeKubernetes, run: Run) -> None:
    refusal = releases.failed(21, "policy", f"{ORPHAN} is in use: pod web-7 (uid-7), seen 3s ago", "Stop these pods.")
    refused = Script([releases.job_pod(releases.ended(21), "Failed", "maintenance")], json.dumps(refusal))
    play = web.plays
    web.plays = lambda job: refused if "remove" in arguments_of(job) else play(job)

    result = run("cache", "clear", ORPHAN, "--yes")

    assert result.exit_code == 21
    assert "pod web-7 (uid-7), seen 3s ago" in result.stderr


def test_force_removes_what_is_in_use_and_says_so_to_the_downloader(web: FakeKubernetes, run: Run) -> None:
    web.add(releases.stranger("notebook", "web-model-cache"))

    assert run("cache", "clear", ORPHAN, "--yes", "--force").exit_code == 0
    assert removals(web) == [["remove", ORPHAN, "--force", "-o", "json"]]


def test_a_pod_that_starts_while_we_asked_stops_the_removal(web: FakeKubernetes, run: Run) -> None:
    play = web.plays

    def pod_comes(job: dict[str, Any]) -> Script:
        web.add(releases.stranger("late", "web-model-cache"))
        return play(job)

    web.plays = pod_comes

    result = run("cache", "clear", ORPHAN, "--yes")

    assert result.exit_code == 1
    assert "is used by late" in result.stderr
    assert removals(web) == []


def test_a_volume_that_can_not_be_read_stops_everything(web: FakeKubernetes, run: Run) -> None:
    web.add(*releases.serving("chat"))
    play = web.plays
    broken = releases.maintenance_says({"schema": 1, "error": {"code": 15, "name": "volume", "cause": "gone"}})
    broken.states = [releases.job_pod(releases.ended(15), "Failed", "maintenance")]
    claim = "llmkube.dev/claim"
    web.plays = lambda job: broken if job["metadata"]["annotations"][claim] == "chat-model-cache" else play(job)

    result = run("cache", "clear", "--all", "--yes")

    assert result.exit_code == 15
    assert removals(web) == []


def test_off_a_terminal_nothing_is_removed_without_yes(web: FakeKubernetes, run: Run) -> None:
    result = run("cache", "clear", ORPHAN, answer="y\n")

    assert result.exit_code == 1
    assert "refusing to remove anything without a confirmation" in result.stderr
    assert removals(web) == []


@pytest.mark.parametrize(("answer", "removed"), [("y\n", 1), ("n\n", 0)])
def test_on_a_terminal_the_user_is_asked(
    web: FakeKubernetes, run: Run, monkeypatch: pytest.MonkeyPatch, answer: str, removed: int
) -> None:
    monkeypatch.setattr("llmkube_plugin.output.is_terminal", lambda: True)

    result = run("cache", "clear", ORPHAN, answer=answer)

    assert "Remove 1 entry, 3.0Mi? [y/N]" in result.stderr
    assert len(removals(web)) == removed


def test_dry_run_shows_the_plan_and_removes_nothing(web: FakeKubernetes, run: Run) -> None:
    result = run("cache", "clear", "--all", "--dry-run")

    assert result.exit_code == 0
    assert result.stdout.endswith("Would remove 2 entries and free 4.0Mi.\n")
    assert removals(web) == []


def test_an_empty_volume_has_nothing_to_remove(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())
    cluster.plays = lambda _: releases.volume()

    result = run("cache", "clear", "--all")

    assert result.exit_code == 0
    assert "Nothing to remove." in result.stderr


def test_what_others_wrote_stays_unless_it_is_forced(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())
    foreign = releases.on_volume(ORPHAN, "foreign", source=None)
    cluster.plays = lambda _: releases.volume(foreign, releases.on_volume(None, "foreign", entry="/models/notes"))

    everything = run("cache", "clear", "--all", "--dry-run")
    named = run("cache", "clear", ORPHAN, "--dry-run")
    forced = run("cache", "clear", "--all", "--force", "--dry-run", "-o", "name")

    assert "Nothing to remove." in everything.stderr
    assert "holds files that llmkube did not write" in named.stderr
    assert forced.stdout == f"{ORPHAN}\n"
