"""How caches and entries look: the columns of tables, and the documents of `-o json` and `-o yaml`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkube_plugin import pods, units
from llmkube_plugin.model import FETCHING
from llmkube_plugin.output import Column
from llmkube_plugin.space import reclaimable_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from llmkube_plugin.model import Cache, Entry, Failure, Volume

SCHEMA = 1  # of the documents


def entry_columns(now: datetime, *, with_namespace: bool = False) -> list[Column[Entry]]:
    """Return the columns of `cache list` on a cluster."""
    columns: list[Column[Entry]] = [
        Column("RELEASE", lambda entry: ",".join(entry.releases) or "-", shorten=True),
        Column("SOURCE", lambda entry: entry.source or "-", shorten=True),
        Column("REVISION", lambda entry: entry.revision or "-", wide=True),
        Column("KEY", _key),
        Column("CLAIM", lambda entry: entry.claim or "-", shorten=True),
        Column("SIZE", lambda entry: _size(entry, now)),
        Column("STATE", _state),
        Column("USERS", lambda entry: str(len(entry.users))),
        Column("LAST USE", lambda entry: "now" if entry.users else units.age(entry.last_used, now)),
        Column("PODS", lambda entry: ",".join(entry.users) or "-", wide=True),
        Column("CAUSE", _cause, wide=True),
        Column("ACTION", lambda entry: _one_line(entry.failure.action) if entry.failure else "-", wide=True),
    ]
    return [Column("NAMESPACE", lambda entry: entry.namespace), *columns] if with_namespace else columns


def directory_columns(now: datetime) -> list[Column[Entry]]:
    """Return the columns for the entries of a directory, which knows neither releases nor pods."""
    return [
        Column("SOURCE", lambda entry: entry.source or "-", shorten=True),
        Column("REVISION", lambda entry: entry.revision or "-", wide=True),
        Column("KEY", _key),
        Column("SIZE", lambda entry: _size(entry, now)),
        Column("STATE", _state),
        Column("CREATED", lambda entry: units.age(entry.created, now)),
        Column("CAUSE", _cause, wide=True),
    ]


def _size(entry: Entry, now: datetime) -> str:
    """Return the size; one from a report carries the report's age."""
    if entry.bytes is None or entry.scanned:
        return units.size(entry.bytes)
    return f"{units.size(entry.bytes)} ({units.age(entry.observed, now)} ago)"


def _state(entry: Entry) -> str:
    if entry.failure:
        return f"{entry.state} ({'again after ' if entry.state == FETCHING else ''}{entry.failure.name})"
    return f"{entry.state} (orphan)" if entry.orphan else entry.state


def _key(entry: Entry) -> str:
    return entry.key or entry.directory or "-"


def _cause(entry: Entry) -> str:
    """Return what is wrong with an entry."""
    return _one_line(entry.failure.cause if entry.failure else entry.problem)


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "-"


def entry_document(entry: Entry) -> dict[str, Any]:
    """Return an entry for a program: sizes in bytes, times in RFC 3339, null for what is not known."""
    return {
        "namespace": entry.namespace,
        "claim": entry.claim or None,
        "key": entry.key or None,
        "state": entry.state,
        "releases": list(entry.releases),
        "source": entry.source or None,
        "revision": entry.revision or None,
        "bytes": entry.bytes,
        "observed": time(entry.observed),
        "scanned": entry.scanned,
        "users": list(entry.users),
        "lastUsed": time(entry.last_used),
        "failure": failure_document(entry.failure) if entry.failure else None,
        "orphan": entry.orphan,
        "created": time(entry.created),
        "problem": entry.problem or None,
        "directory": entry.directory or None,
        "pinned": entry.pinned,
        "reclaimable": reclaimable_bytes(entry),
    }


def failure_document(failure: Failure) -> dict[str, Any]:
    """Return a failure for a program."""
    return {
        "code": failure.code,
        "name": failure.name,
        "cause": failure.cause,
        "action": failure.action,
        "time": time(failure.time),
        "pod": failure.pod,
    }


def cache_document(cache: Cache, volumes: Iterable[Volume] = ()) -> dict[str, Any]:
    """Return a cache for a program, with the sizes of its volume when it has been read."""
    place = (cache.namespace, cache.claim)
    volume = next((each for each in volumes if (each.namespace, each.claim) == place), None)
    return {
        "namespace": cache.namespace,
        "claim": cache.claim,
        "release": cache.release or None,
        "mode": cache.mode or None,
        "phase": cache.phase,
        "capacity": cache.capacity,
        "accessModes": list(cache.access_modes),
        "storageClass": cache.storage_class or None,
        "mountedBy": [pods.name(pod) for pod in cache.mounted_by],
        "maintenance": pods.name(cache.maintenance) if cache.maintenance else None,
        "volume": {"total": volume.total, "free": volume.free} if volume else None,
    }


def directory_document(volume: Volume, found: Iterable[Entry]) -> dict[str, Any]:
    """Return a local directory for a program."""
    return {
        "schema": SCHEMA,
        "root": volume.claim,
        "entries": [entry_document(replace(entry, claim="")) for entry in found],
        "volume": {"total": volume.total, "free": volume.free},
    }


def space(volume: Volume) -> str:
    """Return how much room there is on a volume."""
    return f"{volume.claim}: {units.size(volume.free)} free of {units.size(volume.total)}"


def time(moment: datetime | None) -> str | None:
    """Return a time for a program: RFC 3339 in UTC, None for one that is not known."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z") if moment else None
