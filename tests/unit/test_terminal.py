"""The terminal of the tests does what a terminal does, or no test in it would tell anything."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path


def python(program: str, columns: int = 80, output: Path | None = None) -> Terminal:
    return Terminal([sys.executable, "-c", program], os.environ, columns=columns, output=output)


def test_it_is_a_terminal_of_its_width_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with python("import shutil, sys; print(sys.stderr.isatty(), shutil.get_terminal_size().columns)", 40) as terminal:
        assert terminal.end() == 0
    assert terminal.shown == "True 40\n"


def test_what_is_typed_reaches_the_command_and_is_shown() -> None:
    with python("print('got', input('name? '))") as terminal:
        terminal.until("name? ")
        terminal.send("me\n")
        assert terminal.end() == 0
    assert terminal.lines[:2] == ["name? me", "got me"]


def test_ctrl_c_interrupts_the_command_and_its_children() -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', \"print('up', flush=True); input()\"])"
    with python(program) as terminal:
        terminal.until("up")
        terminal.interrupt()
        assert terminal.end() == 130
    assert terminal.shown.count("KeyboardInterrupt") == 2


def test_ctrl_d_ends_the_input() -> None:
    with python("import sys; print('go', flush=True); print(len(sys.stdin.read()))") as terminal:
        terminal.until("go\n")
        terminal.end_input()
        assert terminal.end() == 0
    assert terminal.shown.endswith("0\n")


def test_the_output_may_go_to_a_file_while_the_errors_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with python("import sys; print('a'); print('b', file=sys.stderr)", output=out) as terminal:
        assert terminal.end() == 0
    assert (terminal.shown, out.read_text()) == ("b\n", "a\n")


def test_a_text_that_never_comes_fails_with_what_came() -> None:
    with python("print('this')") as terminal, pytest.raises(AssertionError, match="ended without 'that':\nthis"):
        terminal.until("that")


def test_lines_wrap_at_the_width_and_are_overwritten_and_erased() -> None:
    program = r"print('abcdef'); print('12\r3', end=''); print('\x1b[Kx\x1b[31m!\x1b[0m'); print('wxyz\ny\x1b[1A\rW')"
    with python(program, 4) as terminal:
        terminal.end()
    assert terminal.lines[:4] == ["abcd", "ef", "3x!", "Wxyz"]


def test_a_command_to_the_terminal_that_it_does_not_know_is_not_guessed() -> None:
    with python(r"print('\x1b[3;4H')") as terminal:
        terminal.end()
    with pytest.raises(AssertionError, match="means nothing"):
        _ = terminal.lines
