"""Every place in values that holds something: the leaves of values.yaml, and what the schema allows inside free maps.

In the path of a place, `*` stands for any name of a map, or any item of a list: `preload.models.*.source`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """One place; `like` is the path of the one whose schema it takes over, if any."""

    path: str
    like: str = ""


def places(schema: Schema) -> list[Place]:
    """Return all places of a schema whose root is a map."""
    return [place for name, part in schema["properties"].items() for place in _below(Place(name), part, schema)]


def _below(place: Place, part: Schema, root: Schema) -> Iterator[Place]:
    """Yield the places of a part of the schema: itself where it is a leaf, and those of the objects inside."""
    inside = [found for name, child in _children(part) for found in _named(place, name, child, root)]
    if not any(name != "*" for name, _ in _children(part)):
        yield place
    yield from inside


def _named(place: Place, name: str, part: Schema, root: Schema) -> Iterator[Place]:
    like = f"{place.like}.{name}" if place.like else ""
    if "$ref" in part:
        like = part["$ref"].removeprefix("#/properties/").replace("/properties/", ".")
        part = _resolved(part["$ref"], root)
    for found in _below(Place(f"{place.path}.{name}", like), part, root):
        # A map or list of plain things is one place: its entries are what it holds.
        if name != "*" or found.path != f"{place.path}.*":
            yield found


def _children(part: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield what may be inside: named keys, and `*` for any others and for items."""
    yield from part.get("properties", {}).items()
    for entries in (part.get("additionalProperties"), part.get("items")):
        for each in [entries, *entries.get("anyOf", [])] if isinstance(entries, dict) else []:
            if "anyOf" not in each:
                yield "*", each


def _resolved(pointer: str, root: Schema) -> Schema:
    part: Schema = root
    for name in pointer.removeprefix("#/").split("/"):
        part = part[name]
    return part


def put(values: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return values with another one at a place; `*` is the first entry that is there."""
    *parents, last = path.split(".")
    result = copy.deepcopy(dict(values))
    at: Any = result
    for name in parents:
        at = _first(at) if name == "*" else at.setdefault(name, {})
    at[last] = value
    return result


def _first(entries: Any) -> Any:
    return next(iter(entries.values())) if isinstance(entries, dict) else entries[0]
