"""Works on a local directory by running llmkube-downloader, without any cluster."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from llmkube_plugin import interrupts, pods
from llmkube_plugin.errors import PluginError, downloader_failure
from llmkube_plugin.installation import DOWNLOADER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmkube_plugin.kube import Object

PROGRAM = "llmkube-downloader"
VARIABLE = "LLMKUBE_DOWNLOADER"


class Listener(Protocol):
    """Hears how a downloader gets on."""

    def begun(self, process: subprocess.Popen[str]) -> None:
        """Hear that it runs."""

    def told(self, line: str) -> None:
        """Hear a line that it wrote to standard error."""


@dataclass(frozen=True)
class Downloader:
    """How to run llmkube-downloader: the start of its command line, and where Python finds it if that is needed."""

    command: tuple[str, ...]
    python_path: str = ""

    def run(
        self,
        root: Path,
        arguments: Sequence[str],
        *,
        show: bool = False,
        listener: Listener | None = None,
        accept: Iterable[int] = (0,),
    ) -> Object:
        """Run a verb on a directory and return its report.

        With `show`, progress and messages go to standard error as they come; a listener gets each line of them instead.
        Raises PluginError with the downloader's exit code when it is not one of `accept`.
        """
        environment = {**os.environ, "PYTHONPATH": self.python_path} if self.python_path else None
        verb, *rest = arguments
        line = [*self.command, verb, "--root", str(root), "-o", "json", *rest]
        try:
            code, text = _run_heard(line, environment, listener) if listener else _run(line, environment, show=show)
        except OSError as error:
            raise PluginError(
                f"{self.command[0]} can not be run: {error.strerror}", f"Correct {VARIABLE}, or leave it out."
            ) from error
        report = pods.parse_report(text)
        if code not in accept or "error" in report:
            raise downloader_failure(report.get("error") or {}, code, f"`{verb}` on {root}", told=show)
        return report


def existing(root: Path) -> Path:
    """Return a directory that is there; a mistyped one is not to be taken for an empty cache."""
    if not root.is_dir():
        raise PluginError(f"there is no directory {root}", "Name the directory of a cache with --dir.")
    return root


def find_downloader() -> Downloader:
    """Return the downloader that LLMKUBE_DOWNLOADER names, or else the nearest one.

    Nearest are the one beside our interpreter, the one in the source tree that we run from, and the one on PATH.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return Downloader((named,))
    beside = Path(sys.executable).parent / PROGRAM
    if beside.exists():
        return Downloader((str(beside),))
    if (DOWNLOADER / "llmkube_downloader").is_dir():
        return Downloader((sys.executable, "-m", "llmkube_downloader"), str(DOWNLOADER))
    found = shutil.which(PROGRAM)
    if found:
        return Downloader((found,))
    raise PluginError(
        f"{PROGRAM} is not installed, and --dir needs it",
        f"Install it from downloader/ of the llmkube repository with `pip install ./downloader`, "
        f"or name it in the environment variable {VARIABLE}.",
    )


def _run(line: Sequence[str], environment: dict[str, str] | None, *, show: bool) -> tuple[int, str]:
    """Run a program and return its exit code and standard output.

    Interrupted, it is given the time to tidy up, instead of being killed.
    """
    errors = None if show else subprocess.DEVNULL
    process: subprocess.Popen[str] | None = None
    try:
        with interrupts.postponed():
            process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
        text, _ = process.communicate()
    except KeyboardInterrupt:
        if process:
            _end(process, line[0])
        raise
    return process.returncode, text


def _end(process: subprocess.Popen[str], program: str) -> None:
    """Ask a program to end, and wait until it has.

    Ctrl-C reaches it by itself, but a signal to us alone does not. The downloader minds only the first one.
    """
    process.send_signal(signal.SIGINT)
    with interrupts.leaving(f"{program} (process {process.pid}) is still ending what it does."):
        process.communicate()


def _run_heard(line: Sequence[str], environment: dict[str, str] | None, listener: Listener) -> tuple[int, str]:
    """Run a program that a listener hears, in any thread; return its exit code and standard output."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output,
        subprocess.Popen(
            line, stdout=output, stderr=subprocess.PIPE, text=True, errors="replace", env=environment
        ) as process,
    ):
        listener.begun(process)
        for told in process.stderr or ():
            listener.told(told.rstrip("\n"))
        process.wait()
        output.seek(0)
        return process.returncode, output.read()
