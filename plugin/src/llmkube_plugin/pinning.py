"""Pins and unpins entries: what `cache pin` and `cache unpin` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from llmkube_plugin import interrupts, options, render
from llmkube_plugin.acting import raise_first
from llmkube_plugin.choosing import COLUMNS, count
from llmkube_plugin.connection import Connection, connect
from llmkube_plugin.places import Claims, Directory

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_plugin.acting import Outcome
    from llmkube_plugin.choosing import Choice
    from llmkube_plugin.model import Entry
    from llmkube_plugin.output import Output


def keep(
    choice: Choice,
    connection: Connection,
    directory: Path | None,
    claim: str | None,
    timeout: float,
    output: Output,
    *,
    dry_run: bool,
    pinned: bool,
) -> None:
    """Pin entries, or unpin them, and report it. Which they are already does not matter."""
    options.refuse_with_directory(directory, {"--claim": claim})
    if choice.is_empty:
        raise click.UsageError("Choose entries: KEY... or --model RELEASE|SOURCE.")
    done = "pinned" if pinned else "unpinned"
    with interrupts.leaving(f"Nothing was {done}."):
        place = Directory(directory, output) if directory else Claims(connect(connection), claim, timeout, output)
        plan = place.find(choice)
    outcomes = [] if dry_run else place.keep(plan, pinned=pinned)
    _report(plan, outcomes, output, dry_run=dry_run, pinned=pinned)
    raise_first(outcomes, output)


def _report(plan: list[Entry], outcomes: list[Outcome], output: Output, *, dry_run: bool, pinned: bool) -> None:
    ours = {(outcome.place, key) for outcome in outcomes if outcome.report for key in outcome.keys}
    shown = [entry for entry in plan if dry_run or (entry.claim, entry.key) in ours]
    if not output.for_people:
        entries: list[dict[str, Any]] = [
            {"cache": entry.claim, "key": entry.key, "source": entry.source or None, "bytes": entry.bytes}
            for entry in shown
        ]
        document = {"schema": render.SCHEMA, "dryRun": dry_run, "pinned": pinned, "entries": entries}
        output.document(document, [entry.key for entry in shown])
        return
    output.rows(COLUMNS, shown)
    verb = "pin" if pinned else "unpin"
    if dry_run:
        output.text(f"Would {verb} {count(shown)}.")
    elif shown:
        after = "nothing removes what is pinned, unless it is forced" if pinned else "what nobody uses may be removed"
        output.text(f"{verb.capitalize()}ned {count(shown)}: {after}.")
