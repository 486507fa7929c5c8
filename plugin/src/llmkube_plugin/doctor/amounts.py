"""Amounts of resources: of containers, of pods, and as text."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from llmkube_plugin import units

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkube_plugin.kube import Object

_SMALL = {"m": 1e-3, "u": 1e-6, "n": 1e-9}
_NUMBER = re.compile(r"([0-9.]+)([mun])")
_POWER = re.compile(r"[0-9.]+[eE][+-]?[0-9]+")

Amounts = dict[str, float]


def amount(text: Any) -> float:
    """Return a Kubernetes quantity as a number: `500m` is 0.5, `1Gi` 2^30; 0 for one that is absent or none."""
    written = "" if text is None else str(text)
    small = _NUMBER.fullmatch(written)
    if small:
        return float(small[1]) * _SMALL[small[2]]
    if _POWER.fullmatch(written):
        return float(written)
    if written.replace(".", "", 1).isdigit():
        return float(written)
    return float(units.quantity(written) or 0)


def requests(container: Object, part: str = "requests") -> Amounts:
    """Return what a container asks for, `requests` or `limits`: a limit without a request is one too."""
    resources = container.get("resources") or {}
    limits = resources.get("limits") or {}
    asked = {**limits, **(resources.get("requests") or {})} if part == "requests" else limits
    return {name: amount(text) for name, text in asked.items() if amount(text)}


def pod_requests(spec: Object, part: str = "requests") -> Amounts:
    """Return what the scheduler reserves for a pod: its containers together, or the largest of those before them.

    An init container that goes on beside the others counts with these.
    """
    before = spec.get("initContainers") or []
    beside = [each for each in before if each.get("restartPolicy") == "Always"]
    together = _sum([requests(each, part) for each in (spec.get("containers") or []) + beside])
    for container in before:
        for name, count in requests(container, part).items():
            together[name] = max(together.get(name, 0.0), count)
    if part == "requests":
        for name, text in (spec.get("overhead") or {}).items():
            together[name] = together.get(name, 0.0) + amount(text)
    return dict(together)


def _sum(parts: Iterable[Amounts]) -> Amounts:
    total: Amounts = defaultdict(float)
    for part in parts:
        for name, count in part.items():
            total[name] += count
    return total
