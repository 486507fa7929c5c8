"""Whatever two values are used together, what is rendered is valid."""

from __future__ import annotations

import itertools

import pytest
import yaml

from chart.combining import FOLDER, LEAST, Combination, combinations, never, parameters, rows, tried
from chart.pairwise import Rule
from chart.rendering import Renderer
from chart.validity import problems


@pytest.fixture(scope="module")
def rendered(chart: Renderer) -> list[Combination]:
    return combinations(chart)


def test_every_combination_renders(rendered: list[Combination]) -> None:
    refused = [f"{each.refusal.splitlines()[0]}: {each.row}" for each in rendered if each.refusal]
    assert not refused, "\n".join(refused[:5])


def test_there_are_many_and_no_two_are_the_same() -> None:
    assert len({tuple(row.items()) for row in rows()}) == len(rows()) >= LEAST


def test_no_combination_has_a_name_twice_or_one_that_is_not_valid(rendered: list[Combination]) -> None:
    found = [f"{problem}: {each.row}" for each in rendered for problem in problems(each.objects)]
    assert not found, "\n".join(found[:5])


@pytest.mark.parametrize("rule", never(), ids=str)
def test_what_is_left_out_is_refused_by_the_chart(chart: Renderer, rule: Rule) -> None:
    plain = {name: next(iter(options)) for name, options in parameters().items()}
    for options in itertools.product(*rule.values()):
        row = {**plain, **dict(zip(rule, options, strict=True))}
        assert tried(row, chart).refusal, f"{rule} is allowed: remove the rule, or the option from it"


def test_no_value_is_set_by_two_parameters() -> None:
    names = [name for file in FOLDER.glob("*.yaml") for name in yaml.safe_load(file.read_text("utf-8"))["parameters"]]
    assert sorted(names) == sorted(parameters()), "two files have a parameter of the same name"
    used = {name: {path for option in options.values() for path in option} for name, options in parameters().items()}
    for (one, mine), (other, theirs) in itertools.combinations(used.items(), 2):
        overlap = {(a, b) for a in mine for b in theirs if f"{a}.".startswith(f"{b}.") or f"{b}.".startswith(f"{a}.")}
        assert not overlap, f"{one} and {other}"
