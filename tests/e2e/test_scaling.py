"""Who says how many pods there are: an autoscaler or a person, and no upgrade undoes it."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.kit import Space

pytestmark = pytest.mark.cluster

CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
VALUES: dict[str, Any] = {"model__source": "hf://acme/small/model-f16.gguf"}


def test_an_upgrade_leaves_the_number_of_pods_to_the_autoscaler(either: Space) -> None:
    # Where nobody measures, the autoscaler still brings the number to its minimum, through the same scale subresource.
    autoscaled = VALUES | {"server__autoscaling": {"enabled": True, "minReplicas": 2, "metrics": [CPU]}}
    either.install("small", **autoscaled)
    _wait_for(either, 2)
    before = _generation(either)

    either.install("small", **autoscaled, commonLabels={"team": "models"})
    assert _generation(either) == before, "the upgrade set a number of pods, or changed another thing that counts"
    assert _replicas(either) == 2


def test_an_upgrade_leaves_the_number_of_pods_to_a_person(either: Space) -> None:
    uncounted = VALUES | {"server__replicas": None}
    either.install("small", **uncounted)
    either.kubectl("scale", "deployment/small", "--replicas=2")
    _wait_for(either, 2)
    either.install("small", **uncounted, server__env={"CHANGED": "yes"})
    assert _replicas(either) == 2


def test_a_number_in_the_values_counts_again_at_the_next_upgrade(either: Space) -> None:
    either.install("small", **VALUES, server__replicas=1)
    either.install("small", **VALUES, server__replicas=2)
    assert _replicas(either) == 2


def _replicas(space: Space) -> int:
    return int(space.get("deployment", "small")["spec"]["replicas"])


def _generation(space: Space) -> int:
    """Goes up with every change of the Deployment's spec, also with one that was taken back at once."""
    return int(space.get("deployment", "small")["metadata"]["generation"])


def _wait_for(space: Space, replicas: int) -> None:
    space.kubectl("wait", f"--for=jsonpath={{.status.readyReplicas}}={replicas}", "deployment/small", "--timeout=120s")
