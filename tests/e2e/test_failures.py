"""What a person sees when a download can not succeed: at once, with cause and action."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.kit import Space, report

pytestmark = pytest.mark.cluster

SMALL = "hf://acme/small/model-f16.gguf"
FAILURES: dict[str, tuple[dict[str, Any], int]] = {
    "wrong sha256": ({"model__source": SMALL, "model__sha256": "0" * 64}, 13),
    "file not found": ({"model__source": "hf://acme/small/nothing.gguf"}, 12),
    "repository not found": ({"model__source": "hf://acme/nothing/nothing.gguf"}, 11),
    "gated without a token": ({"model__source": "hf://acme/gated/model-f16.gguf"}, 11),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_that_would_only_repeat_ends_the_job_at_once(space: Space, case: str) -> None:
    values, code = FAILURES[case]
    space.install("broken", wait=False, **values)
    _assert_failed_at_once(space, code)


def test_a_volume_that_is_too_small_is_refused_before_the_first_byte(space: Space, small_volume: str) -> None:
    space.install(
        "broken", wait=False, model__source=SMALL, modelCache__mode="existingClaim", modelCache__claimName=small_volume
    )
    _assert_failed_at_once(space, 14)


def _assert_failed_at_once(space: Space, code: int) -> None:
    space.kubectl("wait", "--for=condition=Failed", "job", "--selector=llmkube.dev/release=broken", "--timeout=90s")
    (job,) = space.get("jobs", "--selector=llmkube.dev/release=broken")
    assert [item["reason"] for item in job["status"]["conditions"] if item["type"] == "Failed"] == ["PodFailurePolicy"]
    (pod,) = space.pods("broken", "preload")
    (state,) = pod["status"]["containerStatuses"]
    assert state["state"]["terminated"]["exitCode"] == code

    error = report(pod)["error"]
    assert error["code"] == code
    described = space.kubectl("describe", "pod", pod["metadata"]["name"])
    for listing in (space.llmkube("cache", "status"), space.llmkube("cache", "list", "-o", "wide")):
        shown = listing.out + listing.err
        for sentence in (error["cause"], error["action"]):
            assert json.dumps(sentence)[1:-1] in described
            assert sentence in shown


def test_a_missing_existing_claim_is_named_and_not_created(space: Space) -> None:
    done = space.install(
        "waiting",
        wait=False,
        model__source=SMALL,
        modelCache__mode="existingClaim",
        modelCache__claimName="team-models",
    )
    assert "team-models" in done.out
    space.await_servers("waiting")
    pod = space.pods("waiting", "server")[0]["metadata"]["name"]
    space.kubectl("wait", "--for=jsonpath={.status.conditions[0].reason}=Unschedulable", f"pod/{pod}", "--timeout=60s")
    described = space.kubectl("describe", "pod", pod)
    assert 'persistentvolumeclaim "team-models" not found' in described
    assert space.get("pvc") == []
