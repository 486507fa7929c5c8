"""Combinations of everything that values can say, from the data in combinations/, and what they render."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from chart.pairwise import Builder, Row, Rule
from chart.rendering import Object, RefusedError, Renderer, nested, parsed, side_by_side

FOLDER = Path(__file__).with_name("combinations")
# Every two options meet, and meet again in other company until there are so many combinations.
LEAST = 300
BASE: dict[str, Any] = {"modelCache.size": "20Gi"}

Options = dict[str, dict[str, Any]]  # of one parameter: values by dotted path, by the option's name


@dataclass(frozen=True)
class Combination:
    """One combination and what came of it: what was rendered, or why nothing was."""

    row: Row
    text: str = ""
    refusal: str = ""

    @functools.cached_property
    def objects(self) -> list[Object]:
        """The rendered objects."""
        return parsed(self.text)


@functools.cache
def _read() -> list[Any]:
    return [yaml.safe_load(file.read_text("utf-8")) for file in sorted(FOLDER.glob("*.yaml"))]


def parameters() -> dict[str, Options]:
    """Return the options of every parameter."""
    return {name: options for file in _read() for name, options in file["parameters"].items()}


def never() -> list[Rule]:
    """Return the options that must not meet."""
    return [rule for file in _read() for rule in file["never"]]


def values_of(row: Row) -> dict[str, Any]:
    """Return the values of a combination."""
    known = parameters()
    paths = [known[name][option] for name, option in row.items()]
    return nested(functools.reduce(lambda all_of, more: {**all_of, **more}, paths, BASE))


@functools.cache
def rows() -> list[Row]:
    """Return all combinations."""
    builder = Builder({name: list(options) for name, options in parameters().items()}, never())
    times = 1
    while len(builder.rows_until(times)) < LEAST:
        times += 1
    return builder.rows


def tried(row: Row, chart: Renderer) -> Combination:
    """Render one combination."""
    try:
        return Combination(row, text=chart.text(values_of(row)))
    except RefusedError as error:
        return Combination(row, refusal=str(error).strip())


@functools.cache
def combinations(chart: Renderer) -> list[Combination]:
    """Render all combinations, once in a run: several folders of tests look at them."""
    return side_by_side(functools.partial(tried, chart=chart), rows())
