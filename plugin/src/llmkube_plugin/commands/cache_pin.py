"""`helm llmkube cache pin`: keep entries from being removed until they are unpinned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmkube_plugin import options, pinning
from llmkube_plugin.choosing import Choice, choice_options

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_plugin.connection import Connection
    from llmkube_plugin.output import Output


@click.command("pin")
@choice_options
@options.cluster_options
@options.directory_option
@click.option("--dry-run", is_flag=True, help="Only show which entries that are.")
@options.timeout_option
@options.output_options
def cache_pin(
    choice: Choice,
    connection: Connection,
    directory: Path | None,
    claim: str | None,
    dry_run: bool,
    timeout: float,
    output: Output,
) -> None:
    """Keep entries from being removed, until they are unpinned.

    A pin is for what no running pod uses, such as a model that is kept for a rollback. It holds against `clear` and
    `prune`, and against what prunes on a schedule.
    """
    pinning.keep(choice, connection, directory, claim, timeout, output, dry_run=dry_run, pinned=True)
