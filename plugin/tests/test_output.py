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
