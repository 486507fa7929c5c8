"""Starts fetches as copies of this process, which has imported everything already: a start takes milliseconds."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def prepare(names: Path) -> None:
    """Import what a fetch has imported that left the names in a file; see `note_imports`.

    Only while this process has one thread may it be copied afterwards.
    """
    for name in names.read_text().split():
        with suppress(ImportError):
            # Some were made by what imported them.
            importlib.import_module(name)
    assert threading.active_count() == 1


def note_imports(names: Path) -> None:
    """Write down which modules this process has imported."""
    names.write_text("\n".join(name for name in sys.modules if not name.startswith("__")))


def launch(
    arguments: list[str],
    log: Path,
    *,
    environment: dict[str, str] | None = None,
    before: Callable[[], None] = lambda: None,
    after: Callable[[int], int] = lambda code: code,
) -> int:
    """Run the command line in a copy of this process and return its process id.

    - log: a file that gets all that it prints.
    - before: called in the copy before anything else.
    - after: called in the copy with its exit code; what it returns is the exit code instead.
    """
    pid = os.fork()
    if pid == 0:
        os._exit(_run(arguments, log, environment or {}, before, after))
    return pid


def _run(
    arguments: list[str],
    log: Path,
    environment: dict[str, str],
    before: Callable[[], None],
    after: Callable[[int], int],
) -> int:
    """Run the command line in this process, whatever it meets, and return the exit code."""
    try:
        _speak_into(log)
        before()
        os.environ.update(environment)
        return after(_main(arguments))
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        return 1


def _speak_into(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)


def _main(arguments: list[str]) -> int:
    from llmkube_downloader import cli

    sys.argv = ["llmkube-downloader", *arguments]
    try:
        cli.main()
    except SystemExit as ended:
        sys.stdout.flush()
        return int(ended.code or 0)
