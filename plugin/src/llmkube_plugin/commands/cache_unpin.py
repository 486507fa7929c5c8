"""`helm llmkube cache unpin`: let pinned entries be removed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmkube_plugin import options, pinning
from llmkube_plugin.choosing import Choice, choice_options

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_plugin.connection import Connection
    from llmkube_plugin.output import Output


@click.command("unpin")
@choice_options
@options.cluster_options
@options.directory_option
@click.option("--dry-run", is_flag=True, help="Only show which entries that are.")
@options.timeout_option
@options.output_options
def cache_unpin(
    choice: Choice,
    connection: Connection,
    directory: Path | None,
    claim: str | None,
    dry_run: bool,
    timeout: float,
    output: Output,
) -> None:
    """Let pinned entries be removed again.

    Nothing is removed by that: `clear` and `prune` may do so afterwards.
    """
    pinning.keep(choice, connection, directory, claim, timeout, output, dry_run=dry_run, pinned=False)
