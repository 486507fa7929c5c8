"""Every place in values that holds something: the leaves of values.yaml, and what the schema allows inside free maps.

In the path of a place, `*` stands for any name of a map, or any item of a list: `preload.models.*.source`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Schema = dict[str, Any]
_CHANGES: dict[str, Callable[[Any], Any]] = {
    "boolean": lambda value: not value,
    "integer": lambda value: (value or 0) + 1,
    "string": lambda value: f"{value or ''}x",
    "array": lambda value: value[:-1] if value else ["x"],
    "object": lambda value: {**(value or {}), "x": "x"},
}


@dataclass(frozen=True)
class Place:
    """One place.

    - like: the path of the one whose schema it takes over, if any.
    - schema: what may be there.
    """

    path: str
    like: str = ""
    schema: Schema = field(default_factory=dict, compare=False)

    def another(self, value: Any) -> Any:
        """Return another value than the one that is there, or None when it takes a person to find one."""
        if self.schema.get("enum"):
            return next(option for option in reversed(self.schema["enum"]) if option != value)
        kinds = self.schema.get("type", [])
        for kind, change in _CHANGES.items():
            if kind in kinds if isinstance(kinds, list) else kind == kinds:
                return change(value)
        return None


def places(schema: Schema) -> list[Place]:
    """Return all places of a schema whose root is a map."""
    return [place for name, part in schema["properties"].items() for place in _below(Place(name), part, schema)]


def _below(place: Place, part: Schema, root: Schema) -> Iterator[Place]:
    """Yield the places of a part of the schema: itself where it is a leaf, and those of the objects inside."""
    inside = [found for name, child in _children(part) for found in _named(place, name, child, root)]
    if not any(name != "*" for name, _ in _children(part)):
        yield replace(place, schema=part)
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


def held(values: Mapping[str, Any], path: str) -> Any:
    """Return what is at a place; None when nothing is."""
    at: Any = values
    for name in path.split("."):
        if not at:
            return None
        at = _first(at) if name == "*" else at.get(name)
    return at


def _first(entries: Any) -> Any:
    return next(iter(entries.values())) if isinstance(entries, dict) else entries[0]
