"""`helm llmkube cache list`: which entries there are, how large, in which state, and who uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmkube_plugin import options, render, scan, units, volumes
from llmkube_plugin.connection import Connection, connect
from llmkube_plugin.entries import entries
from llmkube_plugin.places import Directory, own_entries

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_plugin.errors import PluginError
    from llmkube_plugin.kube import Cluster
    from llmkube_plugin.model import Cache, Entry, Volume
    from llmkube_plugin.output import Output


@click.command("list")
@options.cluster_options
@options.all_namespaces_option
@options.directory_option
@click.option("--scan", "scanning", is_flag=True, help="Read the volumes, through a short Job on each cache.")
@click.option("--orphans", is_flag=True, help="Only entries that no release uses. Needs --scan.")
@options.timeout_option
@options.output_options
def cache_list(
    connection: Connection,
    all_namespaces: bool,
    directory: Path | None,
    scanning: bool,
    orphans: bool,
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
    if directory is not None:
        _list_directory(directory, output)
        return
    cluster = connect(connection)
    namespace = None if all_namespaces else cluster.namespace
    snapshot = scan.read(cluster, namespace)
    caches = scan.caches(snapshot)
    seen, failures = _scan(cluster, caches, timeout, output) if scanning else ([], [])
    found = [entry for entry in entries(snapshot, caches, seen) if entry.orphan or not orphans]
    _show(found, caches, seen, output, with_namespace=all_namespaces)
    if not found:
        place = f"namespace {namespace}" if namespace else "any namespace"
        output.note(f"No {'orphaned ' if orphans else ''}entries found in {place}. -A looks in all namespaces.")
    for failure in failures[1:]:
        output.warn(failure.format_message())
    if failures:
        raise failures[0]


def _scan(
    cluster: Cluster, caches: list[Cache], timeout: float, output: Output
) -> tuple[list[Volume], list[PluginError]]:
    return volumes.read(cluster, volumes.readable(caches, output), output, timeout)


def _list_directory(directory: Path, output: Output) -> None:
    volume = Directory(directory, output).volume()
    found = own_entries(volume)
    if output.for_people:
        output.rows(render.directory_columns(units.now()), found)
        output.note(render.space(volume) if found else f"No entries found in {directory}.")
        return
    output.document(render.directory_document(volume, found), [entry.key for entry in found if entry.key])


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
