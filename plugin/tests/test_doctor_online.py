"""With --online the doctor asks origins from pods like those that would download."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import releases
from clinic import FINE, IMAGE, claim, cluster_object
from fake_kubernetes import Script

if TYPE_CHECKING:
    from clinic import Clinic

Object = dict[str, Any]

SOURCE = FINE["model"]["source"]


def finding(level: str, what: str, check: str = "origin", code: int = 0, action: str = "") -> Object:
    return {"level": level, "check": check, "what": what, "object": SOURCE, "action": action, "code": code}


def says(*findings: Object, code: int = 0) -> Script:
    """Return the script of a pod in which the downloader's doctor finds something."""
    script = releases.maintenance_says({"schema": 1, "root": "/models", "findings": list(findings)})
    return Script([releases.job_pod(releases.ended(code), "Failed" if code else "Succeeded")], script.log)


@pytest.fixture
def found(clinic: Clinic) -> Clinic:
    """A cluster from which the origin can be reached."""
    clinic.cluster.plays = lambda _: says(finding("ok", "can be had: 1 file, 4.0 GiB"))
    return clinic


def test_an_origin_that_can_be_reached_says_how_large_it_is(found: Clinic) -> None:
    said = found.about("--online")

    assert said.startswith(f"NOTE origin: Job web-preload\n  {SOURCE}: can be had: 1 file, 4.0 GiB\n")
    assert said.endswith(": 1 note\n")


def test_no_job_is_left_behind(found: Clinic) -> None:
    found.about("--online")

    assert len(found.cluster.created("jobs")) == 1
    assert found.cluster.all("jobs") == []


def test_the_pod_is_like_the_one_that_would_download(found: Clinic) -> None:
    values = {
        "model": {**FINE["model"], "existingSecret": "hf", "revision": "v1"},
        "imagePullSecrets": [{"name": "registry"}],
        "server__nodeSelector": {"kubernetes.io/hostname": "node-1"},
    }
    found.cluster.add(cluster_object("Secret", "hf"), cluster_object("Secret", "registry"))
    values["model"] = {"source": "hf://org/repo", "include": ["*.gguf"], "revision": "v1", "existingSecret": "hf"}
    values["runtime__name"], values["runtime__image"] = "custom", {"repository": "example.com/server", "tag": "1"}

    found.about("--online", **values)

    (job,) = found.cluster.created("jobs")
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["args"] == ["doctor", "hf://org/repo", "--revision=v1", "--include=*.gguf", "-o", "json"]
    assert container["image"].startswith(f"{IMAGE}:")
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert spec["nodeSelector"] == {"kubernetes.io/hostname": "node-1"}
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert {"name": "credentials", "secret": {"secretName": "hf", "defaultMode": 0o444}} in spec["volumes"]
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert labels["llmkube.dev/release"] == "web"
    assert "llmkube.dev/key" not in labels


def test_a_job_that_is_there_is_asked_in_place_of_without_its_marks(found: Clinic) -> None:
    items = releases.release("web", **FINE)
    marks = {
        f"{prefix}{name}": "web-1" for prefix in ("", "batch.kubernetes.io/") for name in ("job-name", "controller-uid")
    }
    releases.of_kind(items, "Job")["spec"]["template"]["metadata"]["labels"].update(marks)
    found.cluster.add(*items)

    found.run("doctor", "web", "--online")

    (job,) = found.cluster.created("jobs")
    assert job["metadata"]["generateName"] == "web-doctor-"
    assert not marks.keys() & job["spec"]["template"]["metadata"]["labels"].keys()


def test_a_claim_that_is_not_there_is_not_waited_for(found: Clinic) -> None:
    found.about("--online")

    (job,) = found.cluster.created("jobs")
    spec = job["spec"]["template"]["spec"]
    assert {"name": "model-cache", "emptyDir": {}} in spec["volumes"]
    assert "serviceAccountName" not in spec  # the release brings it


def test_a_claim_that_is_there_is_looked_at_too(clinic: Clinic) -> None:
    clinic.cluster.add(claim("mine"))
    full = finding("problem", "0 B free of 1.0 GiB", "space", 14, "Remove entries.")
    clinic.cluster.plays = lambda _: says(full, finding("ok", "can be had: 1 file, 4.0 GiB"), code=14)

    said = clinic.about("--online", modelCache__mode="existingClaim", modelCache__claimName="mine")

    assert said.startswith(
        "PROBLEM origin: Job web-preload\n"
        "  space: 0 B free of 1.0 GiB\n"
        "  The downloader ends with exit code 14 (no-space).\n"
        "  Remove entries.\n"
    )
    (job,) = clinic.cluster.created("jobs")
    mounted = job["spec"]["template"]["spec"]["volumes"]
    assert {"name": "model-cache", "persistentVolumeClaim": {"claimName": "mine"}} in mounted


def test_an_origin_that_refuses_is_a_problem(clinic: Clinic) -> None:
    gated = finding("problem", "it is gated", code=11, action="Ask for access.")
    clinic.cluster.plays = lambda _: says(gated, code=11)

    assert clinic.about("--online").startswith(
        "PROBLEM origin: Job web-preload\n"
        f"  {SOURCE}: it is gated\n"
        "  The downloader ends with exit code 11 (auth).\n"
        "  Ask for access.\n"
    )


def test_an_origin_with_mirrors_may_be_out_of_reach(clinic: Clinic) -> None:
    clinic.cluster.plays = lambda _: says(finding("problem", "it can not be reached", code=16), code=16)

    said = clinic.about("--online", model={**FINE["model"], "mirrors": ["https://mirror.example.com/tiny.gguf"]})

    assert said.startswith("WARNING origin: Job web-preload\n")


def test_a_pod_that_does_not_start_is_a_problem(clinic: Clinic) -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}
    clinic.cluster.plays = lambda _: Script([releases.job_pod(waiting, "Pending"), None])

    said = clinic.about("--online", "--timeout", "0s")

    assert f"  No pod to ask the origin of {SOURCE} from: the pod of Job web-doctor-" in said
    assert "did not start within 0s: container fetch: ImagePullBackOff: no such tag\n" in said
    assert "  A pod of the release would not start either.\n" in said
    assert clinic.cluster.all("jobs") == []


def test_a_pod_that_ends_without_an_answer_is_a_problem(clinic: Clinic) -> None:
    clinic.cluster.plays = lambda _: Script([releases.job_pod(releases.ended(137, reason="OOMKilled"), "Failed")])

    said = clinic.about("--online")

    assert f"  The pod that should ask the origin of {SOURCE} ended without an answer: OOMKilled\n" in said


def test_what_the_api_server_refuses_is_a_problem(clinic: Clinic) -> None:
    clinic.cluster.refuse("create", "jobs", 422, "no")

    assert f"  No pod to ask the origin of {SOURCE} from: the API server refused to create jobs" in clinic.about(
        "--online"
    )


@pytest.mark.parametrize(
    ("verb", "resource"), [("create", "jobs"), ("watch", "pods"), ("get", "pods/log"), ("delete", "jobs")]
)
def test_no_job_is_made_by_who_could_not_see_its_end_or_remove_it(found: Clinic, verb: str, resource: str) -> None:
    found.cluster.refuse(verb, resource.rpartition("/")[2], 403, "no")

    said = found.about("--online")

    assert f"You may not {verb} {resource} in namespace default. Not looked at: origin.\n" in said
    assert f"Ask for a Role with the verb {verb} on {resource}.\n" in said
    assert found.cluster.created("jobs") == []


def test_without_the_right_to_make_jobs_the_rest_is_found(clinic: Clinic) -> None:
    clinic.cluster.refuse("create", "jobs", 403, "no")

    said = clinic.about("--online", modelCache__storageClass="fast")

    assert "You may not create jobs in namespace default. Not looked at: origin.\n" in said
    assert "PROBLEM storage-class" in said


def test_each_source_is_asked_for_once(found: Clinic) -> None:
    other = {"other": {"source": "https://models.example.com/other.gguf"}}

    found.about("--online", preload__models=other)

    asked = [job["spec"]["template"]["spec"]["containers"][0]["args"][1] for job in found.cluster.created("jobs")]
    assert sorted(asked) == ["https://models.example.com/other.gguf", SOURCE]
