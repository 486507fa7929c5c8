"""What prune removes: a function of what is on the volume."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# An attempt that nobody went on with for a day is not worth its space; a damaged copy is left for who looks into it.
ATTEMPT_SECONDS = 86400.0
DAMAGED_SECONDS = 7 * 86400.0


class Kind(enum.Enum):
    """What takes space.

    - ENTRY: what starters of a key open, or would open if it were not damaged.
    - SUPERSEDED: an older generation of a key.
    - DAMAGED: a damaged copy that a fetch moved aside, or a damaged generation in place of which an older one is used.
    - ATTEMPT: what an unfinished fetch received.
    """

    ENTRY = "entry"
    SUPERSEDED = "superseded"
    DAMAGED = "damaged"
    ATTEMPT = "attempt"


class Reason(enum.Enum):
    """Why something is removed."""

    ATTEMPT = "attempt"
    DAMAGED = "damaged"
    SUPERSEDED = "superseded"
    OLDER_THAN = "older-than"
    UNUSED = "unused"
    MAX_BYTES = "max-bytes"
    MIN_FREE = "min-free"


@dataclass(frozen=True)
class Item:
    """Something that takes space.

    - path: where it lies.
    - key: whose it is.
    - kind: what it is.
    - bytes: what it takes.
    - used: when it was last used: of an entry that is its newest lease or its creation, of all others the time at which
      they became what they are. Seconds of the file server.
    - kept: why it must not be removed, in words; empty when it may.
    """

    path: Path
    key: str
    kind: Kind
    bytes: int
    used: float
    kept: str = ""


@dataclass(frozen=True)
class Criteria:
    """What a user wants. What one of them asks for is removed; the others then count it as gone.

    - older_than: entries that nobody used for so many seconds go.
    - unused: entries that nobody uses now go.
    - max_bytes: entries go, the longest unused first, until everything takes no more than that.
    - min_free: entries go, the longest unused first, until so many bytes are free on the volume.
    """

    older_than: float | None = None
    unused: bool = False
    max_bytes: int | None = None
    min_free: int | None = None

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is asked for."""
        return self == Criteria()


@dataclass(frozen=True)
class Victim:
    """Something to remove, and why."""

    item: Item
    reason: Reason


@dataclass(frozen=True)
class Plan:
    """What to remove, in this order, and what is still missing then.

    - over: bytes above max_bytes.
    - short: bytes below min_free.
    """

    victims: list[Victim]
    over: int
    short: int


def plan(items: Sequence[Item], criteria: Criteria, now: float, free: int) -> Plan:
    """Return what to remove.

    - now: seconds of the file server.
    - free: bytes that are free on the volume.
    """
    outright = [Victim(item, reason) for item in items if not item.kept and (reason := _outright(item, criteria, now))]
    victims = sorted(outright, key=lambda victim: _PRECEDENCE.index(victim.reason))
    gone = [victim.item for victim in victims]
    total = sum(item.bytes for item in items) - sum(item.bytes for item in gone)
    free += sum(item.bytes for item in gone)
    removable = [item for item in items if item.kind in _UNDER_PRESSURE and not item.kept and item not in gone]
    for item in sorted(removable, key=lambda item: (_UNDER_PRESSURE.index(item.kind), item.used)):
        over, short = _missing(criteria, total, free)
        if not over and not short:
            break
        victims.append(Victim(item, Reason.MAX_BYTES if over else Reason.MIN_FREE))
        total, free = total - item.bytes, free + item.bytes
    return Plan(victims, *_missing(criteria, total, free))


# What costs nobody anything goes first, in case that the run is cut short.
_PRECEDENCE = (Reason.ATTEMPT, Reason.DAMAGED, Reason.SUPERSEDED, Reason.OLDER_THAN, Reason.UNUSED)
_UNDER_PRESSURE = (Kind.DAMAGED, Kind.ENTRY)


def _outright(item: Item, criteria: Criteria, now: float) -> Reason | None:
    """Return why an item goes whatever the others take; None when that does not decide it."""
    age = now - item.used
    if item.kind is Kind.ATTEMPT:
        return Reason.ATTEMPT if age > ATTEMPT_SECONDS else None
    if item.kind is Kind.SUPERSEDED:
        return Reason.SUPERSEDED
    if item.kind is Kind.DAMAGED and age > DAMAGED_SECONDS:
        return Reason.DAMAGED
    if criteria.older_than is not None and age > criteria.older_than:
        return Reason.OLDER_THAN
    return Reason.UNUSED if criteria.unused else None


def _missing(criteria: Criteria, total: int, free: int) -> tuple[int, int]:
    """Return the bytes above max_bytes and those below min_free."""
    over = max(0, total - criteria.max_bytes) if criteria.max_bytes is not None else 0
    short = max(0, criteria.min_free - free) if criteria.min_free is not None else 0
    return over, short
