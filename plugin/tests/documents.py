"""Holds what commands print for programs against docs/plugin-output.schema.json."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import click
import jsonschema
import releases

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCHEMA = releases.REPOSITORY / "docs" / "plugin-output.schema.json"


@functools.cache
def schema() -> Any:
    return json.loads(SCHEMA.read_text())


def check(command: str, document: Mapping[str, Any]) -> None:
    """Fail when a document is not what the schema says of its command (`cache-list`)."""
    assert command in schema()["$defs"], f"{SCHEMA.name} has no definition {command!r}"
    plain = json.loads(json.dumps(document))  # tuples as lists
    jsonschema.validate(plain, {**schema(), "$ref": f"#/$defs/{command}"})


def command_name(context: click.Context) -> str:
    """Return the words of a command as the schema names it."""
    return "-".join(context.command_path.split()[1:])


def commands(group: click.Group, context: click.Context | None = None) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that is no group, with its name in the schema."""
    context = context or click.Context(group, info_name="llmkube")
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        assert command
        below = click.Context(command, parent=context, info_name=word)
        if isinstance(command, click.Group):
            yield from commands(command, below)
        else:
            yield command_name(below), command


def options(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}
