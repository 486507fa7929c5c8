"""What comes out depends on the values alone: not on the helm, the run, the namespace, or on who includes the chart."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from typing import Any

import pytest
import yaml

from chart.rendering import CHART, SERVING, Object, Renderer, nested, parsed
from chart.samples import SAMPLES
from chart.validity import identities, problems, repeated
from tools.render_examples import in_one_spelling

LONG = "r" + 51 * "x"
# Helm allows 53 characters; cut anywhere before their end, these two would be one.
LONGEST = [f"{LONG}1", f"{LONG}2"]
# What makes a preload Job another one; the rest of a Job can be changed.
FIXED = ("template", "podFailurePolicy")

samples = pytest.mark.parametrize("values", SAMPLES.values(), ids=SAMPLES.keys())


@pytest.fixture(scope="session")
def chart3() -> Renderer:
    """The chart, rendered by the previous Helm."""
    return Renderer(os.environ.get("HELM3", "helm3"))


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory, helm: str) -> Renderer:
    """A chart of a user that has ours twice."""
    folder = tmp_path_factory.mktemp("parent")
    shutil.copytree(CHART, folder / "charts" / "llmkube")
    version = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["version"]
    dependencies = [{"name": "llmkube", "version": version, "alias": alias} for alias in ("small", "large")]
    definition = {"apiVersion": "v2", "name": "models", "version": "1.0.0", "dependencies": dependencies}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(definition))
    return Renderer(helm, folder)


@samples
def test_two_runs_and_both_helms_render_the_same(chart: Renderer, chart3: Renderer, values: dict[str, Any]) -> None:
    first = chart.text(values)
    assert chart.text(values) == first
    assert in_one_spelling(chart3.text(values)) == in_one_spelling(first)


@samples
def test_the_namespace_changes_nothing(chart: Renderer, values: dict[str, Any]) -> None:
    assert chart.text(values, namespace="another") == chart.text(values, namespace="models")


@samples
def test_the_longest_names_of_releases_are_valid_and_do_not_collide(chart: Renderer, values: dict[str, Any]) -> None:
    one, other, short = (chart.objects(values, release) for release in (*LONGEST, "chat"))
    assert problems(one) == []
    named_by_the_user = {*identities(one)} & {*identities(short)}
    assert {*repeated(identities([*one, *other]))} <= named_by_the_user


@samples
def test_a_parent_chart_may_have_it_twice(parent: Renderer, chart: Renderer, values: dict[str, Any]) -> None:
    objects = parsed(parent.text({"small": values, "large": nested(SERVING)}))
    assert problems(objects) == []
    assert len(objects) == len(chart.objects(values)) + len(chart.objects(nested(SERVING)))


def test_the_services_of_two_aliases_find_pods_of_their_own(parent: Renderer) -> None:
    objects = parent.objects({"small": nested(SERVING), "large": nested(SERVING)})
    services = {each["metadata"]["name"]: each["spec"]["selector"] for each in objects if each["kind"] == "Service"}
    assert set(services) == {"chat-small", "chat-large"}
    assert services["chat-small"] != services["chat-large"]


def test_a_job_has_the_name_of_another_exactly_when_it_is_the_same(chart: Renderer) -> None:
    """All samples as one release, one after the other: what an upgrade from any to any other finds."""
    names: defaultdict[str, set[str]] = defaultdict(set)
    contents: defaultdict[str, set[str]] = defaultdict(set)
    for values in SAMPLES.values():
        for job in (each for each in chart.objects(values) if each["kind"] == "Job"):
            content = _fixed(job)
            names[content].add(job["metadata"]["name"])
            contents[job["metadata"]["name"]].add(content)
    assert {len(each) for each in (*names.values(), *contents.values())} == {1}


def _fixed(job: Object) -> str:
    return yaml.safe_dump({name: job["spec"].get(name) for name in FIXED})
