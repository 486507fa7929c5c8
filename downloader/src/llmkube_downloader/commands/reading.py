"""``list`` and ``verify``: what is on a volume, and whether it is what it was. They change nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from llmkube_downloader.commands.answer import answer, reported
from llmkube_downloader.errors import ExitCode
from llmkube_downloader.options import examples, output_flag, root_flag

if TYPE_CHECKING:
    from pathlib import Path


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


@click.command(name="verify", epilog=examples("verify --root /models", "verify --root /models 43fe1ea36c1aecde"))
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@root_flag()
@output_flag()
def verify_command(keys: tuple[str, ...], root: Path, output: str) -> int:
    """Read entries whole and compare every file with the hash it was published with.

    Without a KEY, all entries are verified. The exit code is 13 when one is damaged.
    """
    from llmkube_downloader.maintenance.text import verify_text
    from llmkube_downloader.maintenance.verifying import verify_entries
    from llmkube_downloader.transfer.progress import Meter

    meter = Meter(sys.stderr)
    with reported(output):
        try:
            result = verify_entries(root, keys, meter.advance)
        finally:
            meter.end()
    answer(output, result, verify_text(result))
    damaged = any(entry["problems"] for entry in result["entries"])
    return ExitCode.INTEGRITY if damaged else ExitCode.OK
