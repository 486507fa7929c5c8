"""Writes results into files: whole or not at all, and never over what somebody else wrote."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llmkube_plugin.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD_OUTPUT = "-"
_LOOKED_AT = 4096  # bytes at the start of a file in which its maker is looked for


def check_replaceable(path: str, mark: bytes) -> None:
    """Refuse a path that can not be written, and a file without the mark near its start by which we know our own.

    Raises PluginError.
    """
    if path == STANDARD_OUTPUT:
        return
    target = Path(path)
    with _errors(target):
        if target.is_dir():
            raise PluginError(f"{target} is a directory", "Name a file in it with -f.")
        if not target.parent.is_dir():
            raise PluginError(f"there is no directory {target.parent}", "Create it, or name another file with -f.")
        if not target.is_file() or target.stat().st_size == 0:
            return
        with target.open("rb") as file:
            start = file.read(_LOOKED_AT)
    if mark not in start:
        raise PluginError(
            f"{target} exists, and is no report of llmkube: it is not overwritten",
            "Name another file with -f, or remove that one.",
        )


def write(path: str, text: str) -> None:
    """Write a text to standard output (`-`) or into a file, which then holds all of it or what it held before.

    A link stays a link; what is no plain file, such as a pipe, is written to as it is. Raises PluginError.
    """
    if path == STANDARD_OUTPUT:
        click.echo(text, nl=False)
        return
    target = Path(path)
    with _errors(target):
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8")
        else:
            _replace(target.resolve(), text)


def _replace(target: Path, text: str) -> None:
    """Write beside the target, then put it in its place. The file gets the rights that a new one would have."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def _errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PluginError(f"{target} can not be written: {error.strerror}", "Name another file with -f.") from error
