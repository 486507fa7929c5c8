"""`helm llmkube cache prune`: remove what nobody needs, by age, by size or all of it, after showing what goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from llmkube_plugin import interrupts, options, render, units
from llmkube_plugin.acting import note_pending, raise_first
from llmkube_plugin.choosing import count
from llmkube_plugin.connection import Connection, connect
from llmkube_plugin.output import Column
from llmkube_plugin.places import Claims, Directory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from llmkube_plugin.acting import Outcome
    from llmkube_plugin.model import Entry
    from llmkube_plugin.output import Output

# What is removed beside entries, whatever was asked for, as people call it.
_KINDS = {"superseded": "older content", "damaged": "damaged copy", "attempt": "unfinished download"}


@dataclass(frozen=True)
class Victim:
    """Something that prune removes: an entry, or what is left of one. `reason` is the downloader's word."""

    place: str
    key: str
    source: str
    kind: str
    reason: str
    bytes: int
    last_used: datetime | None


_COLUMNS: list[Column[Victim]] = [
    Column("CACHE", lambda victim: victim.place, shorten=True),
    Column("KEY", lambda victim: victim.key),
    Column("SOURCE", lambda victim: victim.source or "-", shorten=True),
    Column("SIZE", lambda victim: units.size(victim.bytes)),
    Column("LAST USE", lambda victim: units.age(victim.last_used, units.now())),
    Column("WHY", lambda victim: _KINDS.get(victim.kind) or f"--{victim.reason}"),
]


@click.command("prune")
@options.cluster_options
@options.directory_option
@click.option("--claim", metavar="CLAIM", help="Only on this claim.")
@click.option("--older-than", type=units.Duration(), help="Entries that were not used for so long: 30d, 12h.")
@click.option("--unused", is_flag=True, help="All entries that nobody uses now.")
@click.option("--max-bytes", type=units.Size(), help="The longest unused, until a cache takes no more: 500Gi.")
@click.option("--min-free", type=units.Size(), help="The longest unused, until so much is free on a volume: 50Gi.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@options.timeout_option
@options.output_options
def cache_prune(
    connection: Connection,
    directory: Path | None,
    claim: str | None,
    older_than: float | None,
    unused: bool,
    max_bytes: int | None,
    min_free: int | None,
    yes: bool,
    dry_run: bool,
    timeout: float,
    output: Output,
) -> None:
    """Remove from each cache of a namespace what is not used, the longest unused first.

    What a pod may have open, what is pinned and what is being downloaded stays, whatever is asked for. Of several
    criteria each one is met. Unfinished downloads of more than a day ago, older contents and old damaged copies go in
    any case.
    """
    options.refuse_with_directory(directory, {"--claim": claim})
    criteria = _criteria(older_than, max_bytes, min_free, unused=unused)
    with interrupts.leaving("Nothing was removed."):
        place = Directory(directory, output) if directory else Claims(connect(connection), claim, timeout, output)
        held = [entry for entry in place.read() if entry.key]
        plan = place.prune(_removable(held, directory), criteria, dry_run=True)
        raise_first(plan, output)
        victims = _victims(plan, held)
        _preview(victims, held, output)
        if dry_run or not victims:
            _report(victims, held, plan, output, dry_run=True)
            return
        output.confirm(f"Remove {_counted(victims)}, {units.size(_bytes(victims))}?", yes=yes)
        # While we asked, a pod may have started. Only what was shown may go.
        held = place.look_again(held)
    shown = {(victim.place, victim.key) for victim in victims}
    agreed = [entry for entry in _removable(held, directory) if (entry.claim, entry.key) in shown]
    outcomes = place.prune(agreed, criteria, dry_run=False)
    _report(_victims(outcomes, held), held, outcomes, output, dry_run=False)
    raise_first(outcomes, output)


def _criteria(older_than: float | None, max_bytes: int | None, min_free: int | None, *, unused: bool) -> list[str]:
    """Return what is asked for as the downloader's flags."""
    flags = [f"--older-than={int(older_than)}s"] if older_than is not None else []
    flags += [f"--max-bytes={max_bytes}"] if max_bytes is not None else []
    flags += [f"--min-free={min_free}"] if min_free is not None else []
    flags += ["--unused"] if unused else []
    if not flags:
        raise click.UsageError("Say what may go: --unused, --older-than, --max-bytes or --min-free.")
    return flags


def _removable(held: Iterable[Entry], directory: Path | None) -> list[Entry]:
    """Return what may go as far as pods are concerned; in a directory the downloader alone knows of them."""
    return [entry for entry in held if directory or not entry.users]


def _victims(outcomes: Iterable[Outcome], held: Iterable[Entry]) -> list[Victim]:
    sources = {(entry.claim, entry.key): entry.source for entry in held}
    return [
        Victim(
            outcome.place,
            item["key"],
            sources.get((outcome.place, item["key"]), ""),
            item["kind"],
            item["reason"],
            item["bytes"],
            units.moment(item["lastUsed"]),
        )
        for outcome in outcomes
        for item in outcome.report.get("removed", [])
    ]


def _preview(victims: list[Victim], held: list[Entry], output: Output) -> None:
    if output.for_people:
        output.rows(_COLUMNS, victims)
        for entry in held:
            for cause in _causes(entry):
                output.note(f"{entry.key} in {entry.claim} stays: {cause}.")


def _causes(entry: Entry) -> list[str]:
    """Return what holds an entry, in words."""
    used = [f"it is used by {', '.join(entry.users)}"] if entry.users else []
    return [*used, *(["it is pinned"] if entry.pinned else [])]


def _report(
    victims: list[Victim], held: list[Entry], outcomes: list[Outcome], output: Output, *, dry_run: bool
) -> None:
    if output.for_people:
        _say(victims, output, dry_run=dry_run)
    else:
        kept = [(entry.claim, entry.key, cause) for entry in held for cause in _causes(entry)]
        kept += [(each.place, item["key"], item["cause"]) for each in outcomes for item in each.report.get("kept", [])]
        document: dict[str, Any] = {
            "schema": render.SCHEMA,
            "dryRun": dry_run,
            "removed": [_document(victim) for victim in victims],
            "kept": [{"cache": place, "key": key, "cause": cause} for place, key, cause in kept],
            "bytes": _bytes(victims),
            "caches": [_missing(outcome) for outcome in outcomes if outcome.report],
        }
        output.document(document, [victim.key for victim in victims])
    _explain(outcomes, output)


def _say(victims: list[Victim], output: Output, *, dry_run: bool) -> None:
    if not victims:
        output.note("Nothing to remove." if dry_run else "Nothing was removed.")
    elif dry_run:
        output.text(f"Would remove {_counted(victims)} and free {units.size(_bytes(victims))}.")
    else:
        output.text(f"Removed {_counted(victims)}, freed {units.size(_bytes(victims))}.")


def _explain(outcomes: Iterable[Outcome], output: Output) -> None:
    """Say what keeps a criterion from being met, and what was kept because somebody came meanwhile."""
    note_pending(outcomes, output)
    for outcome in outcomes:
        for item in outcome.report.get("kept", []):
            output.note(f"{item['key']} in {outcome.place} was kept: {item['cause']}.")
        for name, flag, what in (
            ("overBytes", "--max-bytes", "above"),
            ("shortBytes", "--min-free", "missing for"),
        ):
            if name in outcome.report:
                missing = units.size(outcome.report[name])
                output.note(
                    f"{outcome.place}: {missing} {what} {flag} remain: all else is in use, pinned or of others."
                )


def _document(victim: Victim) -> dict[str, Any]:
    return {
        "cache": victim.place,
        "key": victim.key,
        "source": victim.source or None,
        "kind": victim.kind,
        "reason": victim.reason,
        "bytes": victim.bytes,
        "lastUsed": render.time(victim.last_used),
    }


def _missing(outcome: Outcome) -> dict[str, Any]:
    report = outcome.report
    return {"cache": outcome.place, "overBytes": report.get("overBytes", 0), "shortBytes": report.get("shortBytes", 0)}


def _counted(victims: list[Victim]) -> str:
    entries = [victim for victim in victims if victim.kind == "entry"]
    rest = [victim for victim in victims if victim.kind != "entry"]
    words = [count(entries)] if entries or not rest else []
    return " and ".join([*words, *([count(rest, "leftover", "leftovers")] if rest else [])])


def _bytes(victims: Iterable[Victim]) -> int:
    return sum(victim.bytes for victim in victims)
