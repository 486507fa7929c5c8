"""Who holds the space of a cache, and what of it can be had back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkube_plugin import contract, pods, units
from llmkube_plugin.model import ABSENT, FAILED, FETCHING, FOREIGN, IN_PLACE, PENDING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from llmkube_plugin.kube import Object
    from llmkube_plugin.model import Entry, Volume
    from llmkube_plugin.scan import Place

# Of these nothing is known to lie on the volume.
_NOT_THERE = (PENDING, IN_PLACE, ABSENT)


@dataclass(frozen=True)
class Room:
    """Size of a volume's file system and what is free of it, in bytes, as a pod or a scan saw it at one time.

    `trash` and `adopting` are those of a Volume, which only a scan sees.
    """

    total: int
    free: int
    observed: datetime | None
    scanned: bool = False
    trash: int = 0
    adopting: int = 0

    @property
    def used(self) -> int:
        """The bytes that are not free, by whomever they are taken."""
        return self.total - self.free


@dataclass(frozen=True)
class Space:
    """The bytes of a cache by who holds them; each byte counts once.

    `in_use`: entries that pods may have open. `unused`: entries that a release names, or that are pinned, and that no
    pod has open. `orphans`: entries that no release names. `partial`: unfinished attempts and adoptions, and what was
    moved aside. `trash`: what was removed and is not gone yet, which the next removal sees to. `other`: what is on the
    file system beside, None when nobody has looked at it. `reclaimable` are those bytes that clearing frees without
    force. `unmeasured` counts the entries whose size nobody has told yet. `room` is None when nobody has looked at the
    file system.
    """

    in_use: int
    unused: int
    orphans: int
    partial: int
    trash: int
    other: int | None
    reclaimable: int
    unmeasured: int
    room: Room | None

    @property
    def known(self) -> int:
        """The bytes of the cache whose holder is known."""
        return self.in_use + self.unused + self.orphans + self.partial + self.trash


def of(found: Iterable[Entry], room: Room | None) -> Space:
    """Return who holds the space of one cache, from its entries (those of other caches must not be among them).

    Sizes and room may have been seen at different times; then `other` is at least 0.
    """
    trash, adopting = (room.trash, room.adopting) if room else (0, 0)
    held = {"in_use": 0, "unused": 0, "orphans": 0, "partial": adopting, "trash": trash}
    foreign = unmeasured = 0
    reclaimable = trash
    for entry in found:
        if entry.state in _NOT_THERE:
            unmeasured += entry.state == PENDING
            continue
        unmeasured += entry.bytes is None and entry.state != FAILED
        whole = (entry.bytes or 0) - entry.unfinished
        if entry.state == FOREIGN:
            foreign += whole
        else:
            held[_holder(entry)] += whole
        held["partial"] += entry.unfinished
        reclaimable += reclaimable_bytes(entry)
    other = max(room.used - sum(held.values()), foreign) if room else None
    return Space(**held, other=other, reclaimable=reclaimable, unmeasured=unmeasured, room=room)


def is_used(entry: Entry) -> bool:
    """Return whether pods may have an entry open. Of a local directory no pods are known: all leases count there."""
    return bool(entry.users or (entry.leases and not entry.namespace))


def reclaimable_bytes(entry: Entry) -> int:
    """Return the bytes that clearing an entry frees without force."""
    kept = is_used(entry) or entry.pinned or entry.state in (*_NOT_THERE, FETCHING, FOREIGN)
    return 0 if kept else entry.bytes or 0


def _holder(entry: Entry) -> str:
    if is_used(entry):
        return "in_use"
    return "orphans" if entry.orphan and not entry.pinned else "unused"


def holder(entry: Entry) -> str:
    """Return as what an entry holds its space, in words; empty for one that is not on the volume."""
    if entry.state in _NOT_THERE or entry.bytes is None:
        return ""
    if entry.state == FOREIGN:
        return "other"
    if entry.unfinished == entry.bytes:
        return "partial"
    words = {"in_use": "in use", "orphans": "orphan"}
    return words.get(_holder(entry), "pinned" if entry.pinned else "not used")


def document(held: Space) -> dict[str, Any]:
    """Return who holds the space of a cache for a program; what only a scan sees is null without one."""
    room = held.room
    scanned = bool(room and room.scanned)
    return {
        "total": room.total if room else None,
        "used": room.used if room else None,
        "free": room.free if room else None,
        "inUse": held.in_use,
        "unused": held.unused,
        "orphans": held.orphans if scanned or held.orphans else None,
        "partial": held.partial if scanned or held.partial else None,
        "trash": held.trash if scanned else None,
        "other": held.other,
        "reclaimable": held.reclaimable,
        "unmeasured": held.unmeasured,
        "observed": units.timestamp(room.observed) if room else None,
        "scanned": scanned,
    }


def rooms(all_pods: Iterable[Object], volumes: Iterable[Volume] = ()) -> dict[Place, Room]:
    """Return what is known of each claim's file system: from a scan, else from the newest report of a pod of ours."""
    found: dict[Place, Room] = {}
    for pod in all_pods:
        place = pods.cache_place(pod)
        if not (place[1] and pods.label(pod, contract.LABEL_RELEASE)):
            continue
        for end in pods.ended(pod, ""):
            room = _reported(end)
            if room and _is_newer(room, found.get(place)):
                found[place] = room
    for volume in volumes:
        if volume.total is not None and volume.free is not None:
            seen = Room(volume.total, volume.free, volume.observed, True, volume.trash, volume.adopting)
            found[volume.namespace, volume.claim] = seen
    return found


def _reported(end: pods.Ended) -> Room | None:
    told = end.report.get("volume")
    if isinstance(told, dict) and isinstance(told.get("total"), int) and isinstance(told.get("free"), int):
        return Room(told["total"], told["free"], end.finished)
    return None


def _is_newer(room: Room, known: Room | None) -> bool:
    if known is None or known.observed is None:
        return True
    return room.observed is not None and room.observed > known.observed
