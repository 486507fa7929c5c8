"""A group of commands whose modules are imported only when they are asked for.

Most starts are completions and `--help`: they would pay for every command, and use one or none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping


class LazyGroup(click.Group):
    """A click group. `lazy` maps the name of each command to the line that `--help` shows of it.

    The command `list` of the group `cache` is `cache_list` in the module `llmkube_plugin.commands.cache_list`; `doctor`
    of the outermost group is `doctor` in `llmkube_plugin.commands.doctor`.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, str], **more: Any) -> None:
        super().__init__(*args, **more)
        self.lazy = lazy

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Show the help where nothing was asked for: that is no wrong usage, which Helm would report as a failure."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of the table, those that are here already at the end."""
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, None when there is no such one."""
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        group = f"{self.name}_" if ctx.parent else ""
        name = group + cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"llmkube_plugin.commands.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands for `--help`, without importing them."""
        rows = [*self.lazy.items()]
        rows += [(name, command.get_short_help_str()) for name, command in sorted(self.commands.items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
