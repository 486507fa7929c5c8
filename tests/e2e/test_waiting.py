"""`helm install --wait` on classes whose claims stay Pending until a pod mounts them: it always comes to an end."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.kit import Done, Space

pytestmark = pytest.mark.cluster

SMALL = "hf://acme/small/model-f16.gguf"
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
ARTEFACTS = {"enabled": True, "size": "16Mi"}
RELEASES: dict[str, dict[str, Any]] = {
    "a cache with nothing to download": {},
    "a cache with a list of downloads": {"preload__models": {"small": {"source": SMALL}}},
    "a cache whose list is not downloaded": {
        "preload": {"enabled": False, "models": {"small": {"source": SMALL}}},
    },
    "a server without pods": {"model__source": SMALL, "server__replicas": 0},
    "a server without pods or download": {
        "model__source": SMALL,
        "server__replicas": 0,
        "preload__enabled": False,
    },
    "a server that downloads itself": {"model__source": SMALL, "preload__enabled": False},
    "a server whose pods others count": {"model__source": SMALL, "server__replicas": None},
    "an autoscaled server": {"model__source": SMALL, "server__autoscaling": {"enabled": True, "metrics": [CPU]}},
    "a server with a cache of artefacts": {"model__source": SMALL, "artifactCache": ARTEFACTS},
    "a server without pods, with a cache of artefacts": {
        "model__source": SMALL,
        "server__replicas": 0,
        "artifactCache": ARTEFACTS,
    },
}


@pytest.mark.parametrize("release", RELEASES)
def test_helm_waits_and_ends(either: Space, release: str) -> None:
    done = _install(either, "waited", **RELEASES[release])
    assert "STATUS: deployed" in done.out
    assert {claim["status"]["phase"] for claim in either.get("pvc")} == {"Bound"}


def test_helm_waits_for_a_server_of_a_shared_claim_and_ends(either: Space) -> None:
    shared: dict[str, Any] = {"modelCache__mode": "shared"}
    _install(either, "cache", modelCache__create=True, **shared)
    _install(either, "consumer", model__source=SMALL, **shared)
    assert [claim["metadata"]["name"] for claim in either.get("pvc")] == ["llmkube-model-cache"]


def _install(space: Space, release: str, **values: Any) -> Done:
    return space.install(release, "--timeout", "90s", **values)
