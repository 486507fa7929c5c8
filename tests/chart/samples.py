"""Whole releases: the values of every example and of every file that chart-testing installs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from chart.rendering import CHART
from tools.render_examples import examples


def files() -> list[Path]:
    """Return the values files, in the order of their names."""
    return [*examples(), *sorted((CHART / "ci").glob("*-values.yaml"))]


def name_of(file: Path) -> str:
    """Return what tests call a values file: its own name, and `ci` before it where chart-testing installs it."""
    return f"ci-{file.stem.removesuffix('-values')}" if file.parent.name == "ci" else file.stem


SAMPLES: dict[str, dict[str, Any]] = {name_of(file): yaml.safe_load(file.read_text("utf-8")) or {} for file in files()}

# What stands around the server, by dotted path: all of it that goes together.
AROUND: dict[str, Any] = {
    "server.ingress": {"enabled": True, "hosts": [{"host": "chat.example.com"}]},
    "server.httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]},
    "server.keda": {"enabled": True, "triggers": [{"type": "cron", "metadata": {"desiredReplicas": "2"}}]},
    "server.podDisruptionBudget.enabled": True,
    "server.podMonitor.enabled": True,
    "networkPolicy.enabled": True,
}
