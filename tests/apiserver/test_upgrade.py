"""`helm upgrade` from any example to any other that a claim does not forbid: nothing is refused, run again or lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from apiserver.client import Api
from apiserver.upgrading import RELEASE, Example, Step, Walker, groups, walks
from chart.rendering import Renderer, side_by_side
from chart.samples import SAMPLES
from cluster.provider import tools_folder

pytestmark = pytest.mark.cluster

PAIRS = 40  # at least so many, of different examples
STRIDES = 2  # how many others each example becomes


@pytest.fixture(scope="module")
def examples(chart: Renderer) -> list[Example]:
    rendered = side_by_side(lambda values: chart.objects(values, RELEASE), SAMPLES.values())
    return [Example(name, values, made) for (name, values), made in zip(SAMPLES.items(), rendered, strict=True)]


@pytest.fixture(scope="module", params=["helm", "helm3"], ids=["server-side apply", "three-way merge"])
def steps(
    request: pytest.FixtureRequest,
    api: Api,
    examples: list[Example],
    space: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Step]:
    """Every upgrade by one Helm; it fails here when helm refused the first installation."""
    binary: Path = tools_folder([request.param]) / request.param
    home = tmp_path_factory.mktemp(request.param)
    all_walks = [(space(), *walk) for group in groups(examples) for walk in walks(group, STRIDES)]

    def walked(item: tuple[str, int, list[Example]]) -> list[Step]:
        namespace, stride, walk = item
        return Walker(binary, api, namespace, home).walk(walk, unrelated=stride == 1)

    return [step for steps in side_by_side(walked, all_walks) for step in steps]


def test_no_upgrade_is_refused(steps: list[Step]) -> None:
    refused = [f"{step.before} -> {step.after.name}: {step.error}" for step in steps if step.error]
    assert not refused, "\n".join(refused)


def test_they_are_many(steps: list[Step]) -> None:
    assert len({(step.before, step.after.name) for step in steps if not step.before.endswith("changed")}) >= PAIRS


def test_a_job_stays_exactly_when_the_next_values_make_the_same(steps: list[Step]) -> None:
    for step in steps:
        jobs = {name: uid for (kind, name), uid in step.has.items() if kind == "Job"}
        assert set(jobs) == step.after.jobs, f"{step.before} -> {step.after.name}"
        stayed = {name for name, uid in jobs.items() if step.had.get(("Job", name)) == uid}
        assert stayed == {name for kind, name in step.had if kind == "Job"} & step.after.jobs


def test_values_that_concern_no_download_make_no_new_job(steps: list[Step]) -> None:
    for step in steps:
        if step.before.endswith("changed"):
            assert step.had == step.has, step.after.name


def test_no_claim_is_lost(steps: list[Step]) -> None:
    for step in steps:
        for (kind, name), uid in step.had.items():
            if kind == "PersistentVolumeClaim":
                assert step.has.get((kind, name)) == uid, f"{step.before} -> {step.after.name} lost {name}"
