"""The command line. Nothing but this module and commands/ prints; every other one returns or raises."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from llmkube_downloader import __version__
from llmkube_downloader.commands import adopting, doctoring, fetching, keeping, reading, removing
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.termination import TerminatedError, install_handlers

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


for _command in (
    fetching.fetch_command,
    fetching.key_command,
    reading.list_command,
    reading.verify_command,
    removing.remove_command,
    removing.prune_command,
    keeping.pin_command,
    keeping.unpin_command,
    keeping.hold_command,
    doctoring.doctor_command,
    adopting.adopt_command,
):
    commands.add_command(_command)


def _fail(error: DownloaderError) -> int:
    from llmkube_downloader.text import printable

    click.echo(f"error: {printable(error.cause)}\n  {printable(error.action)}", err=True)
    return error.code
