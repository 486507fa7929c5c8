"""The one place that writes to the terminal: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from llmkube_plugin import interrupts
from llmkube_plugin.errors import PluginError
from llmkube_plugin.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

FORMATS = ("table", "wide", "json", "yaml", "name")
_COLOURS = {"complete": "green", "fetching": "cyan", "failed": "red", "damaged": "red", "partial": "yellow"}

_GAP = "  "
_CUT = "..."
_SHORTEST = 14  # characters that are left of a cell on however narrow a terminal

Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column of a table: its title, the text of its cell, and whether only `-o wide` shows it.

    `shorten` allows a narrow terminal to show its cells without their middle.
    """

    title: str
    cell: Callable[[Row], str]
    wide: bool = False
    shorten: bool = False


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
        """Print a table, or nothing when there are no rows.

        On a terminal it is made to fit, as far as columns may be shortened; `-o wide` shows all there is.
        """
        shown = [column for column in columns if self.form == "wide" or not column.wide]
        makers = [column.cell for column in shown]
        cells = [[_one_line(cell(row)) for cell in makers] for row in rows]
        if cells:
            lines = [[column.title for column in shown], *cells]
            on_terminal = sys.stdout.isatty()
            if self.form == "table" and on_terminal:
                lines = _fitted(lines, [column.shorten for column in shown], shutil.get_terminal_size().columns)
            click.echo(_table(lines, coloured=on_terminal and _takes_colours()))

    def document(self, document: Mapping[str, Any], names: Iterable[str]) -> None:
        """Print the result for a program: the whole document as JSON or YAML, or with `-o name` only the names."""
        if self.form == "json":
            click.echo(json.dumps(document, indent=2))
        elif self.form == "yaml":
            import yaml

            click.echo(yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True), nl=False)
        else:
            for name in dict.fromkeys(names):
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

    def raise_first(self, failures: Sequence[PluginError]) -> None:
        """End the command with the first of its failures, if there are any; the others become warnings."""
        for failure in failures[1:]:
            self.warn(failure.format_message())
        if failures:
            raise failures[0]

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something is lost; `yes` answers. Without a terminal to ask on, refuse."""
        if yes:
            return
        if not is_terminal():
            raise PluginError(
                "refusing to remove anything without a confirmation, and standard input is no terminal to ask on",
                "Look at the plan with --dry-run, then repeat the command with --yes.",
            )
        if not _agreed(question):
            raise interrupts.Stopped("Nothing was removed.")


def is_terminal() -> bool:
    """Return whether there is somebody to ask."""
    return sys.stdin.isatty()


def _agreed(question: str) -> bool:
    """Ask on the terminal until the answer is yes or no; the end of input is a no.

    click's own prompt would write to standard output, which may be a file that gets the result.
    """
    while True:
        click.echo(f"{printable(question)} [y/N] ", nl=False, err=True)
        answer = sys.stdin.readline()
        if answer.strip().lower() in ("y", "yes", "n", "no", ""):
            return answer.strip().lower() in ("y", "yes")
        click.echo("Please answer y or n.", err=True)


def _one_line(text: str) -> str:
    return text if text.isprintable() else printable(text).replace("\n", " ")


def _takes_colours() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _table(lines: list[list[str]], *, coloured: bool) -> str:
    """Lay out cells in columns, two spaces apart."""
    widths = _widths(lines)
    line = _coloured_line if coloured else _line
    return "\n".join(line(cells, widths) for cells in lines)


def _widths(lines: list[list[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _fitted(lines: list[list[str]], shorten: list[bool], room: int) -> list[list[str]]:
    """Take the middle out of cells, in the widest columns first, until the table is as wide as the room it has."""
    widths = _widths(lines)
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - room
    for _ in range(excess):
        widest = max((width for width, allowed in zip(widths, shorten, strict=True) if allowed), default=0)
        if widest <= _SHORTEST:
            break
        index = next(i for i, width in enumerate(widths) if width == widest and shorten[i])
        widths[index] -= 1
    return [[_without_middle(cell, width) for cell, width in zip(line, widths, strict=True)] for line in lines]


def _without_middle(text: str, width: int) -> str:
    """Return a text in at most `width` characters: of a source, both the host and the file's name tell something."""
    if len(text) <= width:
        return text
    tail = (width - len(_CUT)) * 3 // 5
    return text[: width - len(_CUT) - tail] + _CUT + text[-tail:]


def _line(cells: list[str], widths: list[int]) -> str:
    return _GAP.join(map(str.ljust, cells, widths)).rstrip()


def _coloured_line(cells: list[str], widths: list[int]) -> str:
    padded = [*map(str.ljust, cells[:-1], widths), cells[-1]]
    return _GAP.join(map(_coloured, padded, cells)).rstrip()


def _coloured(text: str, cell: str) -> str:
    """Colour the cell of a state."""
    colour = _COLOURS.get(cell.partition(" ")[0])
    return click.style(text, fg=colour) if colour else text
