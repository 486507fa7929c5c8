"""`helm llmkube cache list`: which entries there are, how large, in which state, and who uses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from llmkube_plugin import filters, options, render, scan, units
from llmkube_plugin.connection import Connection, connect
from llmkube_plugin.entries import entries

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from llmkube_plugin.errors import PluginError
    from llmkube_plugin.kube import Cluster
    from llmkube_plugin.model import Cache, Entry, Volume
    from llmkube_plugin.output import Output


@dataclass(frozen=True)
class Choice:
    """Which entries are listed, in which order, and how many at most."""

    model: str | None
    orphans: bool
    filters: tuple[filters.Filter, ...]
    sort: str | None
    limit: int | None

    def of(self, found: Iterable[Entry]) -> list[Entry]:
        """Return those of some entries that are to be listed."""
        now = units.now()
        chosen = [
            entry
            for entry in found
            if (entry.orphan or not self.orphans)
            and self.model in (None, entry.source, *entry.releases)
            and all(each.chooses(entry, now) for each in self.filters)
        ]
        return (filters.ordered(chosen, self.sort, now) if self.sort else chosen)[: self.limit]


@click.command("list")
@options.cluster_options
@options.all_namespaces_option
@options.directory_option
@options.scan_option
@click.option("--orphans", is_flag=True, help="Only entries that no release uses. Needs --scan.")
@click.option("--model", metavar="RELEASE|SOURCE", help="Only the entries of a release or of a source.")
@click.option(
    "-f",
    "--filter",
    "conditions",
    type=filters.FilterType(),
    multiple=True,
    metavar="EXPR",
    help="Only entries that meet a condition: 'size>10Gi', 'accessed>7d', 'source=hf://org/*'; may be repeated.",
)
@click.option(
    "--sort", type=click.Choice(filters.SORTS), metavar="KEY[:asc|:desc]", help="By accessed, created, name or size."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N entries.")
@options.timeout_option
@options.output_options
def cache_list(
    connection: Connection,
    all_namespaces: bool,
    directory: Path | None,
    scanning: bool,
    orphans: bool,
    model: str | None,
    conditions: tuple[filters.Filter, ...],
    sort: str | None,
    limit: int | None,
    timeout: float,
    output: Output,
) -> None:
    """List the entries of caches: release, source, key, claim, size, state, users.

    Sizes and states come from what the pods reported, with the age of the report. With --scan the volumes themselves
    are read: then entries that no release uses are known too, and the free space.
    """
    options.refuse_with_directory(directory, {"-A": all_namespaces, "--scan": scanning, "--orphans": orphans})
    if orphans and not scanning:
        raise click.UsageError("--orphans needs --scan: only the volume knows entries that no release uses.")
    choice = Choice(model, orphans, conditions, sort, limit)
    if directory is not None:
        _list_directory(directory, choice, output)
        return
    cluster = connect(connection)
    namespace = None if all_namespaces else cluster.namespace
    snapshot = scan.read(cluster, namespace)
    caches = scan.caches(snapshot)
    seen, failures = _scan(cluster, caches, output, timeout) if scanning else ([], [])
    there = entries(snapshot, caches, seen)
    found = choice.of(there)
    _show(found, caches, seen, output, with_namespace=all_namespaces)
    if not found:
        output.note(
            _nothing(there, f"in namespace {namespace}. -A looks in all namespaces" if namespace else "anywhere")
        )
    output.raise_first(failures)


# What works on volumes and directories is imported where it is needed: a plain list is quicker without.
def _scan(
    cluster: Cluster, caches: list[Cache], output: Output, timeout: float
) -> tuple[list[Volume], list[PluginError]]:
    from llmkube_plugin import volumes

    return volumes.scan(cluster, caches, output, timeout)


def _list_directory(directory: Path, choice: Choice, output: Output) -> None:
    from llmkube_plugin.places import Directory, own_entries

    volume = Directory(directory, output).volume()
    there = own_entries(volume)
    found = choice.of(there)
    if output.for_people:
        output.rows(render.directory_columns(units.now()), found)
        output.note(render.space(volume) if found else _nothing(there, f"in {directory}"))
        return
    output.document(render.directory_document(volume, found), [entry.key for entry in found if entry.key])


def _nothing(there: list[Entry], where: str) -> str:
    """Say that nothing is listed. That nothing was chosen is something else than that nothing is there."""
    if there:
        return f"No entry is chosen, of {len(there)} there are."
    return f"No entries found {where}."


def _show(found: list[Entry], caches: list[Cache], seen: list[Volume], output: Output, *, with_namespace: bool) -> None:
    if not output.for_people:
        document = {
            "schema": render.SCHEMA,
            "entries": [render.entry_document(entry) for entry in found],
            "caches": [render.cache_document(cache, seen) for cache in caches],
        }
        output.document(document, [entry.key for entry in found if entry.key])
        return
    output.rows(render.entry_columns(units.now(), with_namespace=with_namespace), found)
    for entry in found:
        if entry.failure:
            whose = ", ".join(entry.releases) or entry.source
            output.note(f"\n{whose}: {entry.failure.cause}\n{entry.failure.action}".rstrip())
    for volume in seen:
        output.note(render.space(volume))
