"""Writes completion.yaml, from which Helm completes the plugin's verbs without starting it; `make docs` runs this.

Options and values are completed by plugin.complete, with a word on each, which this file could not have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import yaml

from llmkube_plugin.cli import cli

ROOT = Path(__file__).parent.parent.parent
HEADER = "# The verbs of the plugin, for shells. Written by `make docs`.\n"


def tree(group: click.Group, context: click.Context) -> list[dict[str, Any]]:
    """Returns the commands of a group as Helm reads them."""
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = click.Context(group, parent=context)
        found.append({"name": name} | ({"commands": tree(command, inner)} if isinstance(command, click.Group) else {}))
    return found


def text() -> str:
    """Returns what the file has to hold."""
    content = {"name": "llmkube", "commands": tree(cli, click.Context(cli))}
    return HEADER + yaml.dump(content, sort_keys=False, Dumper=_Indented)


class _Indented(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indents lists too, as the files of this repository do."""
        super().increase_indent(flow, False)


def main() -> None:
    """Writes the files: one for a clone, one for the folder of the plugin alone."""
    for path in ("completion.yaml", "plugin/completion.yaml"):
        (ROOT / path).write_text(text())


if __name__ == "__main__":
    main()
