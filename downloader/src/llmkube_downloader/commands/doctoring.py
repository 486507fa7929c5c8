"""``doctor``: whether a directory can hold a cache, and whether what is there is healthy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmkube_downloader.commands.answer import answer, reported
from llmkube_downloader.options import examples, output_flag, root_flag

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="doctor", epilog=examples("doctor --root /models", "doctor --root /models -o json"))
@root_flag()
@output_flag()
def doctor_command(root: Path, output: str) -> int:
    """Check that a directory can hold a cache, and that what is there is healthy.

    Nothing is changed, and nothing is left behind. The exit code is that of the first problem; warnings do not count.
    """
    from llmkube_downloader.doctor import diagnose, exit_code
    from llmkube_downloader.text import doctor_text

    with reported(output):
        report = diagnose(root)
    answer(output, report, doctor_text(report))
    return exit_code(report)
