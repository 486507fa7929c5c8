from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import releases

if TYPE_CHECKING:
    from fake_kubernetes import FakeKubernetes

    from conftest import Run

OTHER_KEY = "00112233445566aa"


def listed(run: Run, *arguments: str) -> dict[str, dict[str, Any]]:
    """Return the entries by their key."""
    result = run("cache", "list", "-o", "json", *arguments)
    assert result.exit_code == 0, result.output
    return {entry["key"]: entry for entry in json.loads(result.stdout)["entries"]}


def test_a_serving_release_shows_its_entry_with_size_state_and_users(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.serving()
    cluster.add(*items, releases.pod_of(releases.of_kind(items, "Deployment"), "web-1", releases.served()))

    header, line = run("cache", "list").stdout.splitlines()

    assert header.split() == ["RELEASE", "SOURCE", "KEY", "CLAIM", "SIZE", "STATE", "USERS", "LAST", "USE"]
    assert line.startswith(f"web      {releases.TINY}  {releases.TINY_KEY}  web-model-cache  4.0Ki (")
    assert line.split()[-3:] == ["complete", "1", "now"]


def test_one_list_request_is_made_per_kind_and_no_object(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving("web"), *releases.serving("chat"))

    run("cache", "list")

    kinds = ["cronjobs", "deployments", "jobs", "persistentvolumeclaims", "pods"]
    assert sorted(asked.path.rpartition("/")[2] for asked in cluster.asked) == kinds
    assert {asked.method for asked in cluster.asked} == {"GET"}


def test_a_release_of_which_nothing_was_heard_is_pending(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())

    entry = listed(run)[releases.TINY_KEY]

    assert (entry["state"], entry["bytes"], entry["users"], entry["releases"]) == ("pending", None, [], ["web"])


def test_the_newest_report_counts(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.serving()
    job, deployment = releases.of_kind(items, "Job"), releases.of_kind(items, "Deployment")
    old = releases.job_pod(releases.ended(0, releases.fetched(size=1), at="2026-01-01T00:00:00Z"), "Succeeded")
    new = releases.served(releases.fetched(size=2, result="hit"), at="2026-01-03T00:00:00Z")
    cluster.add(*items, releases.pod_of(deployment, "a", new), releases.pod_of(job, "b", old))

    entry = listed(run)[releases.TINY_KEY]

    assert (entry["bytes"], entry["observed"], entry["scanned"]) == (2, "2026-01-03T00:00:00Z", False)
    assert entry["lastUsed"] == "2026-01-03T00:00:00Z"


def test_a_failed_fetch_names_its_exit_code_cause_and_action(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.serving()
    report = releases.failed(14, "no-space", "9 GiB needed, 2 GiB free", "Grow the claim.")
    status = {"phase": "Pending", "initContainerStatuses": [{"name": "fetch", "state": releases.ended(14, report)}]}
    cluster.add(*items, releases.pod_of(releases.of_kind(items, "Deployment"), "web-1", status))

    shown = run("cache", "list")
    entry = listed(run)[releases.TINY_KEY]

    assert "failed (no-space)" in shown.stdout
    assert "web: 9 GiB needed, 2 GiB free\nGrow the claim." in shown.stderr
    assert "9 GiB needed, 2 GiB free  Grow the claim." in run("cache", "list", "-o", "wide").stdout
    assert entry["failure"]["code"] == 14
    assert entry["failure"]["pod"] == "web-1"


@pytest.mark.parametrize(
    ("state", "name", "cause"),
    [
        (releases.ended(137, reason="OOMKilled"), "exit-137", "OOMKilled"),
        (releases.ended(15, "reading\nvolume is gone"), "volume", "volume is gone"),
        (releases.ended(16), "origin-unavailable", "the container ended with exit code 16"),
    ],
)
def test_a_fetch_without_a_report_still_tells_what_kubernetes_knows(
    cluster: FakeKubernetes, run: Run, state: dict[str, Any], name: str, cause: str
) -> None:
    items = releases.serving()
    cluster.add(*items, releases.pod_of(releases.of_kind(items, "Job"), "p", releases.job_pod(state, "Failed")))

    failure = listed(run)[releases.TINY_KEY]["failure"]

    assert (failure["name"], failure["cause"]) == (name, cause)


def test_a_container_that_crashes_again_and_again_counts_as_failed(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.serving()
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    fetch = {"name": "fetch", "state": waiting, "lastState": releases.ended(11, releases.failed(11, "auth", "c", "a"))}
    status = {"phase": "Pending", "initContainerStatuses": [fetch]}
    cluster.add(*items, releases.pod_of(releases.of_kind(items, "Deployment"), "web-1", status))

    assert listed(run)[releases.TINY_KEY]["failure"]["name"] == "auth"


def test_a_fetch_that_is_tried_again_still_shows_what_ended_the_try_before(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.serving()
    status = {"phase": "Pending", "initContainerStatuses": [{"name": "fetch", "state": {"running": {}}}]}
    failed = releases.job_pod(releases.ended(16, releases.failed(16, "origin-unavailable", "c", "a")), "Failed")
    cluster.add(*items, releases.pod_of(releases.of_kind(items, "Deployment"), "web-1", status))
    cluster.add(releases.pod_of(releases.of_kind(items, "Job"), "p", failed))

    entry = listed(run)[releases.TINY_KEY]

    assert (entry["state"], entry["failure"]["cause"]) == ("fetching", "c")
    assert "fetching (again after origin-unavailable)" in run("cache", "list").stdout
    assert "    c\n    a\n" in run("cache", "status").stdout


def test_releases_that_share_a_claim_share_the_row_of_an_entry(cluster: FakeKubernetes, run: Run) -> None:
    for name in ("a", "b"):
        cluster.add(*releases.serving(name, mode="shared", create=name == "a"))

    entries = listed(run)

    assert list(entries) == [releases.TINY_KEY]
    assert entries[releases.TINY_KEY]["releases"] == ["a", "b"]
    assert entries[releases.TINY_KEY]["claim"] == "llmkube-model-cache"


def test_a_pod_of_somebody_else_on_the_claim_counts_as_user(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving(), releases.stranger("notebook", "web-model-cache"))

    assert listed(run)[releases.TINY_KEY]["users"] == ["notebook"]


def test_pods_that_have_ended_use_nothing(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.serving()
    over = releases.job_pod(releases.ended(0, releases.fetched()), "Succeeded")
    cluster.add(*items, releases.pod_of(releases.of_kind(items, "Job"), "p", over))

    assert listed(run)[releases.TINY_KEY]["users"] == []


def test_an_ephemeral_release_is_listed_without_a_claim(cluster: FakeKubernetes, run: Run) -> None:
    items = releases.serving(mode="ephemeral")
    cluster.add(*items, releases.pod_of(releases.of_kind(items, "Deployment"), "web-1", releases.served()))

    entry = listed(run)[releases.TINY_KEY]

    assert (entry["claim"], entry["users"]) == (None, ["web-1"])


def test_all_namespaces_shows_the_namespace_and_asks_for_all(cluster: FakeKubernetes, run: Run) -> None:
    for item in releases.serving():
        cluster.add(item | {"metadata": item["metadata"] | {"namespace": "team-a"}})

    here, everywhere = run("cache", "list"), run("cache", "list", "-A")

    assert "No entries found in namespace default" in here.stderr
    assert everywhere.stdout.splitlines()[1].startswith("team-a")
    assert "/api/v1/persistentvolumeclaims" in [asked.path for asked in cluster.asked]


def test_names_and_empty_lists_suit_programs(cluster: FakeKubernetes, run: Run) -> None:
    empty = run("cache", "list", "-o", "json")
    cluster.add(*releases.serving())

    assert json.loads(empty.stdout) == {"schema": 1, "entries": [], "caches": []}
    assert run("cache", "list", "-o", "name").stdout == f"{releases.TINY_KEY}\n"
    assert f"key: {releases.TINY_KEY}" in run("cache", "list", "-o", "yaml").stdout


def test_quiet_leaves_only_the_result(cluster: FakeKubernetes, run: Run) -> None:
    assert run("cache", "list", "-q").output == ""


def test_a_long_list_is_read_page_by_page(cluster: FakeKubernetes, run: Run) -> None:
    cluster.pages = 2
    for name in ("a", "b", "c", "d", "e"):
        cluster.add(*releases.serving(name))

    result = run("cache", "list", "-o", "json")

    claims = [entry["claim"] for entry in json.loads(result.stdout)["entries"]]
    assert claims == [f"{name}-model-cache" for name in "abcde"]


def test_a_list_whose_pages_expire_is_read_in_one(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())
    cluster.refuse("list", "pods", 410, "the continue parameter is too old", times=1)

    assert releases.TINY_KEY in listed(run)
    pages, whole = (asked.query for asked in cluster.asked if asked.path.endswith("/pods"))
    assert "limit" in pages
    assert "limit" not in whole


class TestScan:
    def test_true_sizes_orphans_and_free_space_come_from_the_volume(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving())
        cluster.plays = lambda _: releases.volume(
            releases.on_volume(releases.TINY_KEY), releases.on_volume(OTHER_KEY, source="hf://old/one")
        )

        result = run("cache", "list", "--scan")
        entries = listed(run, "--scan")

        assert "web-model-cache: 512Mi free of 1.0Gi" in result.stderr
        assert entries[releases.TINY_KEY]["bytes"] == 5000
        assert entries[releases.TINY_KEY]["scanned"]
        assert not entries[releases.TINY_KEY]["orphan"]
        assert entries[OTHER_KEY]["orphan"]
        assert "complete (orphan)" in result.stdout

    def test_orphans_shows_only_what_no_release_uses(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving())
        cluster.plays = lambda _: releases.volume(releases.on_volume(releases.TINY_KEY), releases.on_volume(OTHER_KEY))

        assert list(listed(run, "--scan", "--orphans")) == [OTHER_KEY]

    def test_orphans_without_scan_says_that_it_needs_one(self, run: Run) -> None:
        result = run("cache", "list", "--orphans")

        assert result.exit_code == 2
        assert "--orphans needs --scan" in result.stderr

    def test_what_a_release_wants_and_the_volume_lacks_is_absent(self, cluster: FakeKubernetes, run: Run) -> None:
        items = releases.serving()
        cluster.add(*items, releases.pod_of(releases.of_kind(items, "Deployment"), "web-1", releases.served()))
        cluster.plays = lambda _: releases.volume()

        entry = listed(run, "--scan")[releases.TINY_KEY]

        assert (entry["state"], entry["bytes"]) == ("absent", None)

    def test_a_scan_counts_for_more_than_a_report_from_a_node_with_a_fast_clock(
        self, cluster: FakeKubernetes, run: Run
    ) -> None:
        items = releases.serving()
        tomorrow = releases.served(at="2999-01-01T00:00:00Z")
        cluster.add(*items, releases.pod_of(releases.of_kind(items, "Deployment"), "web-1", tomorrow))
        cluster.plays = lambda _: releases.volume(releases.on_volume(releases.TINY_KEY))

        assert listed(run, "--scan")[releases.TINY_KEY]["bytes"] == 5000

    def test_a_failed_fetch_says_more_than_that_the_entry_is_absent(self, cluster: FakeKubernetes, run: Run) -> None:
        items = releases.serving()
        status = releases.job_pod(releases.ended(11, releases.failed(11, "auth", "c", "a")), "Failed")
        cluster.add(*items, releases.pod_of(releases.of_kind(items, "Job"), "p", status))
        cluster.plays = lambda _: releases.volume()

        assert listed(run, "--scan")[releases.TINY_KEY]["state"] == "failed"

    def test_unfinished_attempts_count_to_the_bytes_of_their_entry(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving())
        attempt = releases.on_volume(
            releases.TINY_KEY, "partial", entry=f"/models/.llmkube/staging/{releases.TINY_KEY}", bytes=7
        )
        cluster.plays = lambda _: releases.volume(attempt, releases.on_volume(releases.TINY_KEY))

        entry = listed(run, "--scan")[releases.TINY_KEY]

        assert (entry["state"], entry["bytes"]) == ("complete", 5007)

    def test_a_damaged_entry_tells_what_is_wrong(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving())
        cluster.plays = lambda _: releases.volume(
            releases.on_volume(releases.TINY_KEY, "damaged", problem="model.gguf is missing")
        )

        entry = listed(run, "--scan")[releases.TINY_KEY]

        assert (entry["state"], entry["problem"]) == ("damaged", "model.gguf is missing")
        assert "model.gguf is missing" in run("cache", "list", "--scan", "-o", "wide").stdout

    def test_a_foreign_directory_is_shown_by_its_name(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving())
        cluster.plays = lambda _: releases.volume(
            releases.on_volume(None, "foreign", entry="/models/notes", source=None)
        )

        assert "  notes  " in run("cache", "list", "--scan").stdout

    def test_all_volumes_are_read_at_the_same_time_and_no_job_is_left(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving("a"), *releases.serving("b"))
        cluster.plays = lambda _: releases.volume()

        run("cache", "list", "--scan")

        jobs = [asked.method for asked in cluster.asked if "/jobs" in asked.path and asked.method != "GET"]
        assert jobs == ["POST", "POST", "DELETE", "DELETE"]
        assert len(cluster.all("jobs")) == 2  # the preload Jobs of the releases

    def test_a_claim_that_no_release_maintains_is_named_and_left_out(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*(item for item in releases.serving() if item["kind"] != "CronJob"))

        result = run("cache", "list", "--scan")

        assert result.exit_code == 0
        assert "claim web-model-cache in namespace default is left out: no release maintains it" in result.stderr
