"""`helm llmkube cache status`: how the caches are: claims, pods on them, fetches under way, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from llmkube_plugin import contract, options, pods, render, scan, units
from llmkube_plugin.connection import Connection, connect
from llmkube_plugin.entries import entries
from llmkube_plugin.errors import PluginError
from llmkube_plugin.model import COMPLETE, FETCHING
from llmkube_plugin.places import Directory, own_entries

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_plugin.kube import Cluster, Object
    from llmkube_plugin.model import Cache, Entry
    from llmkube_plugin.output import Output

_TAIL = 5  # lines of a log in which the newest progress is looked for


@dataclass(frozen=True)
class Fetch:
    """A fetch under way: its pod, what it fetches, and the last thing it said."""

    pod: str
    key: str
    source: str
    progress: str


@dataclass(frozen=True)
class Status:
    """All there is to say about one cache."""

    cache: Cache
    entries: list[Entry]
    fetches: list[Fetch]

    @property
    def failed(self) -> list[Entry]:
        """The entries whose last fetch failed."""
        return [entry for entry in self.entries if entry.failure]

    @property
    def known_bytes(self) -> int:
        """The size of all entries whose size was reported."""
        return sum(entry.bytes or 0 for entry in self.entries)


@click.command("status")
@click.argument("name", required=False, metavar="[RELEASE|CLAIM]")
@options.cluster_options
@options.all_namespaces_option
@options.directory_option
@options.output_options
def cache_status(
    name: str | None, connection: Connection, all_namespaces: bool, directory: Path | None, output: Output
) -> None:
    """Show how each cache is: its claim, the pods that mount it, fetches under way, and the last failures."""
    options.refuse_with_directory(directory, {"RELEASE|CLAIM": name, "-A": all_namespaces})
    if directory is not None:
        _show_directory(directory, output)
        return
    cluster = connect(connection)
    snapshot = scan.read(cluster, None if all_namespaces else cluster.namespace)
    caches = scan.caches(snapshot)
    found = entries(snapshot, caches)
    chosen = [_status(cluster, cache, found, snapshot.pods) for cache in caches if _is_meant(cache, found, name)]
    if name and not chosen:
        raise PluginError(
            f"no release and no claim {name!r} has a cache in namespace {cluster.namespace}",
            "See `helm llmkube cache list -A` for what there is.",
        )
    _show(chosen, output)
    if not chosen:
        output.note("No caches found. -A looks in all namespaces.")


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


def _is_meant(cache: Cache, found: list[Entry], name: str | None) -> bool:
    """Return whether a cache is the named claim, or belongs to or is used by the named release."""
    if name is None or name in (cache.claim, cache.release):
        return True
    return any(name in entry.releases for entry in _entries_of(cache, found))


def _entries_of(cache: Cache, found: list[Entry]) -> list[Entry]:
    return [entry for entry in found if (entry.namespace, entry.claim) == (cache.namespace, cache.claim)]


def _status(cluster: Cluster, cache: Cache, found: list[Entry], all_pods: tuple[Object, ...]) -> Status:
    mine = _entries_of(cache, found)
    fetching = [entry for entry in mine if entry.state == FETCHING]
    by_name = {pods.name(pod): pod for pod in all_pods if pods.namespace(pod) == cache.namespace}
    fetches = [
        Fetch(user, entry.key, entry.source, _progress(cluster, cache.namespace, user, container))
        for entry in fetching
        for user in entry.users
        for container in (pods.fetch_container(by_name[user], entry.key),)
        if pods.is_running(by_name[user], container)
    ]
    return Status(cache, mine, fetches)


def _progress(cluster: Cluster, namespace: str, pod: str, container: str) -> str:
    """Return the last line that a fetch wrote; why it can not be read, when it can not."""
    try:
        lines = cluster.log(namespace, pod, container, tail=_TAIL).splitlines()
    except PluginError as error:
        return f"its log can not be read: {error.message}"
    return next((line for line in reversed(lines) if line.strip()), "it has said nothing yet")


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
    environment.filters |= {"size": units.size, "age": lambda moment: units.age(moment, now), "pod_line": _pod_line}
    template = environment.get_template("cache-status.txt.j2")
    for status in statuses:
        output.text(template.render(heading=_heading(status.cache), status=status, wide=output.form == "wide"))


def _heading(cache: Cache) -> str:
    facts = [
        cache.phase,
        units.size(cache.capacity) if cache.capacity else "",
        ",".join(cache.access_modes),
        f"class {cache.storage_class}" if cache.storage_class else "",
        f"made by release {cache.release}" if cache.release else "",
    ]
    return f"{cache.namespace}/{cache.claim}: {', '.join(filter(None, facts))}"


def _pod_line(pod: Object) -> str:
    node = pod["spec"].get("nodeName")
    whose = "" if pods.label(pod, contract.LABEL_RELEASE) else ", not from llmkube"
    reason = pods.why_waiting(pod)
    place = f" on {node}" if node else ""
    return f"{pods.name(pod)}  {pod['status']['phase']}{place}{whose}" + (f": {reason}" if reason else "")


def _document(status: Status) -> dict[str, Any]:
    document = render.cache_document(status.cache)
    document["pods"] = [_pod_document(pod) for pod in status.cache.mounted_by]
    document["fetching"] = [vars(fetch) for fetch in status.fetches]
    document["entries"] = [render.entry_document(entry) for entry in status.entries]
    return document


def _pod_document(pod: Object) -> dict[str, Any]:
    return {
        "name": pods.name(pod),
        "phase": pod["status"].get("phase"),
        "node": pod["spec"].get("nodeName"),
        "key": pods.label(pod, contract.LABEL_KEY) or None,
        "waiting": pods.why_waiting(pod) or None,
    }
