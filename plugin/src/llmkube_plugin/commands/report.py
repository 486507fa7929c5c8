"""`helm llmkube report`: all caches on one page, for people who have no terminal at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from llmkube_plugin import facts, files, options, scan, space, units, volumes
from llmkube_plugin.connection import Connection, connect
from llmkube_plugin.facts import Facts, holding, holdings
from llmkube_plugin.model import Cache
from llmkube_plugin.output import Output
from llmkube_plugin.places import Directory, own_entries

if TYPE_CHECKING:
    from llmkube_plugin.model import Volume

_FORMS = ("html", "json", "yaml")
_PAGE = "llmkube-report.html"
_MARK = b'<meta name="generator" content="llmkube '  # in an earlier report, of whichever version


@click.command("report")
@options.cluster_options
@options.all_namespaces_option
@options.directory_option
@options.scan_option
@click.option("-f", "--file", "path", metavar="FILE|-", help=f"Where to write the page.  [default: {_PAGE}]")
@options.timeout_option
@click.option(
    "-o", "--output", "form", type=click.Choice(_FORMS), default="html", show_default=True, help="Output format."
)
@click.option("-q", "--quiet", is_flag=True, help="No progress and no notes on standard error.")
def report(
    connection: Connection,
    all_namespaces: bool,
    directory: Path | None,
    scanning: bool,
    path: str | None,
    timeout: float,
    form: str,
    quiet: bool,
) -> None:
    """Write one page about all caches: who holds their space, entries, errors, downloads.

    The page is a single HTML file that needs no network and runs no script, fit to be mailed, kept or printed. It tells
    what `cache list` tells, with the age of every number. A file that is not an earlier report is not overwritten.
    """
    options.refuse_with_directory(directory, {"-A": all_namespaces, "--scan": scanning})
    if path and form != "html":
        raise click.UsageError(f"-f is for the page; -o {form} goes to standard output.")
    output = Output(form, quiet)
    target = path or _PAGE
    if form == "html":
        files.check_replaceable(target, _MARK)
    if directory is not None:
        found = _of_directory(Directory(directory, output).volume())
    else:
        found = _of_cluster(connection, output, timeout, everywhere=all_namespaces, scanning=scanning)
    if form == "html":
        _write(found, target, output)
    else:
        output.document(facts.document(found), ())
    output.raise_first(found.unread)


def _of_cluster(connection: Connection, output: Output, timeout: float, *, everywhere: bool, scanning: bool) -> Facts:
    cluster = connect(connection)
    namespace = None if everywhere else cluster.namespace
    snapshot = scan.read(cluster, namespace)
    caches = scan.caches(snapshot)
    seen, failures = volumes.scan(cluster, caches, output, timeout) if scanning else ([], [])
    held = holdings(snapshot, caches, seen)
    return Facts(units.now(), held, cluster.server, namespace, scanning, tuple(failures))


def _of_directory(volume: Volume) -> Facts:
    room = space.rooms([], [volume]).get((volume.namespace, volume.claim))
    held = holding(Cache(volume.namespace, volume.claim), own_entries(volume), room)
    return Facts(units.now(), (held,), scanned=True)


def _write(found: Facts, target: str, output: Output) -> None:
    """Write the page, and say what it has, so that the log of a script shows it, too."""
    from llmkube_plugin import page

    files.write(target, page.render_page(found))
    caches, entries = len(found.caches), sum(len(holding.entries) for holding in found.caches)
    where = "the page" if target == files.STANDARD_OUTPUT else target
    output.note(
        f"Wrote {where}: {caches} {'cache' if caches == 1 else 'caches'}, "
        f"{entries} {'entry' if entries == 1 else 'entries'}, {units.size(found.total('reclaimable'))} reclaimable."
    )
