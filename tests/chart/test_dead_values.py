"""Every value does something: another one changes what is rendered."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.places import Place, held, places, put
from chart.rendering import CHART, SERVING, Renderer, nested

# By place: another value than the default (to), and the values without which it would have no meaning (given).
CHANGES: dict[str, dict[str, Any]] = {
    path: change
    for file in sorted(Path(__file__).with_name("changes").glob("*.yaml"))
    for path, change in yaml.safe_load(file.read_text("utf-8")).items()
}
PLACES = {place.path: place for place in places(json.loads((CHART / "values.schema.json").read_text("utf-8")))}

Values = dict[str, Any]


def _outer(place: Place) -> list[str]:
    """Return the places around one that have a line, which is then the example of a map or list to try it in."""
    parts = place.path.split(".")
    paths = [".".join(parts[:number]) for number in range(1, len(parts))]
    return [path for path in paths if path in CHANGES]


def _change(place: Place) -> dict[str, Any] | None:
    """Return the change to try: a line, else that of the place it is like, else any other value in an example."""
    if place.path in CHANGES:
        return CHANGES[place.path]
    like = CHANGES.get(place.like)
    if like:
        # Inside a map of models, what belongs to the model belongs to the entry.
        entry, model = place.path.rpartition(".*.")[0] + ".*", place.like.partition(".")[0]
        given = {path.replace(f"{model}.", f"{entry}.", 1): value for path, value in like.get("given", {}).items()}
        return {"to": like["to"], "given": given}
    before = _before(place, {})
    in_example = _outer(place) and held(before, place.path.rpartition(".")[0])
    other = place.another(held(before, place.path)) if in_example else None
    return None if other is None else {"to": other}


def _before(place: Place, change: dict[str, Any]) -> Values:
    """Return what the change is made to: the values it is given, and around a place in a map the map's own example."""
    values = nested(SERVING)
    for outer in _outer(place):
        for path, value in {**CHANGES[outer].get("given", {}), outer: CHANGES[outer]["to"]}.items():
            values = put(values, path, value)
    for path, value in change.get("given", {}).items():
        values = put(values, path, value)
    return values


@pytest.fixture(scope="module")
def rendering(chart: Renderer) -> Iterator[Callable[[Values], Future[str]]]:
    """Renders values in the background, the same ones once."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        started = functools.cache(lambda text: pool.submit(chart.text, json.loads(text)))
        yield lambda values: started(json.dumps(values))


@pytest.fixture(scope="module")
def tried(
    rendering: Callable[[Values], Future[str]], request: pytest.FixtureRequest
) -> dict[str, tuple[Future[str], Future[str]]]:
    """By place of the tests that are to run: what is rendered before the change and after it."""
    found = {}
    for path in {item.callspec.params.get("path") for item in request.session.items if hasattr(item, "callspec")}:
        place = PLACES.get(path)
        change = _change(place) if place else None
        if place and change:
            before = _before(place, change)
            found[place.path] = rendering(before), rendering(put(before, place.path, change["to"]))
    return found


def test_every_value_has_a_change_to_try() -> None:
    assert [path for path, place in PLACES.items() if not _change(place)] == []
    examples = {path for place in PLACES.values() for path in _outer(place)}
    assert sorted(set(CHANGES) - set(PLACES) - examples) == []


@pytest.mark.parametrize("path", PLACES)
def test_no_value_is_dead(tried: dict[str, tuple[Future[str], Future[str]]], path: str) -> None:
    before, after = tried[path]
    assert after.result() != before.result()
