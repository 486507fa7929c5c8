"""Which nodes a pod may run on, as the scheduler sees it: labels, affinity, taints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkube_plugin import pods

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkube_plugin.kube import Object

_HARD = ("NoSchedule", "NoExecute")


def is_ready(node: Object) -> bool:
    """Return whether a node takes pods at all."""
    conditions = node.get("status", {}).get("conditions") or []
    ready = [each["status"] for each in conditions if each["type"] == "Ready"]
    return ready in ([], ["True"]) and not node["spec"].get("unschedulable")


def selected(node: Object, spec: Object) -> bool:
    """Return whether a node has the labels that a pod wants."""
    labels = node["metadata"].get("labels") or {}
    wanted = spec.get("nodeSelector") or {}
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms") or []
    return wanted.items() <= labels.items() and (not required or matches_terms(node, terms))


def matches_terms(node: Object, terms: Iterable[Object]) -> bool:
    """Return whether a node matches one of the terms of a node affinity."""
    labels = node["metadata"].get("labels") or {}
    fields = {"metadata.name": pods.name(node)}
    for term in terms:
        asked = [*(term.get("matchExpressions") or []), *(term.get("matchFields") or [])]
        labelled = all(_matches(labels, each) for each in term.get("matchExpressions") or [])
        if asked and labelled and all(_matches(fields, each) for each in term.get("matchFields") or []):
            return True
    return False


def _matches(labels: dict[str, str], expression: Object) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or []
    operator = expression["operator"]
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    return _compares(value, operator, values)


def _compares(value: str | None, operator: str, values: list[Any]) -> bool:
    try:
        number, limit = int(value or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return number > limit if operator == "Gt" else number < limit


def untolerated(node: Object, spec: Object) -> list[Object]:
    """Return the taints that keep a pod off a node."""
    tolerations = spec.get("tolerations") or []
    taints = [taint for taint in node["spec"].get("taints") or [] if taint["effect"] in _HARD]
    return [taint for taint in taints if not any(_tolerates(each, taint) for each in tolerations)]


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    pair = (toleration.get("key"), toleration.get("value") or "")
    return pair == (taint["key"], taint.get("value") or "")
