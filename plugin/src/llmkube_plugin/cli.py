"""The command line: puts the commands together and turns what goes wrong into a sentence and an exit code."""

from __future__ import annotations

import os
import sys

import click

from llmkube_plugin import __version__, collector
from llmkube_plugin.interrupts import listen, stopped
from llmkube_plugin.lazy import LazyGroup

# The commands: modules of llmkube_plugin.commands, with the first line of their own help, so that `--help` needs none.
_ALONE = {
    "report": "Write one page about all caches: who holds their space, entries, errors, downloads.",
    "doctor": "Find what would make an install fail or hang, before it does.",
}
_CACHE = {
    "list": "List the entries of caches: release, source, key, claim, size, state, users.",
    "df": "Show who holds the space of each cache, and what of it can be had back.",
    "status": "Show how each cache is: its claim, the pods that mount it, fetches under way, and the last failures.",
    "plan": "Show which caches a release would make and what it would download, from what `helm template` printed.",
    "create": "Make a cache without a model: the claim, and what maintains it.",
    "preload": "Download weights into a cache before they are needed, several at once.",
    "verify": "Read entries whole and compare every file with the hash it was published with.",
    "clear": "Remove entries from the caches of a namespace.",
    "prune": "Remove from each cache of a namespace what is not used, the longest unused first.",
    "pin": "Keep entries from being removed, until they are unpinned.",
    "unpin": "Let pinned entries be removed again.",
}
_CATALOG = {
    "list": "List the models that `cache preload` takes by an id, and whose size the chart knows.",
    "show": "Show one model of the catalog, and how it is downloaded and served.",
}
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Cli(LazyGroup):
    """The command line as a whole, which Ctrl-C ends with words of ours."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interruption:
            raise stopped(interruption) from None


@click.group(cls=_Cli, lazy=_ALONE, context_settings=_SETTINGS)
@click.version_option(__version__, message="%(version)s")
def cli() -> None:
    """See and manage the model caches of a cluster or of a directory."""


@cli.group(cls=LazyGroup, lazy=_CACHE)
def cache() -> None:
    """Model weights that were downloaded once and kept."""


@cli.group(cls=LazyGroup, lazy=_CATALOG)
def catalog() -> None:
    """Models that are known by an id, with their sizes and licenses."""


def main() -> None:
    """Run the plugin and exit.

    Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 130 interrupted; when a download or work on a volume fails,
    the downloader's own code.
    """
    collector.slow_down()
    listen()
    name = "helm llmkube" if os.environ.get("HELM_PLUGIN_NAME") else "helm-llmkube"
    try:
        cli.main(prog_name=name)
    except Exception as error:
        if os.environ.get("HELM_DEBUG", "").lower() in ("1", "true"):
            raise
        click.echo(f"Error: unexpected {type(error).__name__}: {error}", err=True)
        click.echo("This is a fault of llmkube; --debug shows where.", err=True)
        sys.exit(1)
