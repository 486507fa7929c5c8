"""The flags of the command line, each with its environment name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from llmkube_downloader.units import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Command = TypeVar("_Command", bound="Callable[..., Any]")

_EXPECTED_HASH = re.compile(r"(?:(?P<path>.+)=)?(?P<hash>[0-9a-fA-F]{64})")


class _Lines(click.ParamType[Any]):
    """A text; in the environment several of them are separated by line feeds."""

    name = "text"

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        return [line for line in rv.split("\n") if line]


class _ExpectedHash(_Lines):
    """``[PATH=]HEX`` as the pair (path, lower-case hash); the path is empty when there is none."""

    name = "[PATH=]HEX"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        match = _EXPECTED_HASH.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} does not end in the 64 hexadecimal digits of a SHA-256", param, ctx)
        return match["path"] or "", match["hash"].lower()


class _Hosts(_Lines):
    """Host names separated by commas."""

    name = "HOST,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        return [host.strip().lower() for host in value.split(",") if host.strip()]


class _Names(_Lines):
    """Names separated by commas; none is a list too."""

    name = "NAME,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        return [name.strip() for name in value.split(",") if name.strip()]


class _Size(click.ParamType[int]):
    """``5Gi``, ``500M`` or bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Duration(click.ParamType[float]):
    """``90s``, ``12h``, ``30d`` or seconds; zero only where it makes sense."""

    name = "duration"

    def __init__(self, *, zero: bool = False) -> None:
        self._zero = zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not seconds and not self._zero:
            self.fail("it must be longer than nothing", param, ctx)
        return seconds


class _AbsolutePath(click.ParamType[Path]):
    """A path, made absolute but with its links left as they are."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        return Path(os.path.abspath(value))  # noqa: PTH100 - resolve() would follow links


class _Directories(_AbsolutePath):
    """Several directories; in the environment separated by line feeds."""

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        return [line for line in rv.split("\n") if line]


def flag(name: str, help_text: str, **settings: Any) -> Callable[[_Command], _Command]:
    """Return the decorator of a flag whose environment name is LLMKUBE_ and the flag in capitals."""
    variable = "LLMKUBE_" + name.lstrip("-").upper().replace("-", "_")
    return click.option(name, envvar=variable, show_envvar=True, help=help_text, **settings)


def examples(*lines: str) -> str:
    """Return the end of a command's help: lines that can be run as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  llmkube-downloader {line}" for line in lines)


def root_flag() -> Callable[[_Command], _Command]:
    """Return the decorator of --root."""
    return flag(
        "--root",
        "The directory that holds the entries, usually the mounted volume.",
        type=_AbsolutePath(),
        required=True,
    )


def output_flag() -> Callable[[_Command], _Command]:
    """Return the decorator of --output."""
    variable = "LLMKUBE_OUTPUT"
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        envvar=variable,
        show_default=True,
        show_envvar=True,
        help="What standard output gets: lines for people or one JSON object.",
    )


def path_flag(name: str, help_text: str) -> Callable[[_Command], _Command]:
    """Return the decorator of a flag that names a path."""
    return flag(name, help_text, type=_AbsolutePath(), metavar="PATH")


def source_arguments(command: _Command) -> _Command:
    """Add the source and the flags that select a part of it: all that the cache key is made of."""
    command = selection_flags(command)
    return click.argument("source", envvar="LLMKUBE_SOURCE")(command)


def selection_flags(command: _Command) -> _Command:
    """Add the flags that select a part of a source."""
    decorators = [
        flag("--revision", "Branch, tag or commit of an hf:// source; main when left out.", metavar="REVISION"),
        flag("--include", "Fetch only files that match. Repeatable.", multiple=True, type=_Lines(), metavar="GLOB"),
        flag("--exclude", "Leave out files that match. Repeatable.", multiple=True, type=_Lines(), metavar="GLOB"),
        flag("--file", "Fetch this file of the source. Repeatable.", multiple=True, type=_Lines(), metavar="PATH"),
    ]
    return _decorated(command, decorators)


def allow_http_flag() -> Callable[[_Command], _Command]:
    """Return the decorator of --allow-http, whose value is a set of hosts."""
    return flag(
        "--allow-http",
        "Hosts that may be asked without encryption; * for all.",
        multiple=True,
        type=_Hosts(),
        metavar="HOST,...",
        callback=lambda _context, _parameter, hosts: frozenset(host for each in hosts for host in each),
    )


def sha256_flag() -> Callable[[_Command], _Command]:
    """Return the decorator of --sha256, whose value is a dictionary of hashes by path."""
    return flag(
        "--sha256",
        "The expected SHA-256 of the file, or of PATH where there are several. Repeatable.",
        multiple=True,
        type=_ExpectedHash(),
        metavar="[PATH=]HEX",
        callback=lambda _context, _parameter, pairs: dict(pairs),
    )


def origin_flags(command: _Command) -> _Command:
    """Add the flags that say how origins are asked, and others that ask them are waited for."""
    return _decorated(command, _origin_decorators())


def _origin_decorators() -> list[Callable[[_Command], _Command]]:
    return [
        allow_http_flag(),
        flag(
            "--lock-wait",
            "How long to wait for another process that fetches the same.",
            type=_Duration(zero=True),
            default="12h",
            show_default=True,
        ),
        flag(
            "--stall-timeout",
            "How long an origin may be silent before its connection counts as broken.",
            type=_Duration(),
            default="60s",
            show_default=True,
        ),
        flag(
            "--connections",
            "How many connections may receive at the same time, as far as more of them help.",
            type=click.IntRange(1, 64),
            default=16,
            show_default=True,
            metavar="N",
        ),
        flag(
            "--limit-rate",
            "Bytes per second that all connections together may receive, such as 50M.",
            type=_Size(),
        ),
    ]


def transfer_flags(command: _Command) -> _Command:
    """Add the flags that say how something is fetched."""
    decorators = [
        sha256_flag(),
        *_origin_decorators(),
        flag(
            "--refresh",
            "When to ask the origin for a newer content of an entry that is there.",
            type=click.Choice(["never", "on-change", "always"]),
            default="never",
            show_default=True,
        ),
        flag(
            "--verify-on-start",
            "How much of an entry that is there is read again: its sizes, some stretches, everything.",
            type=click.Choice(["size", "sample", "full"]),
            default="size",
            show_default=True,
        ),
        flag(
            "--upstream",
            "The root of another cache, mounted here, that is asked before the origin. Repeatable.",
            multiple=True,
            type=_Directories(),
            metavar="DIR",
        ),
        flag(
            "--mirror",
            "Asked before the origin: another hub for hf://, else the address of the same file. Repeatable.",
            multiple=True,
            type=_Lines(),
            metavar="URL",
        ),
        flag(
            "--budget",
            "What everything below the root may take; more is refused before the first byte.",
            type=_Size(),
        ),
        flag(
            "--expect-size",
            "What the model takes. More than 1 % above it is refused; counted where the origin tells no size.",
            type=_Size(),
        ),
        flag(
            "--link",
            "Make this path, which is not on the volume, a symbolic link to the entry.",
            type=_AbsolutePath(),
            metavar="PATH",
        ),
        flag(
            "--report",
            "Also write the report to this file, in 4096 bytes at most.",
            type=_AbsolutePath(),
            metavar="FILE",
        ),
    ]
    return _decorated(command, decorators)


def gone_pods_flag() -> Callable[[_Command], _Command]:
    """Return the decorator of --gone-pods."""
    return flag(
        "--gone-pods",
        "UIDs of pods that exist no more: their use leases do not count. Those of all others do for 7 days.",
        type=_Names(),
        default="",
        metavar="UID,...",
    )


def only_flag() -> Callable[[_Command], _Command]:
    """Return the decorator of --only, whose value is None when it is not given."""
    return flag(
        "--only",
        "Keys to touch nothing beside, such as those that a --dry-run named.",
        type=_Names(),
        metavar="KEY,...",
    )


def criteria_flags(command: _Command) -> _Command:
    """Add the flags that say what is to be pruned."""
    decorators = [
        flag("--max-bytes", "Remove the longest unused until everything takes no more than this.", type=_Size()),
        flag("--older-than", "Remove what was not used for so long.", type=_Duration()),
        flag("--unused", "Remove what nobody uses now.", is_flag=True),
        flag("--min-free", "Remove the longest unused until so much is free on the volume.", type=_Size()),
    ]
    return _decorated(command, decorators)


def _decorated(command: _Command, decorators: Sequence[Callable[[_Command], _Command]]) -> _Command:
    """Add decorators so that the first of them comes first in the help."""
    for decorator in reversed(decorators):
        command = decorator(command)
    return command
