"""``doctor``: whether a directory can hold a cache, and whether what is there is healthy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from llmkube_downloader.commands.answer import answer, reported
from llmkube_downloader.commands.fetching import source_of
from llmkube_downloader.options import allow_http_flag, examples, output_flag, root_flag, selection_flags

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    name="doctor",
    epilog=examples("doctor --root /models", "doctor hf://org/repo/model-q4.gguf --root /models -o json"),
)
@click.argument("source", required=False)
@root_flag()
@selection_flags
@allow_http_flag()
@output_flag()
def doctor_command(source: str | None, root: Path, allow_http: frozenset[str], output: str, **selection: Any) -> int:
    """Check that a directory can hold a cache, and that what is there is healthy.

    With SOURCE its origin is asked, too: whether it can be had from here with these credentials, how large it is, and
    whether there is room for it. Nothing is changed, and nothing is left behind. The exit code is that of the first
    problem; warnings do not count.
    """
    from llmkube_downloader.doctor import diagnose, exit_code
    from llmkube_downloader.text import doctor_text

    with reported(output):
        report = diagnose(root, source_of(source, selection) if source else None, allow_http)
    answer(output, report, doctor_text(report))
    return exit_code(report)
