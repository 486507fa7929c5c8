"""Several downloads at once, downloads that are under way, and what a terminal shows of them."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING

import pytest
import releases
from fake_kubernetes import HELD, Script
from test_cache_preload import OTHER, RUNNING, fails, succeeds

from llmkube_plugin import contract
from terminal import Terminal, plugin

if TYPE_CHECKING:
    from pathlib import Path

    from fake_kubernetes import FakeKubernetes, Object

    from conftest import Open, Run

THIRD = "hf://org/third/third.gguf"
HALF = "512.0 MiB of 1.0 GiB (50%), 64.0 MiB/s, 8s left\n"
LIMITED = "512.0 MiB of 1.0 GiB (50%); hub answered 429; trying again in 1m00s, at 10:15:30 UTC (1 of 5)\n"


def stays(*log: str) -> Script:
    """Return the script of a Job whose fetch writes a log and is then at work for as long as the test wants."""
    done = releases.job_pod(releases.ended(0, releases.fetched()), "Succeeded")
    return Script([RUNNING, done], [*log, HELD])


def source_of(job: Object) -> str:
    return str(job["metadata"]["annotations"]["llmkube.dev/source"])


@pytest.fixture
def web(cluster: FakeKubernetes) -> FakeKubernetes:
    cluster.add(*releases.serving())
    return cluster


class TestSeveral:
    def test_are_downloaded_side_by_side(self, web: FakeKubernetes, run: Run) -> None:
        # The first one ends only when the last one has been made and is followed.
        web.plays = lambda job: stays() if source_of(job) == releases.TINY else succeeds(releases.fetched(size=77))
        followed = web.written

        def and_go_on(pod: str, container: str, *, follow: bool) -> object:
            if len(web.created("jobs")) == 3 and "web-model-cache" in pod:
                web.go_on()
            return followed(pod, container, follow=follow)

        web.written = and_go_on  # type: ignore[assignment,method-assign]

        result = run("cache", "preload", "web", OTHER, THIRD)

        assert result.exit_code == 0, result.output
        assert [line.partition(": ")[0] for line in result.stdout.splitlines()] == [releases.TINY, OTHER, THIRD]

    def test_a_wrong_one_among_them_is_found_before_anything_is_made(self, web: FakeKubernetes, run: Run) -> None:
        assert run("cache", "preload", "web", "wbe").exit_code == 1
        assert web.created("jobs") == []

    def test_one_that_fails_does_not_stop_the_others(self, web: FakeKubernetes, run: Run) -> None:
        web.plays = lambda job: fails(12, "not-found") if source_of(job) == OTHER else succeeds()

        result = run("cache", "preload", OTHER, THIRD)

        assert result.exit_code == 12
        assert result.stdout.startswith(f"{THIRD}: fetched")
        assert f"downloading {OTHER} into web-model-cache failed (not-found): the cause" in result.stderr

    def test_one_that_can_not_be_made_does_not_stop_the_others(self, web: FakeKubernetes, run: Run) -> None:
        web.plays = lambda _: succeeds()
        web.refuse("create", "jobs", 422, "exceeded quota", times=1)

        result = run("cache", "preload", OTHER, THIRD)

        assert result.exit_code == 1
        assert "exceeded quota" in result.stderr
        assert result.stdout.startswith(f"{THIRD}: fetched")

    def test_the_same_one_twice_is_one(self, web: FakeKubernetes, run: Run) -> None:
        web.plays = lambda _: succeeds()

        run("cache", "preload", OTHER, OTHER)

        assert len(web.created("jobs")) == 1

    def test_share_no_selection(self, web: FakeKubernetes, run: Run) -> None:
        result = run("cache", "preload", OTHER, THIRD, "--revision", "main")

        assert result.exit_code == 2
        assert "are for a single SOURCE" in result.stderr
        assert web.created("jobs") == []

    def test_a_release_and_a_source_may_be_mixed_with_the_claim_of_the_source(
        self, web: FakeKubernetes, run: Run
    ) -> None:
        web.add(*releases.serving("b"))
        web.plays = lambda _: succeeds()

        assert run("cache", "preload", "web", OTHER, "--cache", "b-model-cache").exit_code == 0
        claims = [job["metadata"]["annotations"]["llmkube.dev/claim"] for job in web.created("jobs")]
        assert claims == ["web-model-cache", "b-model-cache"]

    def test_off_a_terminal_each_line_names_its_download(self, web: FakeKubernetes, run: Run) -> None:
        web.plays = lambda job: succeeds(log=HALF if source_of(job) == OTHER else LIMITED)

        shown = run("cache", "preload", OTHER, THIRD).stderr

        assert "\nother@abc123: 50% (512Mi of 1.0Gi), 64.0Mi/s, 8s left\n" in shown
        assert "\nthird.gguf: 50% (512Mi of 1.0Gi); rate limited until 10:15:30 UTC\n" in shown

    def test_off_a_terminal_progress_is_told_now_and_then(self, web: FakeKubernetes, run: Run) -> None:
        lines = [f"{number}.0 MiB of 100.0 MiB ({number}%), 1.0 MiB/s, 1s left\n" for number in range(101)]
        web.plays = lambda _: succeeds(log="".join(lines))

        shown = run("cache", "preload", OTHER).stderr

        assert re.findall(r"abc123: (\d+)%", shown) == [str(number) for number in range(0, 101, 10)]

    def test_quiet_shows_only_the_result(self, web: FakeKubernetes, run: Run) -> None:
        web.plays = lambda _: succeeds(log=HALF)

        assert run("cache", "preload", OTHER, "-q").stderr == ""


class TestACatalogId:
    def test_is_its_source(self, web: FakeKubernetes, run: Run) -> None:
        web.plays = lambda _: succeeds()

        assert run("cache", "preload", "llama-3.1-8b").exit_code == 0
        [job] = web.created("jobs")
        assert source_of(job).startswith("hf://bartowski/Meta-Llama-3.1-8B-Instruct-GGUF/")

    def test_a_release_of_the_same_name_goes_first(self, web: FakeKubernetes, run: Run) -> None:
        web.add(*releases.serving("phi-4-mini"))
        web.plays = lambda _: succeeds()

        run("cache", "preload", "phi-4-mini")

        assert source_of(web.created("jobs")[0]) == releases.TINY

    def test_the_nearest_are_named_when_it_is_mistyped(self, web: FakeKubernetes, run: Run) -> None:
        assert "Did you mean llama-3.1-8b, " in run("cache", "preload", "lama-3.1-8b").stderr
        assert "Did you mean web?" in run("cache", "preload", "webb").stderr

    def test_without_any_cache_it_says_how_to_make_one(self, run: Run) -> None:
        result = run("cache", "preload", "llama-3.1-8b")

        assert "namespace default has no cache to download into" in result.stderr
        assert "helm llmkube cache create" in result.stderr


class TestUnderWay:
    def test_a_job_that_does_the_same_is_followed(self, web: FakeKubernetes, run: Run) -> None:
        web.plays = lambda _: Script([RUNNING, releases.job_pod(releases.ended(0, releases.fetched()), "Succeeded")])
        begun = run("cache", "preload", OTHER, "--no-wait", "-o", "name").stdout

        second = run("cache", "preload", OTHER, "-o", "json")

        [job] = json.loads(second.stdout)["jobs"]
        assert (job["job"], job["followed"], job["report"]["result"]) == (begun.strip(), True, "fetched")
        assert f"Job {begun.strip()} in namespace default already downloads {OTHER}" in second.stderr
        assert len(web.created("jobs")) == 1

    def test_so_is_the_job_of_the_release_itself(self, cluster: FakeKubernetes, run: Run) -> None:
        items = releases.serving()
        releases.of_kind(items, "Job")["status"] = {"startTime": "2026-01-02T03:04:05Z", "active": 1}
        cluster.add(*items)

        result = run("cache", "preload", "web", "--no-wait", "-o", "json")

        assert [job["followed"] for job in json.loads(result.stdout)["jobs"]] == [True]
        assert cluster.created("jobs") == []

    def test_of_its_log_only_the_end_is_asked_for(self, web: FakeKubernetes, run: Run) -> None:
        web.plays = lambda _: Script([RUNNING, *succeeds().states], HALF)
        run("cache", "preload", OTHER)
        own = web.asked[:]
        run("cache", "preload", THIRD, "--no-wait")

        run("cache", "preload", THIRD)

        logs = [asked for asked in web.asked if asked.path.endswith("/log")]
        first = next(asked for asked in logs if asked not in own)
        assert "tailLines" not in logs[0].query
        assert int(first.query["tailLines"]) > 1

    def test_a_job_that_is_no_download_of_ours_is_not_followed(self, cluster: FakeKubernetes, run: Run) -> None:
        items = releases.serving()
        job = releases.of_kind(items, "Job")
        job["status"] = {"startTime": "2026-01-02T03:04:05Z", "active": 1}
        job["metadata"]["labels"][contract.LABEL_COMPONENT] = contract.COMPONENT_MAINTENANCE
        cluster.add(*items)

        run("cache", "preload", "web", "--no-wait")

        assert len(cluster.created("jobs")) == 1

    def test_one_that_is_suspended_is_not(self, cluster: FakeKubernetes, run: Run) -> None:
        items = releases.serving()
        releases.of_kind(items, "Job")["status"] = {"conditions": [{"type": "Suspended", "status": "True"}]}
        cluster.add(*items)

        run("cache", "preload", "web", "--no-wait")

        assert len(cluster.created("jobs")) == 1

    @pytest.mark.parametrize("other", [["--revision", "main"], ["--cache", "b-model-cache"]])
    def test_another_selection_or_claim_is_not_the_same(self, web: FakeKubernetes, run: Run, other: list[str]) -> None:
        web.add(*releases.serving("b"))
        run("cache", "preload", OTHER, "--no-wait", "--cache", "web-model-cache")
        claim = [] if "--cache" in other else ["--cache", "web-model-cache"]

        run("cache", "preload", OTHER, "--no-wait", *other, *claim)

        assert len(web.created("jobs")) == 2

    @pytest.mark.parametrize("end", ["Complete", "Failed", "FailureTarget"])
    def test_a_job_that_has_ended_is_not_followed(self, web: FakeKubernetes, run: Run, end: str) -> None:
        web.plays = lambda _: Script([RUNNING], job_status={"conditions": [{"type": end, "status": "True"}]})

        run("cache", "preload", OTHER, "--no-wait")
        run("cache", "preload", OTHER, "--no-wait")

        assert len(web.created("jobs")) == 2

    def test_nor_one_whose_pod_is_done_before_the_job_is_told_complete(self, web: FakeKubernetes, run: Run) -> None:
        web.plays = lambda _: Script([releases.job_pod(releases.ended(0, releases.fetched()), "Succeeded")])

        run("cache", "preload", OTHER)
        run("cache", "preload", OTHER, "--no-wait")

        assert len(web.created("jobs")) == 2

    def test_a_job_that_is_being_deleted_is_not_followed(self, web: FakeKubernetes, run: Run) -> None:
        run("cache", "preload", OTHER, "--no-wait")
        web.all("jobs")[-1]["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"

        run("cache", "preload", OTHER, "--no-wait")

        assert len(web.created("jobs")) == 2


class TestInATerminal:
    def test_each_download_has_a_bar(self, web: FakeKubernetes, terminal: Open) -> None:
        web.plays = lambda job: stays(HALF if source_of(job) == OTHER else LIMITED)

        window = terminal("cache", "preload", OTHER, THIRD)
        window.until("8s left")
        window.until("rate limited until 10:15:30 UTC")
        bars = [line for line in window.lines if "50%" in line]
        web.go_on()
        web.go_on()
        assert window.end() == 0

        assert re.fullmatch(r"other@abc123  \[#{10,}\.{10,}]   50%  512Mi of 1.0Gi  64.0Mi/s  8s left", bars[0])
        assert bars[1] == "third.gguf     50%  rate limited until 10:15:30 UTC"
        left = window.lines.index("other@abc123  done")
        assert window.lines[left + 1] == "third.gguf    done"
        assert window.lines[left + 2].startswith(f"{OTHER}: fetched")

    def test_in_a_narrow_one_no_line_wraps(self, web: FakeKubernetes, terminal: Open) -> None:
        long = "hf://org/repo/a-name-that-is-much-too-long-for-this.gguf"
        web.plays = lambda job: stays(HALF if source_of(job) == long else LIMITED)

        window = terminal("cache", "preload", long, THIRD, "-o", "name", columns=40)
        window.until("8s left")
        window.until("rate limited")
        bars = [line for line in window.lines if "50%" in line]
        web.go_on()
        web.go_on()
        assert window.end() == 0

        assert bars == ["a-name-that..   50%  64.0Mi/s  8s left", "third.gguf      50%  rate limited unt.."]

    def test_without_colours_nothing_is_coloured(
        self, web: FakeKubernetes, terminal: Open, environment: dict[str, str]
    ) -> None:
        environment["NO_COLOR"] = "1"
        web.plays = lambda _: stays(HALF)

        window = terminal("cache", "preload", OTHER)
        window.until("8s left")
        web.go_on()
        assert window.end() == 0

        assert not re.search(r"\x1b\[[0-9;]*m", window.raw)

    def test_one_that_can_only_write_gets_lines(self, web: FakeKubernetes, environment: dict[str, str]) -> None:
        web.plays = lambda _: succeeds(log=HALF)

        with Terminal(["env", "TERM=dumb", *plugin("cache", "preload", OTHER)], environment) as window:
            assert window.end() == 0

        assert "\x1b" not in window.raw
        assert "other@abc123: 50% (512Mi of 1.0Gi)" in window.shown

    def test_why_a_pod_does_not_start_is_told(self, web: FakeKubernetes, terminal: Open) -> None:
        pending = {
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "message": "no node"}],
        }
        web.plays = lambda _: Script([pending, HELD, *succeeds().states])

        window = terminal("cache", "preload", OTHER)
        window.until("other@abc123  waiting: it can not be scheduled: no node")
        web.go_on()
        assert window.end() == 0

    def test_ctrl_c_leaves_the_download_and_says_how_to_go_on(self, web: FakeKubernetes, terminal: Open) -> None:
        web.plays = lambda _: stays(HALF)

        window = terminal("cache", "preload", OTHER, "--context", "test")
        window.until("8s left")
        window.interrupt()
        assert window.end() == 130

        job = web.all("jobs")[-1]["metadata"]["name"]
        assert "The download goes on in the cluster without this command" in window.shown
        assert "run the same command again" in window.shown
        assert "helm llmkube cache status web-model-cache -n default --kube-context test" in window.shown
        assert f"kubectl delete job {job} -n default --context test" in window.shown
        assert len(web.created("jobs")) == 1

    def test_ctrl_c_while_a_job_is_made_does_not_lose_it(self, web: FakeKubernetes, terminal: Open) -> None:
        create, echoed = web.create, threading.Event()

        def slowly(item: Object) -> Object:
            window.interrupt()
            echoed.wait(60)
            return create(item)

        web.create = slowly  # type: ignore[method-assign]
        window = terminal("cache", "preload", OTHER, THIRD)
        window.until("^C")  # by then the signal has been sent
        echoed.set()
        assert window.end() == 130

        [job] = web.created("jobs")
        assert source_of(job) == OTHER
        assert f"kubectl delete job {web.all('jobs')[-1]['metadata']['name']} -n default" in window.shown

    def test_more_downloads_than_lines_are_counted(self, web: FakeKubernetes, terminal: Open) -> None:
        sources = [f"hf://org/repo/{number}.gguf" for number in range(30)]
        web.plays = lambda _: stays(HALF)

        window = terminal("cache", "preload", *sources, "-o", "name")
        window.until("... and 9 more")
        for _ in sources:
            web.go_on()
        assert window.end() == 0


def test_the_result_goes_to_standard_output_alone(web: FakeKubernetes, terminal: Open, tmp_path: Path) -> None:
    web.plays = lambda _: succeeds(log=HALF)
    out = tmp_path / "out"

    window = terminal("cache", "preload", OTHER, output=out)
    assert window.end() == 0

    assert out.read_text() == f"{OTHER}: fetched 4.0Ki in 2s, 4.0Ki in all\n"
    assert "other@abc123  done" in window.shown
