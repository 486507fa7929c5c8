"""What takes entries off a volume, and what keeps them there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmkube_downloader.commands.answer import answer, reported
from llmkube_downloader.options import examples, flag, output_flag, root_flag

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="remove", epilog=examples("remove --root /models 43fe1ea36c1aecde"))
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@root_flag()
@flag("--force", "Also remove what is being fetched, and directories that llmkube did not write.", is_flag=True)
@output_flag()
def remove_command(keys: tuple[str, ...], root: Path, force: bool, output: str) -> None:
    """Remove entries, with everything else on the volume that belongs to their keys.

    Nothing is removed when one of the keys can not be.
    """
    from llmkube_downloader.maintenance import plan_removal, remove
    from llmkube_downloader.text import remove_text

    with reported(output):
        result = remove(root, plan_removal(root, keys, force=force), force=force)
    answer(output, result, remove_text(result))
