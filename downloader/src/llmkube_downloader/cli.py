"""The command line. Nothing but this module prints; every other one returns or raises."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from llmkube_downloader import __version__
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.options import examples, flag, output_flag, root_flag, source_arguments, transfer_flags
from llmkube_downloader.termination import TerminatedError, install_handlers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmkube_downloader.key import Source

# Every pod of the volume's group may remove what another one fetched.
_UMASK = 0o002


def main() -> NoReturn:
    """Run the command line and exit with the code that docs/downloader.md lists."""
    install_handlers()
    os.umask(_UMASK)
    try:
        code = commands.main(prog_name="llmkube-downloader", standalone_mode=False)
    except DownloaderError as error:
        code = _fail(error)
    except click.ClickException as error:
        error.show()
        code = ExitCode.USAGE
    except TerminatedError:
        code = ExitCode.TERMINATED
    sys.exit(code if isinstance(code, int) else ExitCode.OK)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Every flag can be given by the environment: --lock-wait is LLMKUBE_LOCK_WAIT. What can be given several "
    "times is separated by line feeds there.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def commands() -> None:
    """Fetch model weights onto a volume once, prove them whole, and say what is there.

    Standard output carries the result, standard error progress and messages.
    """


@commands.command(
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
def fetch_command(source: str, root: Path, output: str, report: Path | None, **flags: Any) -> None:
    """Make sure that the model SOURCE is on the volume, whole and verified.

    An entry that is there costs no network and no writing. The last line of the output is the path of the entry.

    Sources: https://, http:// (only to hosts of --allow-http), hf://org/repo[@revision][/file], file:///path.
    """
    from llmkube_downloader.fetch import Request, fetch
    from llmkube_downloader.text import fetch_text
    from llmkube_downloader.transfer.progress import Meter

    with _reported(output, report):
        request = Request(
            source=_parsed(source, flags),
            root=root,
            hashes=dict(flags["sha256"]),
            allow_http=frozenset(host for hosts in flags["allow_http"] for host in hosts),
            lock_wait=flags["lock_wait"],
            stall_timeout=flags["stall_timeout"],
            expect_size=flags["expect_size"],
        )
        result = fetch(request, Meter(sys.stderr)).to_json()
    if report:
        _write_report(report, result)
    _answer(output, result, fetch_text(result))


@commands.command(name="key", epilog=examples("key hf://org/repo --include '*.safetensors'"))
@source_arguments
@output_flag()
def key_command(source: str, output: str, **flags: Any) -> None:
    """Print the cache key of SOURCE: the name of its entry on a volume."""
    from llmkube_downloader.report import SCHEMA

    with _reported(output):
        parsed = _parsed(source, flags)
    _answer(output, {"schema": SCHEMA, "key": parsed.key, "canonical": parsed.canonical}, parsed.key)


@commands.command(name="list", epilog=examples("list --root /models", "list --root /models -o json"))
@root_flag()
@output_flag()
def list_command(root: Path, output: str) -> None:
    """Show what is on the volume: entries, unfinished attempts, damaged and foreign directories."""
    from llmkube_downloader.maintenance import list_entries
    from llmkube_downloader.text import list_text

    with _reported(output):
        result = list_entries(root)
    _answer(output, result, list_text(result))


@commands.command(name="verify", epilog=examples("verify --root /models", "verify --root /models 43fe1ea36c1aecde"))
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@root_flag()
@output_flag()
def verify_command(keys: tuple[str, ...], root: Path, output: str) -> int:
    """Read entries whole and compare every file with the hash it was published with.

    Without a KEY, all entries are verified. The exit code is 13 when one is damaged.
    """
    from llmkube_downloader.maintenance import verify_entries
    from llmkube_downloader.text import verify_text
    from llmkube_downloader.transfer.progress import Meter

    meter = Meter(sys.stderr)
    with _reported(output):
        try:
            result = verify_entries(root, keys, meter.advance)
        finally:
            meter.end()
    _answer(output, result, verify_text(result))
    damaged = any(entry["problems"] for entry in result["entries"])
    return ExitCode.INTEGRITY if damaged else ExitCode.OK


@commands.command(name="remove", epilog=examples("remove --root /models 43fe1ea36c1aecde"))
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@root_flag()
@flag("--force", "Also remove what is being fetched, and directories that llmkube did not write.", is_flag=True)
@output_flag()
def remove_command(keys: tuple[str, ...], root: Path, force: bool, output: str) -> None:
    """Remove entries, with everything else on the volume that belongs to their keys.

    Nothing is removed when one of the keys can not be.
    """
    from llmkube_downloader.maintenance import plan_removal, remove
    from llmkube_downloader.text import remove_text

    with _reported(output):
        result = remove(root, plan_removal(root, keys, force=force), force=force)
    _answer(output, result, remove_text(result))


def _parsed(source: str, flags: dict[str, Any]) -> Source:
    from llmkube_downloader.key import parse_source

    return parse_source(
        source,
        revision=flags["revision"],
        files=flags["file"],
        include=flags["include"],
        exclude=flags["exclude"],
    )


@contextmanager
def _reported(output: str, report: Path | None = None) -> Iterator[None]:
    """Report a failure of the block like a result, where the caller of the command looks for one."""
    try:
        try:
            yield
        except TerminatedError as error:
            raise DownloaderError(ExitCode.TERMINATED, "asked to end by a signal", "Start again to go on.") from error
    except DownloaderError as error:
        from llmkube_downloader.report import dump, error_json

        if report:
            _write_report(report, error_json(error))
        if output == "json":
            click.echo(dump(error_json(error)))
        raise


def _answer(output: str, result: dict[str, Any], text: str) -> None:
    from llmkube_downloader.report import dump

    click.echo(dump(result) if output == "json" else text)


def _write_report(path: Path, result: dict[str, Any]) -> None:
    from llmkube_downloader.report import write_report

    try:
        write_report(path, result)
    except OSError as error:
        # The result itself stands; only who reads the file misses it.
        click.echo(f"warning: the report can not be written to {path}: {error.strerror}", err=True)


def _fail(error: DownloaderError) -> int:
    from llmkube_downloader.text import printable

    click.echo(f"error: {printable(error.cause)}\n  {printable(error.action)}", err=True)
    return error.code
