"""Writes what is known before a press of TAB; `make docs` runs this.

completion.yaml has the verbs, which Helm completes without starting the plugin. It has no room for a word on each
option: those are in plugin/bin/options.tsv, from which plugin/bin/complete offers them without starting Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml

from llmkube_plugin.cli import cli
from llmkube_plugin.completion import OF_HELM

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


def options() -> str:
    """Returns what the file of options has to hold: verb, how often one may be given, its spellings, what it does.

    The longest verbs come first, in the order of `--help`.
    """
    top = click.Context(cli, info_name="llmkube", **cli.context_settings)
    found = sorted(_commands(cli, top), key=lambda each: -each.command_path.count(" "))
    lines = [
        "\t".join((each.command_path, _times(option), " ".join(spellings), " ".join((option.help or "").split())))
        for each in found
        for option in each.command.get_params(each)
        if isinstance(option, click.Option) and not option.hidden
        for spellings in ([one for one in (*option.opts, *option.secondary_opts) if one not in OF_HELM],)
        if spellings
    ]
    return "".join(f"{line}\n" for line in lines)


def _commands(command: click.Command, context: click.Context) -> Iterator[click.Context]:
    """Yields the contexts of a command and of all below it."""
    yield context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner, name
            yield from _commands(inner, click.Context(inner, parent=context, info_name=name))


def _times(option: click.Option) -> str:
    return "often" if option.multiple else "once"


class _Indented(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indents lists too, as the files of this repository do."""
        super().increase_indent(flow, False)


def main() -> None:
    """Writes the files; the verbs once for a clone, and once for the folder of the plugin alone."""
    for path in ("completion.yaml", "plugin/completion.yaml"):
        (ROOT / path).write_text(text())
    (ROOT / "plugin" / "bin" / "options.tsv").write_text(options())


if __name__ == "__main__":
    main()
