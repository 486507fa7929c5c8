"""The reference says what the command line does."""

from __future__ import annotations

import click
import pytest
from repository import REPOSITORY

from llmkube_downloader.cli import commands
from llmkube_downloader.errors import ExitCode
from llmkube_downloader.sources import FETCHED_SCHEMES
from llmkube_downloader.sources.selection import NEVER_SERVED
from llmkube_downloader.sources.weights import OTHER_WEIGHTS, SECOND_COPIES

REFERENCE = (REPOSITORY / "docs" / "downloader.md").read_text()
FLAGS = [
    (name, parameter)
    for name, command in commands.commands.items()
    for parameter in command.params
    if isinstance(parameter, click.Option)
]


@pytest.mark.parametrize("name", commands.commands)
def test_every_command_has_a_section_and_an_example(name: str) -> None:
    section = REFERENCE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert f"llmkube-downloader {name}" in section
    assert f"llmkube-downloader {name}" in (commands.commands[name].epilog or "")


@pytest.mark.parametrize(("command", "flag"), FLAGS, ids=[f"{name} {flag.opts[-1]}" for name, flag in FLAGS])
def test_every_flag_is_documented_with_its_environment_name(command: str, flag: click.Option) -> None:
    assert flag.envvar == "LLMKUBE_" + flag.opts[-1].lstrip("-").upper().replace("-", "_")
    assert flag.help, command
    assert f"`{flag.envvar}`" in REFERENCE
    assert flag.opts[-1] in REFERENCE


def test_every_exit_code_is_documented() -> None:
    for code in ExitCode:
        assert f"\n| {code.value} | {code.label} |" in REFERENCE


def test_what_is_fetched_by_default_is_documented() -> None:
    for scheme in FETCHED_SCHEMES:
        assert f"| `{scheme}://" in REFERENCE
    for pattern in (".git*", "README*", "*.md", "*.pdf", *OTHER_WEIGHTS, *SECOND_COPIES):
        assert f"`{pattern}`" in REFERENCE
    assert {".git*", "README*", "*.md", "*.pdf"} < set(NEVER_SERVED)
