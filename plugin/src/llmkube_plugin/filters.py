"""Chooses and orders entries: `--filter 'size>10Gi'`, `--sort size:asc`."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from llmkube_plugin import units

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import datetime

    from llmkube_plugin.model import Entry

_EXPRESSION = re.compile(r"\s*([a-z]+)\s*(!=|>=|<=|>|<|=)\s*(\S(?:.*\S)?)\s*")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_EQUALITY = ("=", "!=")

_TEXTS: dict[str, Callable[[Entry], Collection[str]]] = {
    "claim": lambda entry: (entry.claim,),
    "key": lambda entry: (entry.key,),
    "namespace": lambda entry: (entry.namespace,),
    "release": lambda entry: entry.releases or ("",),
    "revision": lambda entry: (entry.revision,),
    "source": lambda entry: (entry.source,),
    "state": lambda entry: (entry.state,),
}
# What is measured, and how its values are written.
_NUMBERS: dict[str, tuple[Callable[[Entry, datetime], float | None], Callable[[str], float | None], str]] = {
    "accessed": (lambda entry, now: _idle(entry, now), units.seconds, "7d or 12h"),
    "created": (lambda entry, now: _seconds(entry.created, now), units.seconds, "7d or 12h"),
    "size": (lambda entry, _: entry.bytes, lambda text: units.quantity(text.removesuffix("B")), "10Gi, 500M or bytes"),
    "users": (lambda entry, _: len(entry.users), lambda text: int(text) if text.isdigit() else None, "a number"),
}

# What entries are sorted by, and whether the largest comes first unless it is said.
_SORTS: dict[str, tuple[Callable[[Entry, datetime], Any], bool]] = {
    # Ages grow backwards: the newest is the youngest.
    "accessed": (lambda entry, now: _negative(_idle(entry, now)), True),
    "created": (lambda entry, now: _negative(_seconds(entry.created, now)), True),
    "name": (lambda entry, _: (entry.source or entry.directory).lower(), False),
    "size": (lambda entry, _: entry.bytes, True),
}
SORTS = [f"{name}{order}" for name in _SORTS for order in ("", ":asc", ":desc")]


def _idle(entry: Entry, now: datetime) -> float | None:
    """Return the seconds since an entry was last used; none have passed while a pod uses it."""
    return 0.0 if entry.users else _seconds(entry.last_used, now)


def _seconds(moment: datetime | None, now: datetime) -> float | None:
    return (now - moment).total_seconds() if moment else None


def _negative(number: float | None) -> float | None:
    return None if number is None else -number


@dataclass(frozen=True)
class Filter:
    """One condition, of a field, an operator and a value. What is not known of an entry meets none that compares."""

    field: str
    comparison: str
    value: str | float

    def chooses(self, entry: Entry, now: datetime) -> bool:
        """Return whether an entry meets the condition."""
        if self.field in _TEXTS:
            found = any(fnmatchcase(text, str(self.value)) for text in _TEXTS[self.field](entry))
            return found == (self.comparison == "=")
        number = _NUMBERS[self.field][0](entry, now)
        return number is not None and _OPERATORS[self.comparison](number, self.value)


class FilterType(click.ParamType[Filter]):
    """A condition on the command line."""

    name = "filter"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Filter:
        """Read the text; fail with the grammar when it is no condition."""
        match = _EXPRESSION.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is no filter; write FIELD, one of = != > < >= <=, and a value: size>10Gi", param, ctx)
        field, comparison, text = match.groups()
        if field in _TEXTS:
            if comparison not in _EQUALITY:
                self.fail(f"{value!r}: {field} is text, and only = and != compare it", param, ctx)
            return Filter(field, comparison, text)
        if field not in _NUMBERS:
            known = ", ".join(sorted({*_TEXTS, *_NUMBERS}))
            self.fail(f"{value!r}: there is no field {field!r}, only {known}", param, ctx)
        _, read, example = _NUMBERS[field]
        number = read(text)
        if number is None:
            self.fail(f"{value!r}: {text!r} is not what {field} is compared with; write {example}", param, ctx)
        return Filter(field, comparison, number)


def ordered(found: Iterable[Entry], by: str, now: datetime) -> list[Entry]:
    """Return entries in the order of one of SORTS; what is not known of comes last in either direction."""
    name, _, order = by.partition(":")
    value, descending = _SORTS[name]
    descending = order == "desc" if order else descending
    valued = [(value(entry, now), entry) for entry in found]
    known = [each for each in valued if each[0] not in (None, "")]
    unknown = [entry for number, entry in valued if number in (None, "")]
    return [*(entry for _, entry in sorted(known, key=operator.itemgetter(0), reverse=descending)), *unknown]
