"""What takes entries off a volume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from llmkube_downloader.commands.answer import answer, reported, warn
from llmkube_downloader.options import criteria_flags, examples, flag, gone_pods_flag, only_flag, output_flag, root_flag

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    name="remove",
    epilog=examples("remove --root /models 43fe1ea36c1aecde", "remove --root /models 43fe1ea36c1aecde --force"),
)
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@root_flag()
@flag("--force", "Also remove what is used, pinned or being fetched, and what llmkube did not write.", is_flag=True)
@gone_pods_flag()
@output_flag()
def remove_command(keys: tuple[str, ...], root: Path, force: bool, gone_pods: list[str], output: str) -> None:
    """Remove entries, with everything else on the volume that belongs to their keys.

    Nothing is removed when one of the keys can not be: one that a pod uses, that is pinned or being fetched.
    """
    from llmkube_downloader.maintenance.removing import plan_removal, remove
    from llmkube_downloader.maintenance.text import forced_text, remove_text

    with reported(output):
        removals = plan_removal(root, keys, force=force, gone_pods=gone_pods)
        for removal in removals:
            if removal.harmed:
                warn(forced_text(removal.doomed.key, removal.harmed))
        result = remove(root, removals, force=force)
    answer(output, result, remove_text(result))


@click.command(
    name="prune",
    epilog=examples(
        "prune --root /models --unused --dry-run",
        "prune --root /models --older-than 30d",
        "prune --root /models --max-bytes 500Gi --min-free 50Gi",
    ),
)
@root_flag()
@criteria_flags
@only_flag()
@gone_pods_flag()
@flag("--dry-run", "Remove nothing, and say what would be removed.", is_flag=True)
@output_flag()
def prune_command(
    root: Path, only: list[str] | None, gone_pods: list[str], dry_run: bool, output: str, **criteria: Any
) -> None:
    """Remove what is not used: the longest unused first, and never what a pod uses, what is pinned or being fetched.

    What one of the criteria asks for is removed. Superseded generations, old damaged copies and attempts that nobody
    went on with are removed in any case.
    """
    from llmkube_downloader.maintenance.holdings import Scope
    from llmkube_downloader.maintenance.planning import Criteria
    from llmkube_downloader.maintenance.pruning import prune
    from llmkube_downloader.maintenance.text import prune_text

    with reported(output):
        scope = Scope(None if only is None else frozenset(only), frozenset(gone_pods))
        result = prune(root, Criteria(**criteria), scope, dry_run=dry_run)
    answer(output, result, prune_text(result))
