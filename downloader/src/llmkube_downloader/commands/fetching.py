"""``fetch`` and ``key``: from a source to an entry, and to the name of one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from llmkube_downloader.commands.answer import answer, reported, save_report
from llmkube_downloader.options import examples, output_flag, root_flag, source_arguments, transfer_flags

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.key import Source


@click.command(
    name="fetch",
    epilog=examples(
        "fetch --root /models hf://org/repo/model-q4.gguf",
        "fetch --root /models hf://org/repo --include '*.safetensors' --include '*.json'",
        "fetch --root /models https://example.com/model.gguf --sha256 HEX",
    ),
)
@source_arguments
@root_flag()
@transfer_flags
@output_flag()
def fetch_command(source: str, root: Path, output: str, link: Path | None, report: Path | None, **flags: Any) -> None:
    """Make sure that the model SOURCE is on the volume, whole and verified.

    An entry that is there costs no network and no writing. The last line of the output is the path of the entry.

    Sources: https://, http:// (only to hosts of --allow-http), hf://org/repo[@revision][/file], file:///path,
    pvc://claim/path.
    """
    from llmkube_downloader.fetch import fetch
    from llmkube_downloader.request import Refresh, Request, VerifyOnStart
    from llmkube_downloader.text import fetch_text
    from llmkube_downloader.transfer.progress import Meter

    with reported(output, report):
        request = Request(
            source=source_of(source, flags),
            root=root,
            hashes=flags["sha256"],
            allow_http=flags["allow_http"],
            lock_wait=flags["lock_wait"],
            stall_timeout=flags["stall_timeout"],
            expect_size=flags["expect_size"],
            connections=flags["connections"],
            limit_rate=flags["limit_rate"],
            refresh=Refresh(flags["refresh"]),
            verify_on_start=VerifyOnStart(flags["verify_on_start"]),
            upstream=flags["upstream"],
            mirrors=flags["mirror"],
            budget=flags["budget"],
        )
        result = fetch(request, Meter(sys.stderr)).to_json()
        if link:
            _link(link, result["entry"])
    if report:
        save_report(report, result)
    answer(output, result, fetch_text(result))


@click.command(name="key", epilog=examples("key hf://org/repo --include '*.safetensors'"))
@source_arguments
@output_flag()
def key_command(source: str, output: str, **flags: Any) -> None:
    """Print the cache key of SOURCE: the name of its entry on a volume."""
    from llmkube_downloader.report import SCHEMA

    with reported(output):
        parsed = source_of(source, flags)
    answer(output, {"schema": SCHEMA, "key": parsed.key, "canonical": parsed.canonical}, parsed.key)


def _link(path: Path, entry: str) -> None:
    from llmkube_downloader.errors import DownloaderError, ExitCode
    from llmkube_downloader.link import link_entry

    try:
        link_entry(str(path), entry)
    except OSError as error:
        raise DownloaderError(
            ExitCode.VOLUME,
            f"{path} can not be made a link to {entry}: {error.strerror}",
            "Give --link a path that is free, in a directory that is there and may be written.",
        ) from error


def source_of(source: str, flags: dict[str, Any]) -> Source:
    """Return a source with the selection that flags make."""
    from llmkube_downloader.key import parse_source

    return parse_source(
        source,
        revision=flags["revision"],
        files=flags["file"],
        include=flags["include"],
        exclude=flags["exclude"],
    )
