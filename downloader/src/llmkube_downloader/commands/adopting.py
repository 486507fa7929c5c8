"""``adopt``: what others downloaded becomes entries."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from llmkube_downloader.commands.answer import answer, reported
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.options import (
    allow_http_flag,
    examples,
    flag,
    output_flag,
    path_flag,
    root_flag,
    selection_flags,
    sha256_flag,
)

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.key import Source

_STALL_SECONDS = 60.0


@click.command(
    name="adopt",
    epilog=examples(
        "adopt --root /models --dry-run",
        "adopt --root /models --from ~/.cache/huggingface --verify-origin",
        "adopt --root /models --from /data/llama --source hf://org/repo --move",
    ),
)
@root_flag()
@path_flag("--from", "A hub's cache, a folder or a file of others; without it, directories of the root named by a key.")
@flag(
    "--source", "What the files are of; without it, what a hub's cache says, or nothing but the key.", metavar="SOURCE"
)
@selection_flags
@sha256_flag()
@flag("--move", "Take the files from where they lie, and rename them, instead of copying.", is_flag=True)
@flag("--verify-origin", "Adopt only what the origin confirms: every file, its size and its hash.", is_flag=True)
@flag("--dry-run", "Say what would be done, and change nothing.", is_flag=True)
@allow_http_flag()
@output_flag()
def adopt_command(root: Path, output: str, **flags: Any) -> int:
    """Make entries of what others downloaded, without downloading it again.

    Every file is read once: hashed, and compared with what its origin promised where that is known. What is damaged or
    not whole is left where it is, with the reason. The exit code is that of the first thing that could not be adopted.
    """
    from llmkube_downloader.adopt import Wish, adopt, exit_code
    from llmkube_downloader.text import adopt_text
    from llmkube_downloader.transfer.progress import Meter

    meter = Meter(sys.stderr)
    with reported(output), ExitStack() as stack:
        wish = Wish(root, flags["from"], _source(flags), flags["sha256"], flags["move"], flags["dry_run"])
        client = None
        if flags["verify_origin"]:
            from llmkube_downloader.fetch import open_client

            client = stack.enter_context(open_client(flags["allow_http"], _STALL_SECONDS, meter))
        report = adopt(wish, client, meter)
    answer(output, report, adopt_text(report))
    return exit_code(report)


def _source(flags: dict[str, Any]) -> Source | None:
    """Return the source that the user names.

    Raises DownloaderError: USAGE, also when something is selected, or a hash expected, of nothing.
    """
    from llmkube_downloader.key import parse_source

    selection = {name: flags[name] for name in ("revision", "include", "exclude")} | {"files": flags["file"]}
    if flags["source"]:
        return parse_source(flags["source"], **selection)
    if any(selection.values()):
        raise DownloaderError(
            ExitCode.USAGE, "something is selected, but of no source", "Name the source with --source."
        )
    if flags["sha256"]:
        raise DownloaderError(ExitCode.USAGE, "--sha256 does not say of which source", "Name the source with --source.")
    return None
