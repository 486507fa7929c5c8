"""`helm llmkube cache clear`: remove entries from caches, after showing what goes and who would miss it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from llmkube_plugin import options, render, units
from llmkube_plugin.connection import Connection, connect
from llmkube_plugin.errors import PluginError
from llmkube_plugin.model import FOREIGN, Entry
from llmkube_plugin.output import Column
from llmkube_plugin.places import Claims, Directory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from llmkube_plugin.output import Output

_COLUMNS: list[Column[Entry]] = [
    Column("CACHE", lambda entry: entry.claim),
    Column("KEY", lambda entry: entry.key),
    Column("SOURCE", lambda entry: entry.source or "-"),
    Column("SIZE", lambda entry: units.size(entry.bytes)),
    Column("STATE", lambda entry: entry.state),
    Column("USED BY", lambda entry: ",".join(entry.users) or "-"),
]


@dataclass(frozen=True)
class Wanted:
    """Which entries the user asked to remove: by key, by release or source, or all."""

    keys: tuple[str, ...]
    model: str | None
    all: bool
    force: bool

    def chooses(self, entry: Entry) -> bool:
        """Return whether an entry is meant. What others wrote is not, unless it is named or forced."""
        if entry.key in self.keys or _is_model(entry, self.model):
            return True
        return self.all and bool(entry.key) and (self.force or entry.state != FOREIGN)


@click.command("clear")
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@options.cluster_options
@options.directory_option
@click.option("--model", metavar="RELEASE|SOURCE", help="The entries of a release or of a source.")
@click.option("--all", "everything", is_flag=True, help="All entries.")
@click.option("--claim", metavar="CLAIM", help="Only on this claim.")
@click.option("--force", is_flag=True, help="Also entries that are in use, and what llmkube did not write.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@options.timeout_option
@options.output_options
def cache_clear(
    keys: tuple[str, ...],
    connection: Connection,
    directory: Path | None,
    model: str | None,
    everything: bool,
    claim: str | None,
    force: bool,
    yes: bool,
    dry_run: bool,
    timeout: float,
    output: Output,
) -> None:
    """Remove entries from the caches of a namespace.

    Reads the volumes, shows what would be removed and how many bytes that frees, refuses what pods use, asks, removes,
    and says what was freed. Choose entries by KEY, with --model or with --all.
    """
    options.refuse_with_directory(directory, {"--claim": claim})
    wanted = Wanted(keys, model, everything, force)
    if not (keys or model or everything):
        raise click.UsageError("Choose what to remove: KEY..., --model RELEASE|SOURCE, or --all.")
    place = Directory(directory, output) if directory else Claims(connect(connection), claim, timeout, output)
    plan = _plan(place.read(), wanted)
    _preview(plan, output)
    _refuse_what_is_needed(plan, force=force)
    if dry_run or not plan:
        _report(plan, 0, output, dry_run=dry_run)
        return
    output.confirm(f"Remove {_count(plan)}, {units.size(_bytes(plan))}?", yes=yes)
    # While we asked, a pod may have started.
    _refuse_what_is_needed(place.look_again(plan), force=force)
    _report(plan, place.remove(plan, force=force), output, dry_run=False)


def _plan(found: list[Entry], wanted: Wanted) -> list[Entry]:
    """Return the entries to remove; refuse when a key or model that was asked for is not there."""
    plan = [entry for entry in found if wanted.chooses(entry)]
    missing = [key for key in wanted.keys if key not in {entry.key for entry in plan}]
    if wanted.model and not any(_is_model(entry, wanted.model) for entry in plan):
        missing.append(wanted.model)
    if missing:
        raise PluginError(
            f"the volumes hold no entry for: {', '.join(missing)}",
            "See `helm llmkube cache list --scan` for what is there. Nothing was removed.",
        )
    return plan


def _is_model(entry: Entry, model: str | None) -> bool:
    return model in (entry.source, *entry.releases)


def _preview(plan: list[Entry], output: Output) -> None:
    if output.for_people:
        output.rows(_COLUMNS, plan)


def _refuse_what_is_needed(plan: Iterable[Entry], *, force: bool) -> None:
    used = [entry for entry in plan if entry.users]
    foreign = [entry for entry in plan if entry.state == FOREIGN]
    if force or not (used or foreign):
        return
    reasons = [f"{entry.key} in {entry.claim} is used by {', '.join(entry.users)}" for entry in used]
    reasons += [f"{entry.key} holds files that llmkube did not write" for entry in foreign]
    raise PluginError(
        f"refusing to remove anything: {'; '.join(reasons)}",
        "Stop the pods first, for example by scaling their workloads to zero. --force removes files under running pods "
        "and files of others: servers may crash, and what is not from a source is lost.",
    )


def _report(plan: list[Entry], freed: int, output: Output, *, dry_run: bool) -> None:
    if output.for_people:
        if not plan:
            output.note("Nothing to remove.")
        elif dry_run:
            output.text(f"Would remove {_count(plan)} and free {units.size(_bytes(plan))}.")
        else:
            output.text(f"Removed {_count(plan)}, freed {units.size(freed)}.")
        return
    document: dict[str, Any] = {
        "schema": render.SCHEMA,
        "dryRun": dry_run,
        "entries": [render.entry_document(entry) for entry in plan],
        "bytes": _bytes(plan),
        "bytesFreed": freed,
    }
    output.document(document, [entry.key for entry in plan])


def _bytes(plan: Iterable[Entry]) -> int:
    return sum(entry.bytes or 0 for entry in plan)


def _count(plan: list[Entry]) -> str:
    return "1 entry" if len(plan) == 1 else f"{len(plan)} entries"
