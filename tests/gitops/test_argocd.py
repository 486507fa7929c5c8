"""What Argo CD does with the chart as an application, from the first download to its deletion."""

from __future__ import annotations

from functools import partial

import pytest

from e2e.kit import Space
from fakehub import FakeHub
from gitops.argo import Argo
from gitops.kit import (
    EXAMPLES,
    OTHER,
    SMALL,
    another,
    assert_filled_before,
    assert_only_claim_left,
    assert_other_model_by_its_own_job,
    claim_uid,
    desired,
    jobs,
    serving,
)

pytestmark = pytest.mark.cluster

CACHE_FIRST = "argocd/cache-first/applications"


def test_an_unrelated_value_and_a_new_commit_run_no_job_and_then_nothing_moves(
    argo: Argo, space: Space, hub: FakeHub
) -> None:
    argo.install("argocd/application.yaml", "chat")
    assert space.chat("chat").strip()
    before = jobs(space)
    hub.requests.clear()

    argo.set_values("chat", server={"terminationGracePeriodSeconds": 7})
    argo.settled("chat")
    commit = argo.stage.sources.publish("0.1.2")
    argo.refresh("chat")
    argo.synced("chat", commit)
    synced = argo.settled("chat")
    assert jobs(space) == before
    assert list(hub.requests) == []

    calm = desired(space)
    for _ in range(3):
        application = argo.refresh("chat")
        assert application["status"]["sync"]["status"] == "Synced"
    assert desired(space) == calm
    assert application["status"]["operationState"] == synced["status"]["operationState"]


def test_another_model_is_downloaded_by_a_job_of_its_own_and_deleting_leaves_the_claim(
    argo: Argo, space: Space, hub: FakeHub
) -> None:
    argo.install("argocd/application.yaml", "chat")
    before, claim = jobs(space), claim_uid(space)

    argo.set_values("chat", model={"source": OTHER})
    argo.settled("chat")
    argo.stage.until("deployment", space.name, "chat", serving)
    assert_other_model_by_its_own_job(space, before)

    argo.delete("application", "chat")
    assert_only_claim_left(space, claim)

    hub.requests.clear()
    argo.install("argocd/application.yaml", "chat")
    assert space.chat("chat").strip()
    assert list(hub.requests) == []


def test_what_was_deleted_comes_back_and_a_job_that_does_fetches_nothing(
    argo: Argo, space: Space, hub: FakeHub
) -> None:
    argo.install("argocd/application.yaml", "chat")
    (job,) = jobs(space)
    hub.requests.clear()

    for kind, name in (("deployment", "chat"), ("service", "chat"), ("job", job)):
        gone = space.get(kind, name)
        space.kubectl("delete", kind, name, "--wait")
        argo.stage.until(kind, space.name, name, partial(another, gone))
    argo.settled("chat")
    assert space.chat("chat").strip()
    space.kubectl("wait", "--for=condition=Complete", f"job/{job}", "--timeout=300s")
    assert list(hub.requests) == []

    argo.settled("chat")
    calm = desired(space)
    argo.refresh("chat")
    assert desired(space) == calm


def test_a_claim_that_left_the_manifests_stays_and_the_application_is_synced(argo: Argo, space: Space) -> None:
    argo.install("argocd/application.yaml", "chat")
    claim = claim_uid(space)
    argo.set_values("chat", modelCache={"mode": "ephemeral"})
    argo.settled("chat")
    assert jobs(space) == {}
    assert claim_uid(space) == claim
    assert argo.refresh("chat")["status"]["sync"]["status"] == "Synced"


def test_a_preload_that_can_not_succeed_degrades_the_application_and_other_values_mend_it(
    argo: Argo, space: Space
) -> None:
    (application,) = argo.stage.example("argocd/application.yaml", space)
    application["spec"]["source"]["helm"]["valuesObject"]["model"]["source"] = SMALL + ".misspelt.gguf"
    argo.stage.apply([application])
    argo.health("chat", "Degraded")
    (job,) = jobs(space)

    argo.set_values("chat", model={"source": SMALL})
    argo.settled("chat")
    assert space.chat("chat").strip()
    assert job not in jobs(space)


def test_a_line_in_the_list_is_a_model_and_without_it_only_its_claim_is_left(argo: Argo, space: Space) -> None:
    (models,) = argo.stage.example("argocd/applicationset.yaml", space)
    argo.stage.apply([models])
    for name in ("qwen-0-5b", "qwen-1-5b"):
        argo.settled(name)
        assert space.chat(name).strip()

    elements = models["spec"]["generators"][0]["list"]["elements"]
    models["spec"]["generators"][0]["list"]["elements"] = elements[:1]
    argo.stage.apply([models])
    argo.kubectl("wait", "--for=delete", "application/qwen-1-5b", "--timeout=300s")
    assert argo.names() == ["qwen-0-5b"]
    assert [item["metadata"]["name"] for item in space.get("deployments")] == ["qwen-0-5b"]
    assert len(space.get("pvc")) == 2


def test_the_wave_of_the_models_begins_when_the_cache_is_filled(argo: Argo, space: Space, hub: FakeHub) -> None:
    argo.kubectl("patch", "configmap", "argocd-cm", "--patch-file", str(EXAMPLES / "argocd/cache-first/health.yaml"))
    files = {
        f"values-examples/{CACHE_FIRST}/{name}": argo.stage.example_text(f"{CACHE_FIRST}/{name}", space)
        for name in ("cache.yaml", "chat.yaml")
    }
    argo.stage.sources.commit("Applications", files)
    argo.install("argocd/cache-first/application.yaml", "models", "model-cache", "chat")
    assert space.chat("chat").strip()
    assert_filled_before(space, hub, argo.get("chat")["metadata"]["creationTimestamp"])

    argo.delete("application", "models")
    assert argo.names() == []
    assert [claim["status"]["phase"] for claim in space.get("pvc")] == ["Bound"]
