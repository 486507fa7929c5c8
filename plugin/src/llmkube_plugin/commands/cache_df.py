"""`helm llmkube cache df`: who holds the space of each cache, and what of it can be had back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from llmkube_plugin import contract, options, render, scan, space, units, volumes
from llmkube_plugin.connection import Connection, connect
from llmkube_plugin.entries import entries
from llmkube_plugin.output import Column
from llmkube_plugin.places import Directory, own_entries

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from llmkube_plugin.model import Cache, Entry, Volume
    from llmkube_plugin.output import Output
    from llmkube_plugin.scan import Snapshot


@dataclass(frozen=True)
class Holding:
    """A claim or a directory, with what lies there; `capacity` is the size of the claim."""

    namespace: str
    name: str
    capacity: int | None
    entries: list[Entry]
    space: space.Space

    @property
    def scanned(self) -> bool:
        """Whether the volume itself was read. Without that, what no pod reported is among the rest."""
        return bool(self.space.room and self.space.room.scanned)


@click.command("df")
@options.cluster_options
@options.all_namespaces_option
@options.directory_option
@options.scan_option
@options.timeout_option
@options.output_options
def cache_df(
    connection: Connection,
    all_namespaces: bool,
    directory: Path | None,
    scanning: bool,
    timeout: float,
    output: Output,
) -> None:
    """Show who holds the space of each cache, and what of it can be had back.

    The numbers come from what pods reported, with the age of the report. With --scan the volumes themselves are read:
    only then orphans, unfinished attempts and trash are known. -o wide adds a line for each entry.
    """
    options.refuse_with_directory(directory, {"-A": all_namespaces, "--scan": scanning})
    if directory is not None:
        _show([_of_directory(directory, output)], output)
        return
    cluster = connect(connection)
    snapshot = scan.read(cluster, None if all_namespaces else cluster.namespace)
    caches = [cache for cache in scan.caches(snapshot) if cache.mode != contract.MODE_IN_PLACE]
    seen, failures = volumes.scan(cluster, caches, output, timeout) if scanning else ([], [])
    _show(_holdings(snapshot, caches, seen), output)
    if not caches:
        output.note("No caches found." + ("" if all_namespaces else " -A looks in all namespaces."))
    output.raise_first(failures)


def _holdings(snapshot: Snapshot, caches: list[Cache], seen: list[Volume]) -> list[Holding]:
    rooms = space.rooms(snapshot.pods, seen)
    by_place = scan.by_place(entries(snapshot, caches, seen))
    return [
        Holding(*place, cache.capacity, by_place[place], space.of(by_place[place], rooms.get(place)))
        for cache in caches
        for place in ((cache.namespace, cache.claim),)
    ]


def _of_directory(directory: Path, output: Output) -> Holding:
    volume = Directory(directory, output).volume()
    found = own_entries(volume)
    room = space.rooms([], [volume]).get((volume.namespace, volume.claim))
    return Holding("", volume.claim, None, found, space.of(found, room))


def _show(holdings: list[Holding], output: Output) -> None:
    if not output.for_people:
        document = {"schema": render.SCHEMA, "caches": [_document(holding) for holding in holdings]}
        output.document(document, [holding.name for holding in holdings])
        return
    with_namespace = len({holding.namespace for holding in holdings}) > 1
    output.rows(_columns(units.now(), with_namespace=with_namespace), holdings)
    if output.form == "wide":
        rows = [(holding, entry) for holding in holdings for entry in _largest_first(holding.entries)]
        output.text("")
        output.rows(_ENTRY_COLUMNS, rows)
    unread = [holding.name for holding in holdings if not holding.scanned]
    if unread:
        output.note("Orphans, unfinished attempts and trash are among OTHER, as nobody reports them: --scan looks.")


def _columns(now: datetime, *, with_namespace: bool) -> list[Column[Holding]]:
    columns: list[Column[Holding]] = [
        Column("CACHE", lambda held: held.name, shorten=True),
        Column("CLAIMED", lambda held: units.size(held.capacity), wide=True),
        Column("SIZE", lambda held: units.size(held.space.room.total if held.space.room else None)),
        Column("USED", lambda held: units.size(held.space.room.used if held.space.room else None)),
        Column("FREE", lambda held: units.size(held.space.room.free if held.space.room else None)),
        Column("IN USE", lambda held: units.size(held.space.in_use)),
        Column("NOT USED", lambda held: units.size(held.space.unused)),
        Column("ORPHANS", lambda held: _if_seen(held, held.space.orphans)),
        Column("PARTIAL", lambda held: _if_seen(held, held.space.partial)),
        Column("TRASH", lambda held: _if_seen(held, held.space.trash)),
        Column("OTHER", lambda held: units.size(held.space.other)),
        Column("RECLAIMABLE", lambda held: units.size(held.space.reclaimable)),
        Column("SEEN", lambda held: _seen(held, now)),
    ]
    return [Column("NAMESPACE", lambda held: held.namespace), *columns] if with_namespace else columns


_ENTRY_COLUMNS: list[Column[tuple[Holding, Entry]]] = [
    Column("CACHE", lambda row: row[0].name),
    Column("SOURCE", lambda row: row[1].source or "-"),
    Column("KEY", lambda row: row[1].key or row[1].directory or "-"),
    Column("SIZE", lambda row: units.size(row[1].bytes)),
    Column("PARTIAL", lambda row: units.size(row[1].unfinished)),
    Column("STATE", lambda row: row[1].state),
    Column("HELD AS", lambda row: space.holder(row[1]) or "-"),
    Column("RECLAIMABLE", lambda row: units.size(space.reclaimable_bytes(row[1]))),
]


def _if_seen(held: Holding, count: int) -> str:
    return units.size(count if held.scanned or count else None)


def _seen(held: Holding, now: datetime) -> str:
    room = held.space.room
    if room is None:
        return "never"
    return "now" if room.scanned else f"{units.age(room.observed, now)} ago"


def _largest_first(found: Iterable[Entry]) -> list[Entry]:
    return sorted(found, key=lambda entry: -(entry.bytes or 0))


def _document(held: Holding) -> dict[str, Any]:
    return {
        "namespace": held.namespace or None,
        "cache": held.name,
        "capacity": held.capacity,
        "space": space.document(held.space),
        "entries": [_entry_document(entry) for entry in _largest_first(held.entries)],
    }


def _entry_document(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key or None,
        "directory": entry.directory or None,
        "source": entry.source or None,
        "state": entry.state,
        "bytes": entry.bytes,
        "partial": entry.unfinished,
        "heldAs": space.holder(entry) or None,
        "reclaimable": space.reclaimable_bytes(entry),
    }
