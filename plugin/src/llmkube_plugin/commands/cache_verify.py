"""`helm llmkube cache verify`: read entries whole and compare them with the hashes they were published with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmkube_plugin import contract, options, render, units
from llmkube_plugin.connection import Connection, connect
from llmkube_plugin.output import Column
from llmkube_plugin.places import Claims, Directory

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_plugin.kube import Object
    from llmkube_plugin.output import Output

_COLUMNS: list[Column[Object]] = [
    Column("CACHE", lambda entry: entry["cache"]),
    Column("KEY", lambda entry: entry["key"]),
    Column("SIZE", lambda entry: units.size(entry["bytes"])),
    Column("STATE", lambda entry: entry["state"]),
    Column("PROBLEMS", lambda entry: str(len(entry["problems"]))),
]


@click.command("verify")
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@options.cluster_options
@options.directory_option
@click.option("--claim", metavar="CLAIM", help="Only on this claim.")
@options.timeout_option
@options.output_options
def cache_verify(
    keys: tuple[str, ...],
    connection: Connection,
    directory: Path | None,
    claim: str | None,
    timeout: float,
    output: Output,
) -> None:
    """Read entries whole and compare every file with the hash it was published with.

    Without a KEY all entries are read, which takes as long as the volume needs for all its bytes. The exit code is 13
    when an entry is damaged.
    """
    options.refuse_with_directory(directory, {"--claim": claim})
    place = Directory(directory, output) if directory else Claims(connect(connection), claim, timeout, output)
    found = place.verify(keys)
    damaged = [entry for entry in found if entry["problems"]]
    if output.for_people:
        output.rows(_COLUMNS, found)
        _explain(damaged, output)
        if not found:
            output.note("No entries to verify.")
    else:
        output.document({"schema": render.SCHEMA, "entries": found}, [entry["key"] for entry in damaged])
    if damaged:
        raise click.exceptions.Exit(contract.EXIT_INTEGRITY)


def _explain(damaged: list[Object], output: Output) -> None:
    for entry in damaged:
        for problem in entry["problems"]:
            output.note(f"{entry['key']}: {problem['path']} {problem['problem']}")
    if damaged:
        output.note("Remove a damaged entry with `helm llmkube cache clear KEY`; the next fetch downloads it again.")
