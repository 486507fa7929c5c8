"""What a start costs: `--help` and completion load what they show, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

import llmkube_plugin.commands
from llmkube_plugin.cli import cli
from llmkube_plugin.lazy import LazyGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAVY = {"kubernetes", "yaml", "jinja2", "jsonschema", "rich", "requests", "urllib3", "pydantic"}
LOADED = """
import json, sys
from llmkube_plugin.cli import cli
cli.main(json.loads(sys.argv[1]), prog_name="helm llmkube", standalone_mode=False)
sys.stdout.write("\\n" + json.dumps(sorted(sys.modules)))
"""


def loaded(*arguments: str) -> set[str]:
    """Return the modules that a run of the plugin has imported at its end."""
    line = [sys.executable, "-c", LOADED, json.dumps(arguments)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield each command that is no group, with the names that lead to it."""
    context = click.Context(group)
    context.parent = context if path else None
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command, name
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


ALL = dict(commands(cli))


@pytest.mark.parametrize("arguments", [["--help"], ["cache", "--help"], ["--version"]])
def test_help_on_groups_imports_no_command(arguments: list[str]) -> None:
    assert not {name for name in loaded(*arguments) if name.startswith("llmkube_plugin.commands.")}


@pytest.mark.parametrize("group", [[], ["cache"], ["catalog"]])
def test_a_group_alone_shows_its_help_and_is_no_failure(group: list[str]) -> None:
    alone, helped = CliRunner().invoke(cli, group), CliRunner().invoke(cli, [*group, "--help"])
    assert alone.exit_code == 0
    assert alone.stdout == helped.stdout
    assert alone.stdout.startswith("Usage: ")


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_on_a_command_imports_nothing_heavy(path: tuple[str, ...]) -> None:
    assert not {name.partition(".")[0] for name in loaded(*path, "--help")} & HEAVY


@pytest.mark.parametrize("command", ["list", "df", "status"])
def test_a_command_imports_no_kubernetes_client_for_credentials_that_kubeconfig_holds(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))

    imported = {name.partition(".")[0] for name in loaded("cache", command)}

    assert "urllib3" in imported
    assert not imported & {"kubernetes", "requests", "oauthlib", "pydantic"}


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_the_list_of_commands_says_of_each_what_its_own_help_says(path: tuple[str, ...]) -> None:
    group: LazyGroup = cli
    for name in path[:-1]:
        inner = group.get_command(click.Context(group), name)
        assert isinstance(inner, LazyGroup)
        group = inner

    assert group.lazy[path[-1]] == ALL[path].get_short_help_str(500)


def test_every_module_of_a_command_is_reached() -> None:
    folder = Path(llmkube_plugin.commands.__file__).parent
    reached = {"_".join(path).replace("-", "_") for path in ALL}

    assert {path.stem for path in folder.glob("*.py") if path.stem != "__init__"} == reached
