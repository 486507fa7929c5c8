"""What Flux does with a release of the chart, from the first download to the last uninstall."""

from __future__ import annotations

import pytest

from e2e.kit import Space
from fakehub import FakeHub, Fault
from gitops.flux import Flux
from gitops.kit import (
    OTHER,
    SMALL,
    assert_filled_before,
    assert_only_claim_left,
    assert_other_model_by_its_own_job,
    claim_uid,
    desired,
    jobs,
    serving,
)

pytestmark = pytest.mark.cluster


def test_an_unrelated_value_and_a_new_commit_run_no_job_and_then_nothing_moves(
    flux: Flux, space: Space, hub: FakeHub
) -> None:
    flux.install("flux/git-repository.yaml")
    assert space.chat("chat").strip()
    before = jobs(space)
    hub.requests.clear()

    flux.set_values("chat", server={"terminationGracePeriodSeconds": 7})
    flux.ready("chat")
    commit = flux.stage.sources.publish("0.1.1")
    flux.reconcile_source("gitrepository", "llmkube")
    release = flux.stage.until(
        "helmrelease",
        space.name,
        "chat",
        lambda found: commit[:12] in found["status"]["history"][0]["chartVersion"],
    )
    flux.ready("chat")
    assert jobs(space) == before
    assert list(hub.requests) == []

    calm = desired(space)
    for _ in range(3):
        release = flux.reconcile("chat")
    assert desired(space) == calm
    assert flux.drift() == []
    assert [entry["status"] for entry in release["status"]["history"]][:2] == ["deployed", "superseded"]


def test_another_model_is_downloaded_by_a_job_of_its_own_and_uninstalling_leaves_the_claim(
    flux: Flux, space: Space, hub: FakeHub
) -> None:
    flux.install("flux/helm-repository.yaml")
    before, claim = jobs(space), claim_uid(space)

    flux.set_values("chat", model={"source": OTHER})
    flux.ready("chat")
    flux.stage.until("deployment", space.name, "chat", serving)
    assert_other_model_by_its_own_job(space, before)

    flux.remove()
    assert_only_claim_left(space, claim)

    hub.requests.clear()
    flux.install("flux/helm-repository.yaml")
    assert space.chat("chat").strip()
    assert list(hub.requests) == []


def test_what_was_deleted_comes_back_and_a_job_that_does_fetches_nothing(
    flux: Flux, space: Space, hub: FakeHub
) -> None:
    flux.install("flux/oci-repository.yaml")
    (job,) = jobs(space)
    hub.requests.clear()

    for kind, name in (("deployment", "chat"), ("service", "chat"), ("job", job)):
        space.kubectl("delete", kind, name, "--wait")
        flux.reconcile("chat")
        assert space.get(kind, name)
    assert space.chat("chat").strip()
    space.kubectl("wait", "--for=condition=Complete", f"job/{job}", "--timeout=300s")
    assert list(hub.requests) == []

    calm = desired(space)
    flux.reconcile("chat")
    assert desired(space) == calm


def test_a_release_that_depends_on_the_cache_waits_until_it_is_filled(flux: Flux, space: Space, hub: FakeHub) -> None:
    flux.install("flux/cache-first.yaml")
    assert space.chat("chat").strip()
    assert_filled_before(space, hub, space.get("deployment", "chat")["metadata"]["creationTimestamp"])


def test_a_download_that_outlasts_the_timeout_goes_on_and_the_release_becomes_ready(
    flux: Flux, space: Space, hub: FakeHub
) -> None:
    hub.faults.add(Fault(listener="cdn", stall_at=1 << 20))
    flux.apply("flux/git-repository.yaml", _impatient)
    hub.faults.wait_until_stalled()
    before = jobs(space)
    # The first try is an install, each further one an upgrade of what is there.
    assert flux.failed("chat")["reason"] in ("InstallFailed", "UpgradeFailed")

    hub.faults.clear()
    flux.ready("chat")
    assert space.chat("chat").strip()
    assert jobs(space) == before
    assert len(space.pods("chat", "preload")) == 1


def test_a_preload_that_can_not_succeed_fails_the_release_at_once_and_other_values_mend_it(
    flux: Flux, space: Space
) -> None:
    flux.apply("flux/git-repository.yaml", lambda text: text.replace(SMALL, SMALL + ".misspelt.gguf"))
    (job,) = flux.stage.until("job", space.name, "chat-preload-*", lambda job: True)["metadata"]["name"].split()
    assert job in flux.failed("chat")["message"]

    flux.set_values("chat", model={"source": SMALL})
    flux.ready("chat")
    assert space.chat("chat").strip()
    assert job not in jobs(space)


def _impatient(text: str) -> str:
    """An example with its times shortened: the download of a test is not one of hours."""
    return text.replace("timeout: 4h", "timeout: 5s").replace("retryInterval: 5m", "retryInterval: 1s")
