"""Every pod that any combination of values renders passes Pod Security `restricted` in the real admission."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from apiserver.client import Api
from chart.combining import combinations
from chart.rendering import Object, Renderer, pod_templates, side_by_side
from chart.samples import SAMPLES

pytestmark = pytest.mark.cluster


def _pods(objects: Iterable[Object]) -> Iterator[Object]:
    """Yield the pods that objects make, under one name and of one service account, which tests make once."""
    for manifest in objects:
        for template in [*pod_templates(manifest), *([manifest] if manifest["kind"] == "Pod" else [])]:
            spec = {**template["spec"], "serviceAccountName": "chat"}
            yield {"metadata": {**template["metadata"], "name": "pod"}, "spec": spec}


def _classes(api: Api, pods: list[Object]) -> None:
    """Make the classes that the pods name, without which they are refused whatever they ask for."""
    named: dict[str, tuple[str, Object]] = {
        "priorityClassName": ("scheduling.k8s.io/v1/priorityclasses", {"value": 1}),
        "runtimeClassName": ("node.k8s.io/v1/runtimeclasses", {"handler": "runc"}),
    }
    for field, (kind, body) in named.items():
        for name in {pod["spec"].get(field) for pod in pods} - {None}:
            api.done("POST", f"/apis/{kind}", {"metadata": {"name": name}, **body})


def _refusals(api: Api, namespace: str, pods: Iterable[Object]) -> list[str]:
    """Return why pods are refused. Of several that are the same one is asked for."""
    different = list({json.dumps(pod, sort_keys=True): pod for pod in pods}.values())
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict"

    def ask(pod: Object) -> str:
        status, answer = api.ask("POST", path, pod)
        return "" if status == 201 else f"{answer['message']}: {json.dumps(pod)}"

    return [refusal for refusal in side_by_side(ask, different) if refusal]


@pytest.fixture(scope="module")
def namespace(api: Api, space: Callable[[], str]) -> str:
    name = space()
    api.done("POST", f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "chat"}})
    return name


def test_the_pods_of_all_combinations_and_examples_are_let_in(api: Api, chart: Renderer, namespace: str) -> None:
    rendered = [each.objects for each in combinations(chart)] + side_by_side(chart.objects, SAMPLES.values())
    pods = [pod for objects in rendered for pod in _pods(objects)]
    _classes(api, pods)
    refusals = _refusals(api, namespace, pods)
    assert not refusals, "\n".join(refusals[:5])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"securityContext": {"allowPrivilegeEscalation": True}}, "allowPrivilegeEscalation != false"),
        ({"podSecurityContext": {"runAsNonRoot": False}}, "runAsNonRoot != true"),
        ({"server": {"resources": {"limits": {"memory": "no number"}}}}, "quantities must match"),
    ],
    ids=["more rights", "root", "no quantity"],
)
def test_a_pod_that_breaks_a_rule_is_noticed(
    api: Api, chart: Renderer, namespace: str, value: dict[str, Any], reason: str
) -> None:
    values = {**SAMPLES["cpu-llamacpp"], **value}
    assert reason in "\n".join(_refusals(api, namespace, _pods(chart.objects(values))))
