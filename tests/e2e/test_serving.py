"""One `helm install`: weights are downloaded once, kept, and served again without the network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from e2e.kit import Space, report
from fakehub import FakeHub
from models.gguf import write_gguf

pytestmark = pytest.mark.cluster

SMALL = "hf://acme/small/model-f16.gguf"
OTHER = "hf://acme/other/model-f16.gguf"


def test_a_model_is_installed_and_chats_and_starts_again_without_asking_the_hub(space: Space, hub: FakeHub) -> None:
    space.install("small", model__source=SMALL)
    first = space.chat("small")
    assert first.strip()

    hub.requests.clear()
    space.restart("small")
    assert space.chat("small") == first
    assert list(hub.requests) == []

    warm = report(space.pods("small", "server")[0])
    assert (warm["result"], warm["bytesFetched"]) == ("hit", 0)


def test_preload_job_and_server_together_fetch_each_byte_once(space: Space, hub: FakeHub) -> None:
    space.install("small", model__source=SMALL)
    space.kubectl("wait", "--for=condition=Complete", "job", "--all", "--timeout=60s")
    reports = [report(space.pods("small", component)[0]) for component in ("preload", "server")]
    size = reports[0]["bytesTotal"]
    assert sorted(item["result"] for item in reports) == ["fetched", "hit"]
    assert sum(record.bytes for record in hub.requests if record.listener == "cdn") == size


def test_uninstall_keeps_the_claim_and_the_next_install_of_the_name_fetches_nothing(space: Space, hub: FakeHub) -> None:
    space.install("small", model__source=SMALL)
    space.helm("uninstall", "small", "--namespace", space.name, "--wait")
    claim = space.get("pvc", "small-model-cache")
    assert claim["status"]["phase"] == "Bound"

    hub.requests.clear()
    space.install("small", model__source=SMALL)
    assert space.get("pvc", "small-model-cache")["metadata"]["uid"] == claim["metadata"]["uid"]
    assert space.chat("small").strip()
    assert list(hub.requests) == []


def test_a_second_model_in_the_namespace_has_a_claim_of_its_own(space: Space) -> None:
    space.install("small", model__source=SMALL)
    space.install("other", model__source=OTHER)
    assert space.chat("small").strip()
    assert space.chat("other").strip()
    names = sorted(claim["metadata"]["name"] for claim in space.get("pvc"))
    assert names == ["other-model-cache", "small-model-cache"]


def test_two_releases_on_one_claim_with_the_same_source_fetch_it_once(space: Space, hub: FakeHub) -> None:
    space.install("cache", modelCache__mode="shared", modelCache__create=True)
    shared: dict[str, Any] = {"modelCache__mode": "shared", "model__source": SMALL}
    for release in ("one", "two"):
        space.install(release, wait=False, **shared)
    for release in ("one", "two"):
        space.kubectl("rollout", "status", f"deployment/{release}", "--timeout=180s")
        assert space.chat(release).strip()
    size = report(space.pods("one", "server")[0])["bytesTotal"]
    assert sum(record.bytes for record in hub.requests if record.listener == "cdn") == size


def test_an_upgrade_of_an_unrelated_value_makes_no_new_job_and_fetches_nothing(space: Space, hub: FakeHub) -> None:
    space.install("small", model__source=SMALL)
    jobs = [job["metadata"]["uid"] for job in space.get("jobs")]
    hub.requests.clear()
    space.install("small", model__source=SMALL, server__terminationGracePeriodSeconds=7)
    space.kubectl("rollout", "status", "deployment/small", "--timeout=120s")
    assert [job["metadata"]["uid"] for job in space.get("jobs")] == jobs
    assert list(hub.requests) == []


def test_an_ephemeral_cache_serves_without_any_claim(space: Space) -> None:
    space.install("small", model__source=SMALL, modelCache__mode="ephemeral")
    assert space.chat("small").strip()
    assert space.get("pvc") == []


def test_the_volume_holds_exactly_what_the_report_says(
    space: Space, volume_bytes: Callable[[str, str], dict[str, int]]
) -> None:
    space.install("small", model__source=SMALL)
    said = report(space.pods("small", "server")[0])
    measured = volume_bytes(space.name, "small-model-cache")
    assert list(measured) == [said["key"]]
    assert 0 <= measured[said["key"]] - said["bytesTotal"] < 4096  # the manifest lies beside the weights


def test_a_newer_content_is_served_from_the_next_start_on(space: Space, hub: FakeHub, hub_root: Path) -> None:
    model = hub_root / "acme/changing/main/model-f16.gguf"
    model.parent.mkdir(parents=True)
    inside = ["exec", "deployment/changing", "--container", "server", "--"]
    for seed in (7, 8):
        write_gguf(model, mib=4, seed=seed)
        if seed == 7:
            space.install("changing", model__source="hf://acme/changing/model-f16.gguf", model__refresh="on-change")
        else:
            space.restart("changing")
        assert (
            space.kubectl(*inside, "sh", "-c", 'sha256sum "$LLMKUBE_MODEL_PATH"').split()[0]
            == hashlib.sha256(model.read_bytes()).hexdigest()
        )
        assert space.chat("changing").strip()
    assert report(space.pods("changing", "server")[0])["result"] == "refreshed"
