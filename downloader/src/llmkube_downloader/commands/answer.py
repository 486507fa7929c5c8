"""What every command does with its result: standard output gets it, or the failure where that was asked for as JSON."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.termination import TerminatedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def reported(output: str, report: Path | None = None) -> Iterator[None]:
    """Report a failure of the block like a result, where the caller of the command looks for one."""
    try:
        try:
            yield
        except TerminatedError as error:
            raise DownloaderError(ExitCode.TERMINATED, "asked to end by a signal", "Start again to go on.") from error
    except DownloaderError as error:
        from llmkube_downloader.report import dump, error_json

        if report:
            save_report(report, error_json(error))
        if output == "json":
            click.echo(dump(error_json(error)))
        raise


def answer(output: str, result: dict[str, Any], text: str) -> None:
    """Print a result: lines for people, or one JSON object."""
    from llmkube_downloader.report import dump

    click.echo(dump(result) if output == "json" else text)


def note(message: str) -> None:
    """Say something on standard error: what is being waited for, what goes wrong without ending the command."""
    from llmkube_downloader.text import printable

    click.echo(printable(message), err=True)


def warn(message: str) -> None:
    """Say on standard error what a user may regret."""
    note(f"warning: {message}")


def save_report(path: Path, result: dict[str, Any]) -> None:
    """Write the file of --report; say so where that is not possible."""
    from llmkube_downloader.report import write_report

    try:
        write_report(path, result)
    except OSError as error:
        # The result itself stands; only who reads the file misses it.
        warn(f"the report can not be written to {path}: {error.strerror}")
