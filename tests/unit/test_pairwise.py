"""Combinations in which every two options meet."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

from chart.pairwise import Builder, Row

PARAMETERS = {f"p{number}": [f"o{option}" for option in range(2 + number % 3)] for number in range(8)}
RULES = [{"p0": ["o0"], "p1": ["o1", "o2"]}, {"p2": ["o1"], "p3": ["o0"], "p4": ["o0"]}]


def _pairs(rows: list[Row]) -> set[frozenset[tuple[str, str]]]:
    return {frozenset(two) for row in rows for two in itertools.combinations(row.items(), 2)}


def _all_rows() -> list[Row]:
    return [dict(zip(PARAMETERS, options, strict=True)) for options in itertools.product(*PARAMETERS.values())]


def _allowed(row: Row) -> bool:
    return not any(all(row[name] in options for name, options in rule.items()) for rule in RULES)


def test_every_two_options_that_may_meet_do_and_no_others() -> None:
    rows = Builder(PARAMETERS, RULES).rows_until(1)
    assert all(_allowed(row) for row in rows)
    assert _pairs(rows) == _pairs([row for row in _all_rows() if _allowed(row)])
    assert len(rows) < 30, "the pairs of the two largest parameters alone need 16"


def test_they_meet_as_often_as_is_asked_for() -> None:
    builder = Builder(PARAMETERS, RULES)
    rows = builder.rows_until(3)
    assert {builder.met[pair] >= 3 for pair in _pairs(rows)} == {True}


def test_an_option_that_rules_leave_no_place_is_in_no_row() -> None:
    rules = [{"p0": ["o0"], "p1": ["o0"]}, {"p0": ["o1"], "p1": ["o0"]}]
    rows = Builder(PARAMETERS, rules).rows_until(1)
    assert {row["p1"] for row in rows} == {"o1", "o2"}


def test_every_run_makes_the_same_rows() -> None:
    code = "from unit.test_pairwise import *; print(Builder(PARAMETERS, RULES).rows_until(2))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
