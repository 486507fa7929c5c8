"""Shows on standard error how several downloads get on: a bar for each on a terminal, elsewhere their news in lines."""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import click

from llmkube_plugin import units
from llmkube_plugin.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from llmkube_plugin.progress import Progress

_BAR_CELLS = (10, 30)  # a bar with less says nothing, one with more says no more
_NAME_CELLS = 8  # a name is never cut to less
_LINE_SECONDS = 30.0  # off a terminal: after how long progress is told again
_LINE_PARTS = 10  # or at each of so many parts of the whole
_GAP = "  "


class Task:
    """One download on the board. What it says may come from any thread."""

    def __init__(self, name: str, view: _View) -> None:
        self.name = printable(name)
        self.progress: Progress | None = None
        self.words = "starting"
        self.failed = False
        self._view = view

    def advance(self, progress: Progress) -> None:
        """Show how far it is."""
        self.progress, self.words = progress, ""
        self._view.news(self)

    def say(self, words: str, *, failed: bool = False) -> None:
        """Show words in place of progress: what it waits for, or how it ended."""
        words = " ".join(printable(words).split())
        if (words, failed) != (self.words, self.failed):
            self.words, self.failed = words, failed
            self._view.news(self)


class _View(Protocol):
    """How tasks are shown."""

    def show(self, tasks: Sequence[Task]) -> None:
        """Begin, with the tasks there are."""

    def news(self, task: Task) -> None:
        """Show that a task has changed."""

    def close(self) -> None:
        """Show no more."""


class Board:
    """Shows tasks while its block lasts. What it showed stays on the terminal."""

    def __init__(self, names: Sequence[str], *, quiet: bool) -> None:
        self._view: _View = _Nothing() if quiet else _Screen() if _can_redraw() else _Log()
        self.tasks = [Task(name, self._view) for name in names]

    def __enter__(self) -> Self:
        self._view.show(self.tasks)
        return self

    def __exit__(self, *_: object) -> None:
        self._view.close()


class _Nothing:
    """Shows nothing: the user asked for quiet."""

    def show(self, tasks: Sequence[Task]) -> None:
        pass

    def news(self, task: Task) -> None:
        pass

    def close(self) -> None:
        pass


class _Log:
    """Writes a line for each piece of news, and one for progress now and then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = True
        self._told: dict[Task, tuple[float, Progress]] = {}

    def show(self, tasks: Sequence[Task]) -> None:
        """Say nothing yet: that something starts is no news."""

    def news(self, task: Task) -> None:
        with self._lock:
            if self._open and (task.words or self._is_due(task)):
                click.echo(f"{task.name}: {task.words or in_words(task.progress)}", err=True)

    def _is_due(self, task: Task) -> bool:
        """Return whether there is so much progress, or so long after the last, that it is worth a line."""
        now, new = monotonic(), task.progress
        if new is None:
            return False
        since, old = self._told.get(task, (float("-inf"), new))
        further = _parts(new) > _parts(old)
        due = now - since >= _LINE_SECONDS or further or new.reason != old.reason
        if due:
            self._told[task] = (now, new)
        return due

    def close(self) -> None:
        with self._lock:
            self._open = False


def _parts(progress: Progress) -> int:
    return int((progress.share or 0.0) * _LINE_PARTS)


class _Screen:
    """Keeps one line for each task up to date at the end of what the terminal shows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: Sequence[Task] = ()
        self._drawn: list[str] = []
        self._open = True

    def show(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._redraw()

    def news(self, task: Task) -> None:
        with self._lock:
            if self._open:
                self._redraw()

    def close(self) -> None:
        with self._lock:
            self._open = False

    def _redraw(self) -> None:
        columns, rows = _size()
        # A terminal that became narrower has wrapped what was there.
        height = sum(max(1, -(-len(line) // columns)) for line in self._drawn)
        # The cursor may stand behind the ^C of a user who pressed it.
        up = f"\r\x1b[{height}A" if height else "\r"
        width = name_width([task.name for task in self._tasks], columns)
        lines = [line(task, columns - 1, width) for task in self._tasks]
        hidden = len(lines) - (rows - 2)
        shown = _choose(self._tasks, max(rows - 3, 1)) if hidden > 0 else range(len(lines))
        self._drawn = [lines[index] for index in shown]
        painted = [_painted(self._tasks[index], lines[index]) for index in shown]
        if len(shown) < len(lines):
            more = f"... and {len(lines) - len(shown)} more"
            self._drawn.append(more)
            painted.append(more)
        sys.stderr.write(up + "\x1b[J" + "".join(f"{text}\n" for text in painted))
        sys.stderr.flush()


def _choose(tasks: Sequence[Task], count: int) -> list[int]:
    """Return which tasks to show when not all fit: those that are at work or failed first."""
    order = sorted(range(len(tasks)), key=lambda index: bool(tasks[index].words) and not tasks[index].failed)
    return sorted(order[:count])


def name_width(names: Sequence[str], columns: int) -> int:
    """Return how many cells the names of the tasks get."""
    return min(max(map(len, names), default=0), max(_NAME_CELLS, columns // 3))


def line(task: Task, columns: int, width: int) -> str:
    """Return the line of a task, no longer than `columns` cells, of which its name gets `width`."""
    name = _cut(_plain(task.name), width).ljust(width)
    room = columns - width - len(_GAP)
    words = _cut(_plain(task.words), room) if task.words or task.progress is None else _bar_line(task.progress, room)
    return f"{name}{_GAP}{words}".rstrip()


def _bar_line(progress: Progress, room: int) -> str:
    """Return bar and numbers; where there is little room, the least telling are left out."""
    share = progress.share
    percent = f"{share:4.0%}" if share is not None else ""
    if progress.reason:
        return _cut(_GAP.join(filter(None, (percent or units.size(progress.done), _plain(progress.reason)))), room)
    total = f" of {units.size(progress.total)}" if progress.total else ""
    facts = {
        "percent": percent,
        "bytes": units.size(progress.done) + total,
        "rate": f"{units.size(progress.rate)}/s",
        "left": f"{units.span(progress.left)} left" if progress.left is not None else "",
    }
    for name in ("bytes", "rate", "left"):
        if len(_joined(facts)) > room and (share is not None or name != "bytes"):
            facts[name] = ""
    numbers = _joined(facts)
    cells = min(room - len(numbers) - len(_GAP) - 2, _BAR_CELLS[1])
    if share is None or cells < _BAR_CELLS[0]:
        return _cut(numbers, room)
    filled = round(share * cells)
    return f"[{'#' * filled}{'.' * (cells - filled)}]{_GAP}{numbers}"


def _joined(facts: dict[str, str]) -> str:
    return _GAP.join(filter(None, facts.values()))


def in_words(progress: Progress | None) -> str:
    """Return progress as a line of a log."""
    if progress is None:
        return "starting"
    done = units.size(progress.done)
    if progress.total:
        done = f"{progress.share:.0%} ({done} of {units.size(progress.total)})"
    if progress.reason:
        return f"{done}; {progress.reason}"
    left = f", {units.span(progress.left)} left" if progress.left is not None else ""
    return f"{done}, {units.size(progress.rate)}/s{left}"


def _plain(text: str) -> str:
    """Return a text of characters that are one cell wide each, so that a line has the length that it seems to have."""
    return "".join(character if character.isascii() else "?" for character in text)


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(room - 2, 0)] + ".."[:room]


def _painted(task: Task, text: str) -> str:
    if os.environ.get("NO_COLOR"):
        return text
    if task.failed:
        return click.style(text, fg="red")
    return re.sub(r"\[(#+)", lambda match: "[" + click.style(match[1], fg="green"), text, count=1)


def _size() -> tuple[int, int]:
    """Return the columns and rows of the terminal that standard error is."""
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except OSError:
        size = shutil.get_terminal_size()
    return size.columns or 80, size.lines or 24


def _can_redraw() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
