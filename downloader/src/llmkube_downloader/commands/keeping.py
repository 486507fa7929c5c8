"""What keeps entries on a volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmkube_downloader.commands.answer import answer, note, reported
from llmkube_downloader.options import examples, flag, output_flag, root_flag

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="pin", epilog=examples("pin --root /models 43fe1ea36c1aecde"))
@click.argument("key", metavar="KEY")
@root_flag()
@output_flag()
def pin_command(key: str, root: Path, output: str) -> None:
    """Keep an entry from being removed by `remove` and `prune`, until `unpin`."""
    from llmkube_downloader.maintenance.pinning import pin

    with reported(output):
        result = pin(root, key, note)
    answer(output, result, f"{key} pinned")


@click.command(name="unpin", epilog=examples("unpin --root /models 43fe1ea36c1aecde"))
@click.argument("key", metavar="KEY")
@root_flag()
@output_flag()
def unpin_command(key: str, root: Path, output: str) -> None:
    """Let an entry be removed again."""
    from llmkube_downloader.maintenance.pinning import unpin

    with reported(output):
        result = unpin(root, key)
    answer(output, result, f"{key} not pinned")


@click.command(name="hold", epilog=examples("hold --root /models 43fe1ea36c1aecde"))
@click.argument("key", metavar="KEY")
@root_flag()
@flag("--pod-uid", "The UID of the pod that uses the entry.", required=True, metavar="UID")
def hold_command(key: str, root: Path, pod_uid: str) -> None:
    """Say that a pod uses an entry, again every hour, until a signal ends the process.

    A lease counts for 7 days, so servers that run for longer want this as a sidecar.
    """
    from llmkube_downloader.maintenance.pinning import keep_hold, take_hold

    layout = take_hold(root, key, pod_uid, note)
    click.echo(f"{key} is held for pod {pod_uid}")
    keep_hold(layout, key, pod_uid, note)
