"""All that a report tells: the caches of a namespace, a cluster or a directory, and what they were made out from."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmkube_plugin import __version__, contract, history, render, scan, space, units
from llmkube_plugin.entries import entries
from llmkube_plugin.model import Cache

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from llmkube_plugin.errors import PluginError
    from llmkube_plugin.history import Fetch
    from llmkube_plugin.model import Entry, Volume
    from llmkube_plugin.scan import Place, Snapshot
    from llmkube_plugin.space import Space

GENERATOR = f"llmkube {__version__}"


@dataclass(frozen=True)
class Holding:
    """One cache with what it holds. Without a claim it stands for the pods' own directories of a namespace."""

    cache: Cache
    entries: tuple[Entry, ...]
    space: Space
    fetches: tuple[Fetch, ...] = ()

    @property
    def is_cache(self) -> bool:
        """False for what is served from where it is, and for directories that go with their pods."""
        return bool(self.cache.claim) and self.cache.mode != contract.MODE_IN_PLACE

    @property
    def failed(self) -> list[Entry]:
        """The entries whose last fetch failed."""
        return [entry for entry in self.entries if entry.failure]


@dataclass(frozen=True)
class Facts:
    """What was found, when, and where.

    `server` is empty for a directory, `namespace` None for all of them. `scanned` says that the volumes themselves were
    read; `unread` are the reasons why some could not be.
    """

    made: datetime
    holdings: tuple[Holding, ...]
    server: str = ""
    namespace: str | None = None
    scanned: bool = False
    unread: tuple[PluginError, ...] = field(default=())

    @property
    def caches(self) -> list[Holding]:
        """The holdings that are caches."""
        return [holding for holding in self.holdings if holding.is_cache]

    @property
    def fetches(self) -> list[Fetch]:
        """All fetches, the newest first."""
        return history.newest_first(fetch for holding in self.holdings for fetch in holding.fetches)

    @property
    def errors(self) -> int:
        """How many entries could not be downloaded, and volumes not be read."""
        return len(self.unread) + sum(len(holding.failed) for holding in self.holdings)

    def total(self, name: str) -> int:
        """Return the sum of a number of Space over all caches."""
        return sum(getattr(holding.space, name) for holding in self.caches)


def holdings(snapshot: Snapshot, caches: Iterable[Cache], volumes: Iterable[Volume]) -> tuple[Holding, ...]:
    """Return what all caches hold, by namespace and claim; those of a cluster's objects and of the volumes read."""
    by_place = {(cache.namespace, cache.claim): cache for cache in caches}
    rooms = space.rooms(snapshot.pods, volumes)
    held = scan.by_place(entries(snapshot, by_place.values(), volumes))
    ran: dict[Place, list[Fetch]] = defaultdict(list)
    for fetch in history.fetches(snapshot.pods):
        ran[fetch.namespace, fetch.claim].append(fetch)
    return tuple(
        holding(by_place.get(place) or Cache(*place), held[place], rooms.get(place), ran[place])
        for place in sorted({*by_place, *held})
    )


def holding(cache: Cache, found: Iterable[Entry], room: space.Room | None, fetches: Iterable[Fetch] = ()) -> Holding:
    """Return what one cache holds, the largest entries first."""
    ordered = sorted(found, key=lambda entry: (-(entry.bytes or 0), entry.source, entry.key))
    return Holding(cache, tuple(ordered), space.of(ordered, room), tuple(fetches))


def document(facts: Facts) -> dict[str, Any]:
    """Return all of it for a program: sizes in bytes, times in RFC 3339, null for what is not known."""
    return {
        "schema": render.SCHEMA,
        "generator": GENERATOR,
        "made": units.timestamp(facts.made),
        "server": facts.server or None,
        "namespace": facts.namespace,
        "scanned": facts.scanned,
        "unread": [{"message": error.message, "action": error.action} for error in facts.unread],
        "caches": [_holding_document(holding) for holding in facts.holdings],
    }


def _holding_document(holding: Holding) -> dict[str, Any]:
    about = render.cache_document(holding.cache)
    del about["volume"]  # `space` tells that, and more
    return {
        **about,
        "claim": holding.cache.claim or None,
        "space": space.document(holding.space),
        "entries": [render.entry_document(entry) for entry in holding.entries],
        "fetches": [_fetch_document(fetch) for fetch in holding.fetches],
    }


def _fetch_document(fetch: Fetch) -> dict[str, Any]:
    return {
        "pod": fetch.pod,
        "key": fetch.key or None,
        "source": fetch.source or None,
        "result": fetch.result,
        "started": units.timestamp(fetch.started),
        "seconds": fetch.seconds,
        "bytesFetched": fetch.fetched,
        "bytesReused": fetch.reused,
        "bytesPerSecond": round(fetch.rate) if fetch.rate else None,
        "failure": render.failure_document(fetch.failure) if fetch.failure else None,
    }
