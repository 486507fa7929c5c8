"""A right that a user lacks is told before anything is made."""

from __future__ import annotations

import pytest
import releases
from fake_kubernetes import FakeKubernetes, Script

from conftest import Run

WORK = [("create", "jobs"), ("watch", "pods"), ("get", "pods/log"), ("delete", "jobs")]


@pytest.fixture
def web(cluster: FakeKubernetes) -> FakeKubernetes:
    cluster.add(*releases.serving())
    cluster.plays = lambda _: releases.volume(releases.on_volume(releases.TINY_KEY))
    return cluster


@pytest.mark.parametrize(("verb", "resource"), WORK)
@pytest.mark.parametrize("command", [["list", "--scan"], ["verify"], ["clear", "--all", "--yes"]], ids=lambda c: c[0])
def test_no_job_is_made_for_a_volume_whose_user_lacks_a_right(
    web: FakeKubernetes, run: Run, command: list[str], verb: str, resource: str
) -> None:
    web.refuse(verb, resource.rpartition("/")[2], 403, "because")

    result = run("cache", *command)

    assert result.exit_code == 1
    assert f"you may not {verb} {resource} in namespace default: because" in result.stderr
    assert f"Ask for a Role with the verb '{verb}' on {resource}" in result.stderr
    assert web.created("jobs") == []


def test_what_a_user_may_do_is_asked_once_for_all_volumes_of_a_namespace(web: FakeKubernetes, run: Run) -> None:
    web.add(*releases.serving("b"))

    assert run("cache", "list", "--scan").exit_code == 0
    assert len(web.created("jobs")) == 2
    asked = [body["spec"]["resourceAttributes"] for body in web.created("selfsubjectaccessreviews")]
    assert [(each["verb"], each["resource"]) for each in asked] == [
        (verb, resource.partition("/")[0]) for verb, resource in WORK
    ]


def test_no_download_is_begun_that_could_not_be_waited_for(web: FakeKubernetes, run: Run) -> None:
    web.refuse("watch", "pods", 403, "because")

    result = run("cache", "preload", "web")

    assert result.exit_code == 1
    assert "you may not watch pods in namespace default" in result.stderr
    assert web.created("jobs") == []


def test_who_does_not_wait_needs_no_right_to_watch(web: FakeKubernetes, run: Run) -> None:
    web.refuse("watch", "pods", 403, "because")

    assert run("cache", "preload", "web", "--no-wait").exit_code == 0
    assert len(web.created("jobs")) == 1


def test_a_cluster_that_tells_nobody_what_they_may_is_worked_with(web: FakeKubernetes, run: Run) -> None:
    web.refuse("create", "selfsubjectaccessreviews", 403, "because")

    assert run("cache", "list", "--scan").exit_code == 0
    web.refuse("create", "jobs", 403, "jobs is forbidden")
    assert "you may not create jobs in namespace default: jobs is forbidden" in run("cache", "list", "--scan").stderr


def test_whoever_may_not_see_events_is_told_that_these_would_say_why_it_takes_so_long(
    web: FakeKubernetes, run: Run
) -> None:
    web.refuse("list", "events", 403, "because")
    web.plays = lambda _: Script([])

    told = run("cache", "list", "--scan", "--timeout", "0s").stderr

    assert "events would say for what, and you may not list events in namespace default: because" in told


def test_a_download_whose_log_may_not_be_read_says_so_once(web: FakeKubernetes, run: Run) -> None:
    running = releases.job_pod({"running": {}}, "Running")
    report = releases.ended(0, releases.fetched())
    web.plays = lambda _: Script([running, running, releases.job_pod(report, "Succeeded")])
    web.refuse("get", "log", 403, "because")

    result = run("cache", "preload", "web")

    assert result.exit_code == 0
    assert result.stderr.count("can not be shown: you may not get pods/log 'web-") == 1
