from __future__ import annotations

import subprocess
import sys

import click
import pytest

from llmkube_plugin import cli
from llmkube_plugin.errors import PluginError
from llmkube_plugin.output import Column, Output

COLUMNS: list[Column[str]] = [Column("STATE", lambda row: row), Column("NEXT", lambda _: "x")]


def printed(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    """Return a table as a terminal would get it."""
    for name, value in {"NO_COLOR": "", "TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)
    lines: list[str] = []
    monkeypatch.setattr(click, "echo", lines.append)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    Output().rows(COLUMNS, ["failed (auth)", "pending"])
    return "\n".join(lines)


def test_states_have_colours_that_do_not_disturb_the_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = printed(monkeypatch)

    assert "\x1b[31mfailed (auth)\x1b[0m  x" in coloured
    assert click.unstyle(coloured) == "STATE          NEXT\nfailed (auth)  x\npending        x"


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    assert "\x1b" not in printed(monkeypatch, **environment)


def test_what_others_wrote_can_not_steer_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    evil = "a\x1b[2Jb\rc\nd"
    output = Output()

    output.rows(COLUMNS, [evil])
    assert capsys.readouterr().out.splitlines()[1] == "a?[2Jb?c d  x"
    output.text(evil)
    output.note(evil)
    output.warn(evil)
    PluginError(evil, evil).show()

    printed = "".join(capsys.readouterr())
    assert "\x1b" not in printed
    assert "\r" not in printed
    assert "a?[2Jb?c\nd" in printed


def test_help_needs_no_heavy_library() -> None:
    program = "import sys, llmkube_plugin.cli; print(sorted({'kubernetes', 'jinja2', 'yaml'} & sys.modules.keys()))"

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


class TestSomethingUnforeseen:
    @pytest.fixture(autouse=True)
    def fault(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> None:
            raise ZeroDivisionError("by zero")

        monkeypatch.setattr(sys, "argv", ["helm-llmkube", "cache", "list"])
        monkeypatch.setattr("llmkube_plugin.commands.cache_list.connect", lambda _: fail())

    def test_is_one_line_and_exit_code_1(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("HELM_DEBUG", "false")

        with pytest.raises(SystemExit) as end:
            cli.main()

        assert end.value.code == 1
        assert "Error: unexpected ZeroDivisionError: by zero\n" in capsys.readouterr().err

    def test_shows_where_with_debug(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HELM_DEBUG", "true")

        with pytest.raises(ZeroDivisionError):
            cli.main()


class TestOnATerminal:
    """Tables fit where they are read; what a program or `-o wide` gets is whole."""

    ROW = ("my-release", "hf://organization/repository-of-a-model/weights-q4_k_m.gguf", "a6372a71da5d60b2")
    WIDE: tuple[Column[tuple[str, ...]], ...] = (
        Column("RELEASE", lambda row: row[0], shorten=True),
        Column("SOURCE", lambda row: row[1], shorten=True),
        Column("KEY", lambda row: row[2]),
    )

    @pytest.fixture(autouse=True)
    def tools(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("NO_COLOR", "1")
        self.monkeypatch, self.captured = monkeypatch, capsys

    def printed(self, columns: int, form: str = "table", *, terminal: bool = True) -> list[str]:
        self.monkeypatch.setenv("COLUMNS", str(columns))
        self.monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
        Output(form).rows(self.WIDE, [self.ROW, ("b", "file:///x", "0" * 16)])
        return self.captured.readouterr().out.splitlines()

    @pytest.mark.parametrize("columns", [60, 75, 88])
    def test_long_cells_lose_their_middle_until_the_table_fits(self, columns: int) -> None:
        lines = self.printed(columns)

        assert max(map(len, lines)) == columns
        assert lines[1].startswith("my-release  hf://")
        assert "..." in lines[1]
        assert lines[1].endswith(".gguf  a6372a71da5d60b2")

    def test_a_table_that_fits_is_left_as_it_is(self) -> None:
        assert self.ROW[1] in self.printed(89)[1]

    def test_what_tells_things_apart_is_left_on_however_narrow_a_terminal(self) -> None:
        line = self.printed(10)[1]

        assert line.split()[0] == "my-release"
        assert line.split()[1] == "hf://...m.gguf"
        assert line.split()[2] == "a6372a71da5d60b2"

    def test_wide_is_never_shortened(self) -> None:
        assert self.ROW[1] in self.printed(20, "wide")[1]

    def test_off_a_terminal_nothing_is_shortened(self) -> None:
        assert self.ROW[1] in self.printed(20, terminal=False)[1]
