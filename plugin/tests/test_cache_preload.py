from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import releases
from fake_kubernetes import Script

if TYPE_CHECKING:
    from fake_kubernetes import FakeKubernetes

    from conftest import Run

RUNNING = releases.job_pod({"running": {}}, "Running")
OTHER = "hf://org/other@abc123"


def succeeds(report: dict[str, Any] | None = None, log: str = "50%\n/models/key\n") -> Script:
    """Return the script of a Job whose fetch goes well."""
    done = releases.job_pod(releases.ended(0, report or releases.fetched()), "Succeeded")
    return Script([RUNNING, done], log, job_status={"conditions": [{"type": "Complete", "status": "True"}]})


def fails(code: int, name: str) -> Script:
    """Return the script of a Job that gives up after one failure."""
    status = releases.job_pod(releases.ended(code, releases.failed(code, name, "the cause", "Do this.")), "Failed")
    return Script([status], job_status={"conditions": [{"type": "FailureTarget", "status": "True"}]})


class TestOfARelease:
    def test_its_preload_job_is_run_again(self, cluster: FakeKubernetes, run: Run) -> None:
        items = releases.serving()
        cluster.add(*items)
        cluster.plays = lambda _: succeeds()

        result = run("cache", "preload", "web")

        assert result.exit_code == 0, result.output
        assert result.stdout == f"{releases.TINY}: fetched 4.0Ki in 2s, 4.0Ki in all\n"
        assert "50%\n" in result.stderr
        [job] = cluster.created("jobs")
        original = releases.of_kind(items, "Job")["spec"]
        assert job["spec"]["template"]["spec"] == original["template"]["spec"]
        assert job["spec"]["podFailurePolicy"] == original["podFailurePolicy"]
        assert job["spec"]["backoffLimit"] == original["backoffLimit"]

    def test_the_job_is_found_again_by_list_and_its_pod_by_no_service(self, cluster: FakeKubernetes, run: Run) -> None:
        items = releases.serving()
        cluster.add(*items)
        cluster.plays = lambda _: succeeds()

        run("cache", "preload", "web")

        [job] = cluster.created("jobs")
        for metadata in (job["metadata"], job["spec"]["template"]["metadata"]):
            assert metadata["labels"]["llmkube.dev/release"] == "web"
            assert metadata["labels"]["llmkube.dev/key"] == releases.TINY_KEY
            assert metadata["labels"]["app.kubernetes.io/component"] == "preload"
            assert metadata["annotations"]["llmkube.dev/source"] == releases.TINY
            assert metadata["annotations"]["llmkube.dev/made-by"] == "helm-llmkube"

    def test_labels_of_the_job_controller_are_not_taken_over(self, cluster: FakeKubernetes, run: Run) -> None:
        items = releases.serving()
        labels = releases.of_kind(items, "Job")["spec"]["template"]["metadata"]["labels"]
        labels |= {"batch.kubernetes.io/controller-uid": "1", "job-name": "x", "controller-uid": "1"}
        labels |= {"batch.kubernetes.io/job-name": "x"}
        cluster.add(*items)
        cluster.plays = lambda _: succeeds()

        run("cache", "preload", "web")

        kept = cluster.created("jobs")[0]["spec"]["template"]["metadata"]["labels"]
        assert not [name for name in kept if "job-name" in name or "controller-uid" in name]

    def test_all_models_of_a_cache_only_release_are_downloaded(self, cluster: FakeKubernetes, run: Run) -> None:
        models = {"a": {"source": "hf://org/a/a.gguf"}, "b": {"source": "hf://org/b/b.gguf"}}
        cluster.add(*releases.release("store", modelCache={"size": "1Gi"}, preload={"models": models}))
        cluster.plays = lambda _: succeeds()

        result = run("cache", "preload", "store", "-o", "json")

        sources = {job["source"] for job in json.loads(result.stdout)["jobs"]}
        assert sources == {"hf://org/a/a.gguf", "hf://org/b/b.gguf"}

    def test_jobs_that_the_plugin_made_before_are_no_pattern(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving())
        cluster.plays = lambda _: succeeds()

        run("cache", "preload", "web")
        run("cache", "preload", "web")

        assert len(cluster.created("jobs")) == 2

    def test_jobs_of_a_schedule_are_no_pattern_because_they_may_be_of_an_older_source(
        self, cluster: FakeKubernetes, run: Run
    ) -> None:
        items = releases.release(
            "store", modelCache={"size": "1Gi"}, preload={"models": {"a": {"source": "hf://org/a"}}}
        )
        [old] = [
            item
            for item in releases.release(
                "store", modelCache={"size": "1Gi"}, preload={"models": {"a": {"source": "hf://org/old"}}}
            )
            if item["kind"] == "Job"
        ]
        old["metadata"]["ownerReferences"] = [{"kind": "CronJob", "name": "store-refresh-a", "controller": True}]
        cluster.add(*items, old)
        cluster.plays = lambda _: succeeds()

        result = run("cache", "preload", "store", "-o", "json")

        assert [job["source"] for job in json.loads(result.stdout)["jobs"]] == ["hf://org/a"]

    def test_without_a_preload_job_the_servers_fetch_is_taken(self, cluster: FakeKubernetes, run: Run) -> None:
        secret = {"source": releases.TINY, "existingSecret": "token", "sha256": "0" * 64}
        gpu = {"limits": {"nvidia.com/gpu": 1}}
        items = releases.release(
            "web",
            model=secret,
            modelCache={"size": "1Gi"},
            preload={"enabled": False},
            server={"resources": gpu, "nodeSelector": {"pool": "gpu"}},
        )
        cluster.add(*items)
        cluster.plays = lambda _: succeeds()

        assert run("cache", "preload", "web").exit_code == 0

        [job] = cluster.created("jobs")
        original = releases.of_kind(items, "Deployment")["spec"]["template"]["spec"]
        spec = job["spec"]["template"]["spec"]
        [fetch] = original["initContainers"]
        # Its pod will have ended without having used the entry, and nobody follows a link in it.
        of_a_server = {"LLMKUBE_POD_UID", "LLMKUBE_LINK"}
        assert of_a_server < {each["name"] for each in fetch["env"]}
        fetch["env"] = [each for each in fetch["env"] if each["name"] not in of_a_server]
        fetch["volumeMounts"] = [each for each in fetch["volumeMounts"] if each["name"] != "entries"]
        assert spec["containers"] == [fetch]
        assert "initContainers" not in spec
        assert spec["restartPolicy"] == "Never"
        assert spec["nodeSelector"] == {"pool": "gpu"}
        assert [volume["name"] for volume in spec["volumes"]] == ["model-cache", "tmp", "credentials"]
        # It may run where the GPUs are, and takes none of them.
        assert "nvidia.com/gpu" not in json.dumps(spec["containers"])
        # The user gave the hash: other bytes will not become right by trying again.
        codes = job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"]
        assert codes == [10, 11, 12, 13, 14, 18, 19, 21]
        selector = releases.of_kind(items, "Deployment")["spec"]["selector"]["matchLabels"]
        assert not selector.items() <= job["spec"]["template"]["metadata"]["labels"].items()

    def test_a_release_without_a_claim_has_nothing_to_download_into(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving(mode="ephemeral"))

        result = run("cache", "preload", "web")

        assert result.exit_code == 1
        assert "release 'web' keeps its weights in a directory of each pod" in result.stderr

    def test_an_unknown_release_is_named(self, run: Run) -> None:
        result = run("cache", "preload", "wbe")

        assert result.exit_code == 1
        assert "'wbe' is no release in namespace default and no model of the catalog" in result.stderr

    def test_its_selection_is_in_its_values(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving())

        result = run("cache", "preload", "web", "--file", "x.gguf")

        assert result.exit_code == 2
        assert "are for a single SOURCE" in result.stderr


class TestOfASource:
    def test_the_maintenance_cronjobs_pod_fetches_it(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving())
        cluster.plays = lambda _: succeeds()
        selection = ["--revision", "abc", "--include", "*.json", "--exclude", "x*", "--file", "f", "--sha256", "0" * 64]

        result = run("cache", "preload", "hf://org/other", *selection)

        assert result.exit_code == 0, result.output
        [job] = cluster.created("jobs")
        [container] = job["spec"]["template"]["spec"]["containers"]
        chosen = ["--revision=abc", "--include=*.json", "--exclude=x*", "--file=f", f"--sha256={'0' * 64}"]
        assert container["args"] == ["fetch", "hf://org/other", *chosen]
        assert container["name"] == "fetch"
        assert job["metadata"]["annotations"]["llmkube.dev/source"] == "hf://org/other"
        assert job["metadata"]["annotations"]["llmkube.dev/revision"] == "abc"
        assert job["spec"]["podFailurePolicy"]["rules"][0]["onExitCodes"]["containerName"] == "fetch"

    def test_list_shows_it_under_the_key_that_its_report_names(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving())
        cluster.plays = lambda _: succeeds(releases.fetched("00112233445566aa", OTHER, 77))

        run("cache", "preload", OTHER)

        entries = {entry["key"]: entry for entry in json.loads(run("cache", "list", "-o", "json").stdout)["entries"]}
        assert entries["00112233445566aa"]["source"] == OTHER
        assert entries["00112233445566aa"]["bytes"] == 77
        assert entries["00112233445566aa"]["releases"] == []  # the one whose volume it is on does not know it

    def test_list_shows_it_while_its_key_is_unknown(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving())
        cluster.plays = lambda _: Script([RUNNING])

        run("cache", "preload", OTHER, "--no-wait")

        line = next(line for line in run("cache", "list").stdout.splitlines() if OTHER in line)
        assert line.split() == ["-", OTHER, "-", "web-model-cache", "-", "fetching", "(orphan)", "1", "now"]

    def test_a_failure_is_told_with_its_source(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving())
        cluster.plays = lambda _: fails(12, "not-found")

        run("cache", "preload", OTHER)

        assert f"\n{OTHER}: the cause\nDo this.\n" in run("cache", "list").stderr

    def test_dollars_reach_the_downloader_as_they_are(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving())
        cluster.plays = lambda _: succeeds()

        run("cache", "preload", "https://host/$(HF_TOKEN).gguf")

        # Kubernetes makes $$ a plain dollar, and would put a variable's value in place of $(NAME).
        args = cluster.created("jobs")[0]["spec"]["template"]["spec"]["containers"][0]["args"]
        assert args[1] == "https://host/$$(HF_TOKEN).gguf"

    def test_with_several_caches_one_has_to_be_chosen(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving("a"), *releases.serving("b"))
        cluster.plays = lambda _: succeeds()

        unclear = run("cache", "preload", OTHER)
        chosen = run("cache", "preload", OTHER, "--cache", "b-model-cache")
        wrong = run("cache", "preload", OTHER, "--cache", "c")

        assert "Choose one with --cache: a-model-cache, b-model-cache." in unclear.stderr
        assert chosen.exit_code == 0
        assert cluster.created("jobs")[0]["metadata"]["annotations"]["llmkube.dev/claim"] == "b-model-cache"
        assert "has the claim 'c'" in wrong.stderr

    def test_a_cache_that_no_release_maintains_is_refused(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*(item for item in releases.serving() if item["kind"] != "CronJob"))

        result = run("cache", "preload", OTHER, "--cache", "web-model-cache")

        assert result.exit_code == 1
        assert "claim web-model-cache in namespace default has no maintenance CronJob" in result.stderr

    def test_credentials_in_a_source_are_not_published(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving())

        result = run("cache", "preload", "https://me:canary@host/x.gguf")

        assert result.exit_code == 1
        assert "canary" not in result.output
        assert cluster.created("jobs") == []

    @pytest.mark.parametrize("scheme", ["http", "s3"])
    def test_so_they_are_in_a_source_of_any_scheme(self, cluster: FakeKubernetes, run: Run, scheme: str) -> None:
        cluster.add(*releases.serving())

        assert "canary" not in run("cache", "preload", f"{scheme}://me:canary@host/x.gguf").output
        assert cluster.created("jobs") == []

    def test_a_signature_is_left_out_of_what_is_shown(self, cluster: FakeKubernetes, run: Run) -> None:
        cluster.add(*releases.serving())
        cluster.plays = lambda _: succeeds()

        result = run("cache", "preload", "https://host/x.gguf?X-Amz-Signature=canary&X-Amz-Date=1")

        assert "canary" not in result.output
        assert cluster.created("jobs")[0]["metadata"]["annotations"]["llmkube.dev/source"] == "https://host/x.gguf"


@pytest.fixture
def web(cluster: FakeKubernetes) -> FakeKubernetes:
    cluster.add(*releases.serving())
    return cluster


def test_a_hit_says_that_nothing_was_downloaded(web: FakeKubernetes, run: Run) -> None:
    web.plays = lambda _: succeeds(releases.fetched(result="hit", bytesFetched=0, bytesReused=4096))

    assert run("cache", "preload", "web").stdout == f"{releases.TINY}: complete already (4.0Ki), nothing downloaded\n"


def test_the_exit_code_of_a_failed_download_is_passed_on(web: FakeKubernetes, run: Run) -> None:
    web.plays = lambda _: fails(12, "not-found")

    result = run("cache", "preload", "web")

    assert result.exit_code == 12
    assert f"downloading {releases.TINY} into web-model-cache failed (not-found): the cause\nDo this." in result.stderr
    assert len(web.all("jobs")) == 2  # the Job stays for its report


def test_a_failure_that_the_job_tries_again_is_waited_for(web: FakeKubernetes, run: Run) -> None:
    failed = releases.job_pod(releases.ended(16, releases.failed(16, "origin-unavailable", "c", "a")), "Failed")
    done = succeeds()
    web.plays = lambda _: Script([failed, None, *done.states], done.log)

    assert run("cache", "preload", "web").exit_code == 0


def test_no_wait_makes_the_job_and_names_it(web: FakeKubernetes, run: Run) -> None:
    result = run("cache", "preload", "web", "--no-wait", "-o", "name")

    assert result.stdout.strip() == web.all("jobs")[-1]["metadata"]["name"]
    assert not [asked for asked in web.asked if "watch" in asked.query]


def test_dry_run_makes_nothing_and_shows_the_job(web: FakeKubernetes, run: Run) -> None:
    told, shown = run("cache", "preload", "web", "--dry-run"), run("cache", "preload", "web", "--dry-run", "-o", "json")

    assert web.created("jobs") == []
    assert f"download {releases.TINY} into web-model-cache" in told.stdout
    assert json.loads(shown.stdout)["jobs"][0]["kind"] == "Job"


def test_without_the_right_to_read_logs_the_download_is_still_waited_for(web: FakeKubernetes, run: Run) -> None:
    web.plays = lambda _: succeeds()
    web.refuse("get", "log", 403, "no")

    assert run("cache", "preload", "web").exit_code == 0


def test_a_pod_that_can_not_start_leaves_the_job_for_later(web: FakeKubernetes, run: Run) -> None:
    waiting = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": "no node"}]}
    web.plays = lambda _: Script([waiting])

    result = run("cache", "preload", "web", "--timeout", "0s")

    assert result.exit_code == 1
    assert "it can not be scheduled: no node" in result.stderr
    assert len(web.all("jobs")) == 2


def test_cut_off_from_the_api_server_it_says_that_the_download_goes_on(web: FakeKubernetes, run: Run) -> None:
    web.plays = lambda _: succeeds()
    web.vanish("watch", "pods")

    result = run("cache", "preload", "web")

    assert result.exit_code == 1
    assert "The download goes on in the cluster without this command" in result.stderr
    assert "can not be reached" in result.stderr
