"""`helm llmkube cache clear`: remove entries from caches, after showing what goes and who would miss it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from llmkube_plugin import interrupts, options, render, units
from llmkube_plugin.acting import note_pending, raise_first
from llmkube_plugin.choosing import COLUMNS, Choice, choice_options, chosen, count
from llmkube_plugin.connection import Connection, connect
from llmkube_plugin.errors import PluginError
from llmkube_plugin.model import FOREIGN, Entry
from llmkube_plugin.output import Column
from llmkube_plugin.places import Claims, Directory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from llmkube_plugin.acting import Outcome
    from llmkube_plugin.output import Output

_COLUMNS: list[Column[Entry]] = [
    *COLUMNS,
    Column("STATE", lambda entry: f"{entry.state} (pinned)" if entry.pinned else entry.state),
    Column("USED BY", lambda entry: ",".join(entry.users) or "-", shorten=True),
]
_UNDONE = "Nothing was removed."


@click.command("clear")
@choice_options
@options.cluster_options
@options.directory_option
@click.option("--orphans", is_flag=True, help="Entries that no release names, but those that are pinned.")
@click.option("--all", "everything", is_flag=True, help="All entries.")
@click.option("--force", is_flag=True, help="Also what is in use or pinned, and what llmkube did not write.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@options.timeout_option
@options.output_options
def cache_clear(
    choice: Choice,
    connection: Connection,
    directory: Path | None,
    claim: str | None,
    orphans: bool,
    everything: bool,
    force: bool,
    yes: bool,
    dry_run: bool,
    timeout: float,
    output: Output,
) -> None:
    """Remove entries from the caches of a namespace.

    Reads the volumes, shows what would be removed and how many bytes that frees, refuses what pods use and what is
    pinned, asks, removes, and says what was freed. Choose entries by KEY, with --model, --orphans or --all.
    """
    options.refuse_with_directory(directory, {"--claim": claim, "--orphans": orphans})
    choice = replace(choice, everything=everything, orphans=orphans, foreign=force)
    if choice.is_empty:
        raise click.UsageError("Choose what to remove: KEY..., --model RELEASE|SOURCE, --orphans, or --all.")
    with interrupts.leaving(_UNDONE):
        place = Directory(directory, output) if directory else Claims(connect(connection), claim, timeout, output)
        plan = _plan(place, choice, output)
        _preview(plan, output)
        _refuse_what_is_needed(plan, force=force)
        if dry_run or not plan:
            _report(plan, [], output, dry_run=dry_run)
            return
        output.confirm(f"Remove {count(plan)}, {units.size(_bytes(plan))}?", yes=yes)
        # While we asked, a pod may have started.
        _refuse_what_is_needed(place.look_again(plan), force=force)
    outcomes = place.remove(plan, force=force)
    _report(plan, outcomes, output, dry_run=False)
    raise_first(outcomes, output)


def _plan(place: Claims | Directory, choice: Choice, output: Output) -> list[Entry]:
    """Return the entries to remove. A pin keeps an orphan, as it was made to; whoever names it is told of the pin."""
    plan = chosen(place.read(), choice, place.listing, _UNDONE)
    kept = [entry for entry in plan if entry.pinned and choice.orphans and not (choice.foreign or choice.names(entry))]
    for entry in kept:
        output.note(f"{entry.key} in {entry.claim} stays: it is pinned.")
    return [entry for entry in plan if entry not in kept]


def _preview(plan: list[Entry], output: Output) -> None:
    if output.for_people:
        output.rows(_COLUMNS, plan)


def _refuse_what_is_needed(plan: Iterable[Entry], *, force: bool) -> None:
    reasons = [reason for entry in plan for reason in _holders(entry)]
    if force or not reasons:
        return
    raise PluginError(
        f"refusing to remove anything: {'; '.join(reasons)}",
        "Stop the pods first, for example by scaling their workloads to zero, and unpin with `cache unpin`. "
        "`cache prune --unused` removes only what nothing holds. --force removes files under running pods, pinned ones "
        "and files of others: servers may crash, and what is not from a source is lost.",
    )


def _holders(entry: Entry) -> list[str]:
    """Return what keeps an entry from being removed, in words."""
    what = f"{entry.key} in {entry.claim}"
    used = [f"{what} is used by {', '.join(entry.users)}"] if entry.users else []
    pinned = [f"{what} is pinned"] if entry.pinned else []
    foreign = [f"{entry.key} holds files that llmkube did not write"] if entry.state == FOREIGN else []
    return used + pinned + foreign


def _report(plan: list[Entry], outcomes: list[Outcome], output: Output, *, dry_run: bool) -> None:
    gone = [entry for entry in plan if any(_went(entry, outcome) for outcome in outcomes)]
    freed = sum(removed["bytes"] for outcome in outcomes for removed in outcome.report.get("removed", []))
    shown = plan if dry_run else gone
    if not output.for_people:
        document: dict[str, Any] = {
            "schema": render.SCHEMA,
            "dryRun": dry_run,
            "entries": [render.entry_document(entry) for entry in shown],
            "bytes": _bytes(shown),
            "bytesFreed": freed,
        }
        output.document(document, [entry.key for entry in shown])
    elif not plan:
        output.note("Nothing to remove.")
    elif dry_run:
        output.text(f"Would remove {count(plan)} and free {units.size(_bytes(plan))}.")
    elif gone:
        output.text(f"Removed {count(gone)}, freed {units.size(freed)}.")
    note_pending(outcomes, output)


def _went(entry: Entry, outcome: Outcome) -> bool:
    return entry.claim == outcome.place and entry.key in {each["key"] for each in outcome.report.get("removed", [])}


def _bytes(plan: Iterable[Entry]) -> int:
    return sum(entry.bytes or 0 for entry in plan)
