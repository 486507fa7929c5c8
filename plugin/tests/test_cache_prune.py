from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import releases

if TYPE_CHECKING:
    from fake_kubernetes import FakeKubernetes, Script

    from conftest import Run

OLD, USED, PINNED = "00112233445566aa", releases.TINY_KEY, "ffeeddccbbaa9988"


class Volume:
    """A volume with an old entry, one that a server has open, and one that is pinned; it prunes as it is told."""

    def __init__(self) -> None:
        old = releases.on_volume(OLD, source="hf://old/one", bytes=3 << 20)
        pinned = releases.on_volume(PINNED, source="hf://kept/one", pinned=True)
        self.held = [old, releases.on_volume(USED), pinned]
        self.report: dict[str, Any] = {}
        self.reports: dict[str, dict[str, Any]] = {}  # of one claim
        self.ran: list[tuple[str, list[str]]] = []

    def play(self, job: dict[str, Any]) -> Script:
        arguments = job["spec"]["template"]["spec"]["containers"][0]["args"][:-2]
        claim = job["metadata"]["annotations"]["llmkube.dev/claim"]
        if arguments[0] == "list":
            return releases.volume(*self.held)
        self.ran.append((claim, arguments))
        report = {"removed": [victim(OLD)], "kept": [], "bytes": 3 << 20, **self.report, **self.reports.get(claim, {})}
        script = releases.maintenance_says(
            {"schema": 1, "root": "/models", "dryRun": "--dry-run" in arguments, **report}
        )
        if "error" in report:
            script.states = [releases.job_pod(releases.ended(15), "Failed", "maintenance")]
        return script


def victim(key: str, kind: str = "entry", reason: str = "unused", size: int = 3 << 20) -> dict[str, Any]:
    used = "2026-01-01T00:00:00+00:00"
    return {"key": key, "entry": f"/models/{key}", "kind": kind, "bytes": size, "lastUsed": used, "reason": reason}


@pytest.fixture
def volume() -> Volume:
    return Volume()


@pytest.fixture
def web(cluster: FakeKubernetes, volume: Volume) -> FakeKubernetes:
    """Put a release into the cluster whose server runs."""
    cluster.add(*releases.serving())
    cluster.add(releases.pod_of(cluster.all("deployments")[0], "web-1", releases.served()))
    cluster.plays = volume.play
    return cluster


def test_what_goes_is_shown_with_the_reason_and_what_stays_with_who_holds_it(
    web: FakeKubernetes, volume: Volume, run: Run
) -> None:
    result = run("cache", "prune", "--unused", "--yes")

    assert result.exit_code == 0, result.output
    assert "web-model-cache  00112233445566aa  hf://old/one  3.0Mi" in result.stdout
    assert result.stdout.splitlines()[1].endswith("--unused")
    assert f"{USED} in web-model-cache stays: it is used by web-1." in result.stderr
    assert f"{PINNED} in web-model-cache stays: it is pinned." in result.stderr
    assert result.stdout.endswith("Removed 1 entry, freed 3.0Mi.\n")
    # What a pod has open is not among what may go, whether that pod says so on the volume or not; only what was shown
    # may go in the end.
    assert volume.ran == [
        ("web-model-cache", ["prune", "--unused", f"--only={OLD},{PINNED}", "--dry-run"]),
        ("web-model-cache", ["prune", "--unused", f"--only={OLD}"]),
    ]
    assert len(web.all("jobs")) == 1  # the release's own


def test_all_criteria_reach_the_downloader_in_its_units(web: FakeKubernetes, volume: Volume, run: Run) -> None:
    flags = ["--older-than", "30d", "--max-bytes", "5Gi", "--min-free", "500M"]

    assert run("cache", "prune", *flags, "--dry-run").exit_code == 0

    [(_, arguments)] = volume.ran
    assert arguments[1:4] == ["--older-than=2592000s", f"--max-bytes={5 << 30}", "--min-free=500000000"]


def test_something_has_to_be_asked_for(run: Run) -> None:
    result = run("cache", "prune")

    assert result.exit_code == 2
    assert "Say what may go: --unused, --older-than, --max-bytes or --min-free." in result.stderr


@pytest.mark.parametrize("flags", [["--max-bytes", "much"], ["--older-than", "long"]])
def test_a_value_that_is_none_is_refused_with_its_grammar(run: Run, flags: list[str]) -> None:
    assert "; write " in run("cache", "prune", *flags).stderr


def test_dry_run_removes_nothing(web: FakeKubernetes, volume: Volume, run: Run) -> None:
    result = run("cache", "prune", "--unused", "--dry-run")

    assert result.stdout.endswith("Would remove 1 entry and free 3.0Mi.\n")
    assert [arguments[-1] for _, arguments in volume.ran] == ["--dry-run"]


def test_off_a_terminal_nothing_is_removed_without_yes(web: FakeKubernetes, volume: Volume, run: Run) -> None:
    result = run("cache", "prune", "--unused", answer="y\n")

    assert result.exit_code == 1
    assert "refusing to remove anything without a confirmation" in result.stderr
    assert len(volume.ran) == 1


def test_what_a_pod_began_to_use_while_we_asked_stays(
    web: FakeKubernetes, volume: Volume, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pod_comes(*_: object, **__: object) -> None:
        web.add(releases.stranger("notebook", "web-model-cache"))

    monkeypatch.setattr("llmkube_plugin.output.Output.confirm", pod_comes)

    run("cache", "prune", "--unused")

    assert volume.ran[-1] == ("web-model-cache", ["prune", "--unused", "--only="])


def test_pods_that_are_gone_hold_nothing(web: FakeKubernetes, volume: Volume, run: Run) -> None:
    volume.held[0]["pods"] = ["uid-gone"]

    run("cache", "prune", "--unused", "--yes")

    assert all("--gone-pods=uid-gone" in arguments for _, arguments in volume.ran)


def test_every_cache_of_the_namespace_is_pruned_or_the_one_that_is_named(
    web: FakeKubernetes, volume: Volume, run: Run
) -> None:
    web.add(*releases.serving("chat"))

    both = run("cache", "prune", "--unused", "--yes")
    one = run("cache", "prune", "--unused", "--yes", "--claim", "chat-model-cache")

    assert both.stdout.endswith("Removed 2 entries, freed 6.0Mi.\n")
    assert one.stdout.endswith("Removed 1 entry, freed 3.0Mi.\n")
    assert [claim for claim, _ in volume.ran] == ["chat-model-cache", "web-model-cache"] * 2 + ["chat-model-cache"] * 2


def test_leftovers_are_counted_beside_entries(web: FakeKubernetes, volume: Volume, run: Run) -> None:
    volume.report = {"removed": [victim(OLD), victim(USED, "superseded", "superseded", 1 << 20)]}

    result = run("cache", "prune", "--unused", "--yes")

    assert "older content" in result.stdout
    assert result.stdout.endswith("Removed 1 entry and 1 leftover, freed 4.0Mi.\n")


def test_a_criterion_that_can_not_be_met_says_so(web: FakeKubernetes, volume: Volume, run: Run) -> None:
    volume.report = {"overBytes": 2 << 20, "kept": [{"key": PINNED, "cause": "it is being fetched"}]}

    result = run("cache", "prune", "--max-bytes", "1Mi", "--yes")

    assert result.exit_code == 0
    assert "web-model-cache: 2.0Mi above --max-bytes remain" in result.stderr
    assert f"{PINNED} in web-model-cache was kept: it is being fetched." in result.stderr


def test_with_nothing_to_remove_nobody_is_asked(web: FakeKubernetes, volume: Volume, run: Run) -> None:
    volume.report = {"removed": [], "bytes": 0}

    result = run("cache", "prune", "--unused")

    assert result.exit_code == 0
    assert "Nothing to remove." in result.stderr


def test_a_volume_that_can_not_be_planned_stops_everything(web: FakeKubernetes, volume: Volume, run: Run) -> None:
    web.add(*releases.serving("chat"))
    volume.reports["chat-model-cache"] = {"error": {"code": 15, "name": "volume", "cause": "gone", "action": "Look."}}

    result = run("cache", "prune", "--unused", "--yes")

    assert "`prune` on claim chat-model-cache in namespace default failed (volume): gone" in result.stderr
    assert result.exit_code == 15
    assert all("--dry-run" in arguments for _, arguments in volume.ran)


def test_one_that_fails_does_not_hide_what_was_removed_from_the_others(
    web: FakeKubernetes, volume: Volume, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.add(*releases.serving("chat"))

    def fails_from_now_on(*_: object, **__: object) -> None:
        error = {"code": 15, "name": "volume", "cause": "gone", "action": "Look."}
        volume.reports["chat-model-cache"] = {"error": error}

    monkeypatch.setattr("llmkube_plugin.output.Output.confirm", fails_from_now_on)

    result = run("cache", "prune", "--unused", "-o", "json")

    document = json.loads(result.stdout)
    assert [(item["cache"], item["key"]) for item in document["removed"]] == [("web-model-cache", OLD)]
    assert "(volume): gone" in result.stderr
    assert result.exit_code == 15
