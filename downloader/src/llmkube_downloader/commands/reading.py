"""``list`` and ``verify``: what is on a volume, and whether it is what it was. Only --repair changes anything."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from llmkube_downloader.commands.answer import answer, reported
from llmkube_downloader.errors import ExitCode
from llmkube_downloader.options import examples, flag, origin_flags, output_flag, root_flag

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmkube_downloader.maintenance.verifying import Checked
    from llmkube_downloader.transfer.progress import Meter


@click.command(name="list", epilog=examples("list --root /models", "list --root /models -o json"))
@root_flag()
@output_flag()
def list_command(root: Path, output: str) -> None:
    """Show what is on the volume: entries, unfinished attempts, damaged and foreign directories."""
    from llmkube_downloader.maintenance.listing import list_entries
    from llmkube_downloader.maintenance.text import list_text

    with reported(output):
        result = list_entries(root)
    answer(output, result, list_text(result))


@click.command(
    name="verify",
    epilog=examples(
        "verify --root /models", "verify --root /models 43fe1ea36c1aecde", "verify --root /models --repair"
    ),
)
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@root_flag()
@flag("--repair", "Fetch what is damaged again, and only that.", is_flag=True)
@origin_flags
@output_flag()
def verify_command(keys: tuple[str, ...], root: Path, repair: bool, output: str, **flags: Any) -> int:
    """Read entries whole and compare every file with the hash it was published with.

    Without a KEY, all entries are verified. The exit code is 13 when one is damaged and was not repaired.
    """
    from llmkube_downloader.maintenance.text import verify_text
    from llmkube_downloader.maintenance.verifying import verified_json, verify_entries
    from llmkube_downloader.transfer.progress import Meter

    meter = Meter(sys.stderr)
    with reported(output):
        try:
            checked = verify_entries(root, keys, meter.advance)
            repaired = _repair(root, checked, flags, meter) if repair else {}
        finally:
            meter.end()
        result = verified_json(root, checked, repaired)
    answer(output, result, verify_text(result))
    damaged = any(entry["problems"] and "repaired" not in entry for entry in result["entries"])
    return ExitCode.INTEGRITY if damaged else ExitCode.OK


def _repair(root: Path, checked: list[Checked], flags: Mapping[str, Any], meter: Meter) -> dict[Path, int]:
    """Repair what is damaged, and return the bytes that were received for each entry."""
    from llmkube_downloader.fetch import open_client
    from llmkube_downloader.maintenance.repairing import repair
    from llmkube_downloader.store.layout import Layout

    how = {name: flags[name] for name in ("lock_wait", "connections", "limit_rate")}
    with open_client(flags["allow_http"], flags["stall_timeout"], meter) as client:
        return {
            each.entry.path: repair(Layout(root), each.entry, each.problems, client, meter, **how)
            for each in checked
            if each.problems
        }
