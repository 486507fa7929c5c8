"""The command line: puts the commands together and turns what goes wrong into a sentence and an exit code."""

from __future__ import annotations

import os
import sys

import click

from llmkube_plugin import __version__
from llmkube_plugin.commands.cache_clear import cache_clear
from llmkube_plugin.commands.cache_list import cache_list
from llmkube_plugin.commands.cache_preload import cache_preload
from llmkube_plugin.commands.cache_status import cache_status
from llmkube_plugin.commands.cache_verify import cache_verify

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=_SETTINGS)
@click.version_option(__version__, message="%(version)s")
def cli() -> None:
    """See and manage the model caches of a cluster or of a directory."""


@cli.group()
def cache() -> None:
    """Model weights that were downloaded once and kept."""


for command in (cache_list, cache_status, cache_preload, cache_verify, cache_clear):
    cache.add_command(command)


def main() -> None:
    """Run the plugin and exit.

    Exit codes: 0 done, 1 failed or refused, 2 wrong usage; when a download or work on a volume fails, the downloader's
    own code.
    """
    name = "helm llmkube" if os.environ.get("HELM_PLUGIN_NAME") else "helm-llmkube"
    try:
        cli.main(prog_name=name)
    except Exception as error:
        if os.environ.get("HELM_DEBUG", "").lower() in ("1", "true"):
            raise
        click.echo(f"Error: unexpected {type(error).__name__}: {error}", err=True)
        click.echo("This is a fault of llmkube; --debug shows where.", err=True)
        sys.exit(1)
