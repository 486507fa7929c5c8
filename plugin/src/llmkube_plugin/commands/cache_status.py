"""`helm llmkube cache status`: how the caches are: space, pods on them, fetches under way, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from llmkube_plugin import contract, fetching, options, pods, render, scan, space, units, volumes, waits
from llmkube_plugin.connection import Connection, connect
from llmkube_plugin.entries import entries
from llmkube_plugin.errors import PluginError
from llmkube_plugin.model import COMPLETE, FAILED, FOREIGN, IN_PLACE
from llmkube_plugin.places import Directory, own_entries

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from llmkube_plugin.kube import Cluster, Object
    from llmkube_plugin.model import Cache, Entry, Volume
    from llmkube_plugin.output import Output
    from llmkube_plugin.scan import Snapshot


@dataclass(frozen=True)
class Status:
    """All there is to say about one cache."""

    cache: Cache
    entries: list[Entry]
    space: space.Space
    fetches: list[fetching.Fetch]
    waits: list[waits.Wait]

    @property
    def failed(self) -> list[Entry]:
        """The entries whose last fetch failed."""
        return [entry for entry in self.entries if entry.failure]

    @property
    def copies(self) -> dict[str, int]:
        """How many of the entries that are wanted, or are there, are complete, and how many could not be fetched."""
        copies = [entry.state for entry in self.entries if entry.state not in (IN_PLACE, FOREIGN)]
        return {"available": copies.count(COMPLETE), "total": len(copies), "failed": copies.count(FAILED)}

    @property
    def known_bytes(self) -> int:
        """The size of all entries whose size is known."""
        return sum(entry.bytes or 0 for entry in self.entries)


@click.command("status")
@click.argument("name", required=False, metavar="[RELEASE|CLAIM]")
@options.cluster_options
@options.all_namespaces_option
@options.directory_option
@options.scan_option
@options.timeout_option
@options.output_options
def cache_status(
    name: str | None,
    connection: Connection,
    all_namespaces: bool,
    directory: Path | None,
    scanning: bool,
    timeout: float,
    output: Output,
) -> None:
    """Show how each cache is: its claim, the pods that mount it, fetches under way, and the last failures.

    How full a volume is comes from the newest report of a pod, with its age, or with --scan from the volume itself.
    """
    options.refuse_with_directory(directory, {"RELEASE|CLAIM": name, "-A": all_namespaces, "--scan": scanning})
    if directory is not None:
        _show_directory(directory, output)
        return
    cluster = connect(connection)
    snapshot = scan.read(cluster, None if all_namespaces else cluster.namespace)
    caches = _chosen(snapshot, name, cluster.namespace)
    seen, failures = volumes.scan(cluster, caches, output, timeout) if scanning else ([], [])
    _show(_statuses(cluster, snapshot, caches, seen), output)
    if not caches:
        output.note("No caches found. -A looks in all namespaces.")
    output.raise_first(failures)


def _show_directory(directory: Path, output: Output) -> None:
    volume = Directory(directory, output).volume()
    found = own_entries(volume)
    if not output.for_people:
        output.document(render.directory_document(volume, found), [volume.claim])
        return
    output.text(render.space(volume))
    output.text(f"  entries: {len(found)}, {units.size(sum(entry.bytes or 0 for entry in found))}")
    for entry in found:
        if entry.state != COMPLETE:
            detail = f": {entry.problem}" if entry.problem else ""
            output.text(f"  {entry.state}: {entry.key or entry.directory}, {units.size(entry.bytes)}{detail}")


def _chosen(snapshot: Snapshot, name: str | None, namespace: str) -> list[Cache]:
    """Return the caches that are the named claim, or belong to or are used by the named release; all without a name."""
    caches = scan.caches(snapshot)
    if name is None:
        return caches
    users = {pods.cache_place(item) for item in snapshot.workloads if pods.label(item, contract.LABEL_RELEASE) == name}
    chosen = [
        cache for cache in caches if name in (cache.claim, cache.release) or (cache.namespace, cache.claim) in users
    ]
    if not chosen:
        raise PluginError(
            f"no release and no claim {name!r} has a cache in namespace {namespace}",
            "See `helm llmkube cache list -A` for what there is.",
        )
    return chosen


def _statuses(cluster: Cluster, snapshot: Snapshot, caches: list[Cache], seen: list[Volume]) -> list[Status]:
    found = scan.by_place(entries(snapshot, caches, seen))
    rooms = space.rooms(snapshot.pods, seen)
    waiting = waits.waits(cluster, snapshot, caches)
    return [
        Status(
            cache,
            found[place],
            space.of(found[place], rooms.get(place)),
            fetching.fetches(cluster, found[place], snapshot.pods),
            waiting[place],
        )
        for cache in caches
        for place in ((cache.namespace, cache.claim),)
    ]


def _show(statuses: list[Status], output: Output) -> None:
    if not output.for_people:
        document = {"schema": render.SCHEMA, "caches": [_document(status) for status in statuses]}
        output.document(document, [status.cache.claim for status in statuses])
        return
    import jinja2

    environment = jinja2.Environment(  # noqa: S701 - plain text for a terminal
        loader=jinja2.PackageLoader("llmkube_plugin"), trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    now = units.now()
    environment.filters |= {"size": units.size, "age": lambda moment: units.age(moment, now)}
    template = environment.get_template("cache-status.txt.j2")
    for status in statuses:
        output.text(
            template.render(
                heading=_heading(status.cache),
                room=_room(status.space.room, now),
                mounts=[_pod_line(pod, status.waits) for pod in status.cache.mounted_by],
                waits=[wait for wait in status.waits if wait.kind != "Pod"],
                status=status,
                wide=output.form == "wide",
            )
        )


def _heading(cache: Cache) -> str:
    facts = [
        cache.phase,
        units.size(cache.capacity) if cache.capacity else "",
        ",".join(cache.access_modes),
        f"class {cache.storage_class}" if cache.storage_class else "",
        f"made by release {cache.release}" if cache.release else "",
    ]
    return f"{cache.namespace}/{cache.claim}: {', '.join(filter(None, facts))}"


def _room(room: space.Room | None, now: datetime) -> str:
    if room is None:
        return "not known yet: no pod has reported, --scan looks"
    when = "" if room.scanned else f", {units.age(room.observed, now)} ago"
    return f"{units.size(room.used)} used, {units.size(room.free)} free of {units.size(room.total)}{when}"


def _pod_line(pod: Object, waiting: list[waits.Wait]) -> str:
    node = pod["spec"].get("nodeName")
    whose = "" if pods.label(pod, contract.LABEL_RELEASE) else ", not from llmkube"
    reason = _reason(pod, waiting)
    place = f" on {node}" if node else ""
    return f"{pods.name(pod)}  {pod['status']['phase']}{place}{whose}" + (f": {reason}" if reason else "")


def _reason(pod: Object, waiting: list[waits.Wait]) -> str:
    return next((wait.reason for wait in waiting if (wait.kind, wait.name) == ("Pod", pods.name(pod))), "")


def _document(status: Status) -> dict[str, Any]:
    return {
        **render.cache_document(status.cache),
        "space": space.document(status.space),
        "copies": status.copies,
        "pods": [_pod_document(pod, status.waits) for pod in status.cache.mounted_by],
        "fetching": [_fetch_document(fetch) for fetch in status.fetches],
        "waiting": [vars(wait) for wait in status.waits],
        "entries": [render.entry_document(entry) for entry in status.entries],
    }


def _pod_document(pod: Object, waiting: list[waits.Wait]) -> dict[str, Any]:
    return {
        "name": pods.name(pod),
        "phase": pod["status"].get("phase"),
        "node": pod["spec"].get("nodeName"),
        "key": pods.label(pod, contract.LABEL_KEY) or None,
        "waiting": _reason(pod, waiting) or None,
    }


def _fetch_document(fetch: fetching.Fetch) -> dict[str, Any]:
    far = fetch.progress
    return {
        "pod": fetch.pod,
        "key": fetch.key or None,
        "source": fetch.source or None,
        "progress": fetch.said,
        "bytesDone": far.done if far else None,
        "bytesTotal": far.total if far else None,
        "bytesPerSecond": far.rate if far and not fetch.stalled else None,
        "secondsLeft": far.left if far and not fetch.stalled else None,
        "stalled": fetch.stalled or None,
    }
