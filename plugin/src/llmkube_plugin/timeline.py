"""Lays the fetches of a report out along time: one lane for each cache that anything was heard of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from llmkube_plugin import units
from llmkube_plugin.history import HIT, RUNNING
from llmkube_plugin.model import FAILED

if TYPE_CHECKING:
    from llmkube_plugin.facts import Facts
    from llmkube_plugin.history import Fetch
    from llmkube_plugin.model import Cache

_MARGIN = 1.5  # percent on either side, so that a mark at an end is not cut off
_SHORTEST = timedelta(minutes=1)
_MOST_TICKS = 5
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = (
    *(10, 30, _MINUTE, 5 * _MINUTE, 15 * _MINUTE),
    *(_HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR),
    *(_DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 90 * _DAY, 180 * _DAY, 365 * _DAY),
)


@dataclass(frozen=True)
class Mark:
    """A fetch on its lane: `start` and `width` in percent, `kind` is download, hit, failed or running."""

    kind: str
    start: float
    width: float
    words: str

    @property
    def end(self) -> float:
        """Where it ends, in percent."""
        return self.start + self.width


@dataclass(frozen=True)
class Lane:
    """The fetches into one cache."""

    cache: Cache
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Tick:
    """A time on the axis, in percent, and its name."""

    at: float
    label: str


def lanes(found: Facts) -> list[Lane]:
    """Return a lane for each cache of whose fetches it is known when they began."""
    low, high = _range(found)
    made = []
    for holding in found.holdings:
        marks = tuple(_mark(fetch, low, high) for fetch in reversed(holding.fetches) if fetch.started)
        if marks:
            made.append(Lane(holding.cache, marks))
    return made


def ticks(found: Facts) -> list[Tick]:
    """Return the times that the axis names: round ones in UTC."""
    low, high = _range(found)
    span = (high - low).total_seconds()
    step = next((step for step in _STEPS if span / step <= _MOST_TICKS), span / _MOST_TICKS)
    first = -(-low.timestamp() // step) * step
    times = [datetime.fromtimestamp(first + index * step, timezone.utc) for index in range(_MOST_TICKS + 1)]
    return [Tick(_at(time, low, high), _label(time, step)) for time in times if time <= high]


def _range(found: Facts) -> tuple[datetime, datetime]:
    """Return the time from the first fetch until the report was made."""
    times = [fetch.started for fetch in found.fetches if fetch.started]
    low = min([*times, found.made - _SHORTEST])
    return low, found.made


def _mark(fetch: Fetch, low: datetime, high: datetime) -> Mark:
    started = fetch.started or low
    ended = high if fetch.result == RUNNING else started + timedelta(seconds=fetch.seconds or 0)
    start, end = _at(started, low, high), _at(ended, low, high)
    kind = fetch.result if fetch.result in (HIT, RUNNING, FAILED) else "download"
    return Mark(kind, start, end - start, _words(fetch, started))


def _at(moment: datetime, low: datetime, high: datetime) -> float:
    """Return where a time lies, in percent; a clock that is ahead is held back."""
    share = (min(max(moment, low), high) - low) / (high - low)
    return _MARGIN + share * (100 - 2 * _MARGIN)


def _words(fetch: Fetch, started: datetime) -> str:
    what = fetch.source or fetch.key
    told = [f"{what} in {fetch.pod}", fetch.result, f"{started:%Y-%m-%d %H:%M:%S} UTC"]
    told += [units.duration(fetch.seconds)] if fetch.seconds else []
    told += [units.size(fetch.fetched)] if fetch.fetched else []
    return ", ".join(told)


def _label(moment: datetime, step: float) -> str:
    if step < _MINUTE:
        return f"{moment:%H:%M:%S}"
    if step < _DAY:
        return f"{moment.day} {moment:%b}" if (moment.hour, moment.minute) == (0, 0) else f"{moment:%H:%M}"
    return f"{moment:%b %Y}" if step >= 90 * _DAY else f"{moment.day} {moment:%b}"
