"""`helm llmkube cache verify`: read entries whole, compare them with their published hashes, and repair them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmkube_plugin import contract, options, render, units
from llmkube_plugin.acting import raise_first
from llmkube_plugin.choosing import Choice, choice_options
from llmkube_plugin.connection import Connection, connect
from llmkube_plugin.output import Column
from llmkube_plugin.places import Claims, Directory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from llmkube_plugin.kube import Object
    from llmkube_plugin.output import Output

_COLUMNS: list[Column[Object]] = [
    Column("CACHE", lambda entry: entry["cache"], shorten=True),
    Column("KEY", lambda entry: entry["key"]),
    Column("SIZE", lambda entry: units.size(entry["bytes"])),
    Column("STATE", lambda entry: "repaired" if "repaired" in entry else entry["state"]),
    Column("PROBLEMS", lambda entry: str(len(entry["problems"]))),
]


@click.command("verify")
@choice_options
@options.cluster_options
@options.directory_option
@click.option("--repair", is_flag=True, help="Download what is damaged again, and only that.")
@click.option("--dry-run", is_flag=True, help="With --repair: only show what is damaged.")
@options.timeout_option
@options.output_options
def cache_verify(
    choice: Choice,
    connection: Connection,
    directory: Path | None,
    claim: str | None,
    repair: bool,
    dry_run: bool,
    timeout: float,
    output: Output,
) -> None:
    """Read entries whole and compare every file with the hash it was published with.

    Without a KEY or --model all entries are read, which takes as long as the volume needs for all its bytes. The exit
    code is 13 when an entry is damaged. A repair moves the damaged entry aside once the new one is whole.
    """
    options.refuse_with_directory(directory, {"--claim": claim})
    if dry_run and not repair:
        raise click.UsageError("--dry-run is for --repair: nothing else changes anything.")
    place = Directory(directory, output) if directory else Claims(connect(connection), claim, timeout, output)
    plan = None if choice.is_empty else place.find(choice)
    outcomes = place.verify(plan, repair=repair and not dry_run)
    found = [{"cache": each.place, **entry} for each in outcomes for entry in each.report.get("entries", [])]
    damaged = [entry for entry in found if entry["problems"] and "repaired" not in entry]
    if output.for_people:
        _show(found, output)
        _advise(damaged, output)
    else:
        output.document({"schema": render.SCHEMA, "entries": found}, [entry["key"] for entry in damaged])
    raise_first(outcomes, output)
    if damaged:
        raise click.exceptions.Exit(contract.EXIT_INTEGRITY)


def _show(found: list[Object], output: Output) -> None:
    output.rows(_COLUMNS, found)
    for entry in found:
        for problem in entry["problems"]:
            output.note(f"{entry['key']}: {problem['path']} {problem['problem']}")
        if "repaired" in entry:
            output.note(f"{entry['key']}: repaired, {units.size(entry['repaired']['bytesFetched'])} downloaded")
    if not found:
        output.note("No entries to verify.")


def _advise(damaged: Iterable[Object], output: Output) -> None:
    """Say how damage goes away."""
    keys = " ".join(entry["key"] for entry in damaged)
    if keys:
        output.note(
            f"`helm llmkube cache verify {keys} --repair` downloads again what is damaged. "
            "Where that is not possible, `helm llmkube cache clear KEY` removes an entry."
        )
