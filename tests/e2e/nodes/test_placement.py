"""A volume that only one node can have: every pod of its releases runs there."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.kit import Space

pytestmark = pytest.mark.cluster

SMALL = "hf://acme/small/model-f16.gguf"


def test_server_download_and_maintenance_run_where_the_volume_is(space: Space) -> None:
    space.install("small", model__source=SMALL)
    space.kubectl("create", "job", "scan", "--from=cronjob/small-model-cache-maintenance")
    space.kubectl("wait", "--for=condition=Complete", "job", "--all", "--timeout=90s")
    assert {component for component, _ in _places(space)} == {"server", "preload", "maintenance"}
    assert len({node for _, node in _places(space)}) == 1


def test_all_releases_of_a_shared_claim_run_where_it_is(space: Space) -> None:
    space.install("cache", modelCache__mode="shared", modelCache__create=True)
    for release in ("one", "two"):
        space.install(release, modelCache__mode="shared", model__source=SMALL)
    assert [component for component, _ in _places(space)].count("server") == 2
    assert len({node for _, node in _places(space)}) == 1


def _places(space: Space) -> list[tuple[str, str]]:
    """Component and node of every pod."""
    pods: list[Any] = space.get("pods", "--selector=llmkube.dev/release")
    return sorted((pod["metadata"]["labels"]["app.kubernetes.io/component"], pod["spec"]["nodeName"]) for pod in pods)
