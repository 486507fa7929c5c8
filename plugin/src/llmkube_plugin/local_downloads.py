"""Downloads into a local directory, side by side, with the downloader that is found."""

from __future__ import annotations

import functools
import signal
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from llmkube_plugin import catalog, interrupts, local
from llmkube_plugin.board import Board
from llmkube_plugin.downloads import Reader, side_by_side
from llmkube_plugin.errors import PluginError
from llmkube_plugin.preload_plan import ONE_SOURCE
from llmkube_plugin.sources import Selection, is_source, public_source, short_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llmkube_plugin.board import Task
    from llmkube_plugin.kube import Object
    from llmkube_plugin.output import Output


@dataclass
class LocalDownload:
    """One download into a directory: what was asked for, and the downloader's report or what went wrong.

    `process` is the downloader at work. A Listener of it.
    """

    asked: str
    source: str
    report: Object = field(default_factory=dict)
    failure: PluginError | None = None
    process: subprocess.Popen[str] | None = None
    read: Reader | None = None

    def begun(self, process: subprocess.Popen[str]) -> None:
        """Keep the process, to be told of an interruption."""
        self.process = process

    def told(self, line: str) -> None:
        """Show a line."""
        if self.read:
            self.read(line)


def run(directory: Path, targets: Sequence[str], selection: Selection, output: Output) -> list[LocalDownload]:
    """Download all targets, sources or ids of the catalog, into a directory; return what each came to."""
    if len(targets) > 1 and selection != Selection():
        raise click.UsageError(ONE_SOURCE)
    asked = [target if is_source(target) else _of_catalog(target) for target in dict.fromkeys(targets)]
    downloads = [LocalDownload(source, public_source(source)) for source in asked]
    downloader = local.find_downloader()
    names = short_names([download.source for download in downloads])
    with Board(names, quiet=output.quiet) as board:
        work = [
            functools.partial(_download, downloader, directory, download, selection, task)
            for download, task in zip(downloads, board.tasks, strict=True)
        ]
        with interrupts.leaving("What has come is kept, and the same command goes on with it."):
            side_by_side(work, interrupted=lambda: _end(downloads))
    return downloads


def _end(downloads: Sequence[LocalDownload]) -> None:
    """Ask the downloaders to end. Ctrl-C reaches them by itself, a signal to us alone does not; they mind one."""
    for download in downloads:
        if download.process and download.process.poll() is None:
            download.process.send_signal(signal.SIGINT)


def _download(
    downloader: local.Downloader, directory: Path, download: LocalDownload, selection: Selection, task: Task
) -> None:
    download.read = Reader(task)
    try:
        download.report = downloader.run(
            directory, ["fetch", download.asked, *selection.arguments()], listener=download
        )
    except PluginError as error:
        download.failure = error
        task.say("failed", failed=True)
    else:
        task.say("done")


def _of_catalog(target: str) -> str:
    """Return the source of a model of the catalog; a directory knows no releases."""
    model = catalog.find(target)
    if model:
        return model.source
    near = catalog.did_you_mean(target, [model.id for model in catalog.models()])
    wanted = "a source such as hf://org/repo or an id of `helm llmkube catalog list`"
    raise click.UsageError(f"With --dir give {wanted}; {target!r} is neither. {near}".rstrip())
