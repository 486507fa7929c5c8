"""The one place that writes to the terminal: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from llmkube_plugin.errors import PluginError
from llmkube_plugin.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

FORMATS = ("table", "wide", "json", "yaml", "name")
_COLOURS = {"complete": "green", "fetching": "cyan", "failed": "red", "damaged": "red", "partial": "yellow"}

Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column of a table: its title, the text of its cell, and whether only `-o wide` shows it."""

    title: str
    cell: Callable[[Row], str]
    wide: bool = False


@dataclass(frozen=True)
class Output:
    """Where a command's words go. `form` is one of FORMATS; `quiet` leaves out progress and notes."""

    form: str = "table"
    quiet: bool = False

    @property
    def for_people(self) -> bool:
        """True when the result is a table and not data for a program."""
        return self.form in ("table", "wide")

    def rows(self, columns: Sequence[Column[Row]], rows: Sequence[Row]) -> None:
        """Print a table, or nothing when there are no rows."""
        shown = [column for column in columns if self.form == "wide" or not column.wide]
        cells = [[printable(column.cell(row)).replace("\n", " ") for column in shown] for row in rows]
        if cells:
            click.echo(_table([column.title for column in shown], cells))

    def document(self, document: Mapping[str, Any], names: Iterable[str]) -> None:
        """Print the result for a program: the whole document as JSON or YAML, or with `-o name` only the names."""
        if self.form == "json":
            click.echo(json.dumps(document, indent=2))
        elif self.form == "yaml":
            import yaml

            click.echo(yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True), nl=False)
        else:
            for name in names:
                click.echo(name)

    def text(self, text: str) -> None:
        """Print a result that is text for people."""
        click.echo(printable(text))

    def note(self, text: str) -> None:
        """Say something beside the result."""
        if not self.quiet:
            click.echo(printable(text), err=True)

    def warn(self, text: str) -> None:
        """Say something that must not be missed, `--quiet` or not."""
        click.echo(printable(f"Warning: {text}"), err=True)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something is lost; `yes` answers. Without a terminal to ask on, refuse."""
        if yes:
            return
        if not is_terminal():
            raise PluginError(
                "refusing to remove anything without a confirmation, and standard input is no terminal to ask on",
                "Look at the plan with --dry-run, then repeat the command with --yes.",
            )
        if not click.confirm(question, err=True):
            raise click.Abort


def is_terminal() -> bool:
    """Return whether there is somebody to ask."""
    return sys.stdin.isatty()


def _table(titles: list[str], cells: list[list[str]]) -> str:
    """Lay out cells in columns, two spaces apart."""
    widths = [max(len(line[index]) for line in [titles, *cells]) for index in range(len(titles))]
    lines = [_line(titles, widths), *(_line(line, widths) for line in cells)]
    return "\n".join(lines)


def _line(cells: list[str], widths: list[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    padded[-1] = cells[-1]
    coloured = [_coloured(text, cell) for text, cell in zip(padded, cells, strict=True)]
    return "  ".join(coloured).rstrip()


def _coloured(text: str, cell: str) -> str:
    """Colour the cell of a state; click takes colours out again when the output is no terminal."""
    colour = _COLOURS.get(cell.partition(" ")[0])
    if colour is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return click.style(text, fg=colour)
