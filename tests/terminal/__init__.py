r"""Runs a command in a terminal of its own and does there what people do: reads, types, presses Ctrl-C.

    with Terminal(plugin("cache", "clear", "--all"), environment, columns=40) as terminal:
        terminal.until("[y/N]")
        terminal.send("n\n")
        assert terminal.end() == 1
        assert "Nothing was removed" in terminal.shown

Whoever reads waits for text, and for no time: `until` and `end` fail when the command ends without having written it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Self

CTRL_C = "\x03"
CTRL_D = "\x04"
# A command that says nothing for so long hangs. Nothing is measured with it.
_PATIENCE_SECONDS = 60.0
# Makes the terminal that is standard input the one whose keys send signals, then becomes the command.
_LAUNCH = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
_ESCAPE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


def plugin(*arguments: str) -> list[str]:
    """Return the command line that runs the plugin as a process of its own."""
    return [sys.executable, "-c", "from llmkube_plugin.cli import main; main()", *arguments]


class Terminal:
    """A command that runs in a terminal. With `output`, its standard output goes to that file, as with `>`."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        columns: int = 80,
        rows: int = 24,
        output: Path | None = None,
    ) -> None:
        self.raw = ""
        self._read = 0
        self._size = (columns, rows)
        self._fd, theirs = pty.openpty()
        self.resize(columns, rows)
        with contextlib.ExitStack() as opened:
            opened.callback(os.close, theirs)
            out = opened.enter_context(output.open("wb")) if output else theirs
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCH, *command],
                stdin=theirs,
                stdout=out,
                stderr=theirs,
                env={**_without_size(environment), "TERM": "xterm-256color"},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def pid(self) -> int:
        """The process of the command, which leads the group that Ctrl-C reaches."""
        return self._process.pid

    @property
    def shown(self) -> str:
        """Everything that was written so far, without colours and other commands to the terminal."""
        return _ESCAPE.sub("", self.raw).replace("\r\n", "\n")

    @property
    def lines(self) -> list[str]:
        """What the terminal shows now with all that has scrolled away: lines as they wrap at its width."""
        return _laid_out(self.raw, self._size[0])

    def until(self, text: str) -> str:
        """Read until `text` has come, and return what came since the last call, up to its end."""
        while True:
            shown = self.shown
            found = shown.find(text, self._read)
            if found >= 0:
                came = shown[self._read : found + len(text)]
                self._read = found + len(text)
                return came
            assert self._more(), f"it ended without {text!r}:\n{shown}"

    def send(self, keys: str) -> None:
        """Type."""
        os.write(self._fd, keys.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal sends SIGINT to all processes in its foreground."""
        self.send(CTRL_C)

    def end_input(self) -> None:
        """Press Ctrl-D, which ends standard input."""
        self.send(CTRL_D)

    def resize(self, columns: int, rows: int = 24) -> None:
        """Change the terminal's size, as when its window is drawn larger or smaller."""
        self._size = (columns, rows)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self) -> int:
        """Read to the end and return the exit code, which is that of a shell: 128 and the signal that ended it."""
        while self._more():
            pass
        code = self._process.wait(_PATIENCE_SECONDS)
        return code if code >= 0 else 128 - code

    def _more(self) -> bool:
        """Wait for more text; return False when there will be none."""
        ready, _, _ = select.select([self._fd], [], [], _PATIENCE_SECONDS)
        assert ready, f"it says nothing any more:\n{self.shown}"
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:  # Linux says so when the last process has closed the terminal
            return False
        self.raw += data.decode(errors="replace")
        return bool(data)


def _without_size(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which only the terminal tells its size."""
    return {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}


def _laid_out(raw: str, columns: int) -> list[str]:
    """Return the lines that a terminal shows for what was written to it. What it does not know it does not guess."""
    lines, row, column, at = [""], 0, 0, 0
    while at < len(raw):
        escape = _ESCAPE.match(raw, at)
        if escape:
            at = escape.end()
            row, column = _obeyed(lines, row, column, escape[1], escape[2])
            continue
        character, at = raw[at], at + 1
        if character == "\r":
            column = 0
        elif character == "\n":
            row += 1
        elif character == "\b":
            column = max(0, column - 1)
        else:
            assert character.isprintable(), f"{character!r} means nothing to this terminal"
            if column == columns:  # a terminal goes to the next line only when there is something to put there
                row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
            line = lines[row].ljust(column)
            lines[row] = line[:column] + character + line[column + 1 :]
            column += 1
        lines += [""] * (row + 1 - len(lines))
    return [line.rstrip() for line in lines]


def _obeyed(lines: list[str], row: int, column: int, given: str, command: str) -> tuple[int, int]:
    """Do what an escape sequence asks for; return where the cursor is then."""
    if command in "mhl":  # colours, and whether the cursor is shown
        return row, column
    if command == "K":
        lines[row] = lines[row][:column] if given in ("", "0") else ""
    elif command == "J":
        assert given in ("", "0"), given
        lines[row:] = [lines[row][:column]]
    elif command == "G":
        column = int(given or 1) - 1
    elif command in "AB":
        row = max(0, row + int(given or 1) * (1 if command == "B" else -1))
        lines += [""] * (row + 1 - len(lines))
    else:
        message = f"ESC[{given}{command} means nothing to this terminal"
        raise AssertionError(message)
    return row, column
