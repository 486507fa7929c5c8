"""What a shell offers at a press of TAB: `plugin.complete` runs this, and Helm runs that.

Verbs come from completion.yaml and never get here. What kind of value an option or argument takes is told by its
metavar, so that a command with a RELEASE or a KEY needs nothing more to be completed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, ShellComplete

from llmkube_plugin.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Helm offers these itself. It takes them, and the values of all but the last, out of the words that it hands over.
OF_HELM = ("-n", "--namespace", "--kube-context", "--kubeconfig")
# The last line that Helm reads says what the shell may offer beside the candidates.
_NOTHING_ELSE, _FILES, _FOLDERS = 4, 0, 16
_SECONDS = 10  # a shell must not wait for an API server that does not answer


class _Value(click.ParamType[str]):
    """A value whose kind the metavar tells; `kinds` are its words, for example RELEASE and SOURCE."""

    name = "text"

    def __init__(self, kinds: Iterable[str]) -> None:
        self._kinds = tuple(kinds)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the values that begin with what was typed."""
        from llmkube_plugin.completion_values import VALUES

        found = {value: told for kind in self._kinds for value, told in VALUES[kind](ctx.params).items()}
        return [CompletionItem(value, help=told) for value, told in found.items() if value.startswith(incomplete)]


def complete(words: Sequence[str], incomplete: str) -> list[CompletionItem]:
    """Return what can follow `words`, which begin with the verb."""
    for parameter in _command(words).params:
        kinds = _kinds(parameter)
        if kinds == ["FILE"]:
            parameter.type = click.Path()
        elif kinds:
            parameter.type = _Value(kinds)
    found = ShellComplete(cli, {}, "helm llmkube", "").get_completions([*words], incomplete)
    return [item for item in found if item.value not in OF_HELM]


def _command(words: Iterable[str]) -> click.Command:
    """Return the command that words lead to."""
    found: click.Command = cli
    context = click.Context(cli)
    for word in words:
        inner = found.get_command(context, word) if isinstance(found, click.Group) else None
        if inner is None:
            break
        found, context = inner, click.Context(inner, parent=context)
    return found


def _kinds(parameter: click.Parameter) -> list[str]:
    """Return the words of a metavar that name a kind of value: RELEASE and SOURCE of `RELEASE|SOURCE...`."""
    from llmkube_plugin.completion_values import VALUES

    words = (parameter.metavar or "").replace("[", "").replace("]", "").rstrip(".").split("|")
    return [word for word in words if word in VALUES or word == "FILE"]


def _option_of_helm(process: int) -> str:
    """Return Helm's own option that was typed last and waits for its value, empty when there is none.

    Helm does not tell of it. It was started with all that was typed, and Linux shows what a process was started with.
    """
    try:
        typed = Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8").split("\0")[:-1]
    except (OSError, UnicodeDecodeError):
        return ""
    asked = {"__complete", "__completeNoDesc"} & {*typed[:-2]}
    return typed[-2] if asked and typed[-2] in OF_HELM else ""


def _directive(items: Iterable[CompletionItem]) -> int:
    types = {item.type for item in items}
    return _FOLDERS if "dir" in types else _FILES if "file" in types else _NOTHING_ELSE


def main() -> None:
    """Print what can follow the arguments, of which the last is the word that is being typed, as Helm reads it.

    Whatever goes wrong, nothing is offered: a shell has no place for an error.
    """
    *words, incomplete = sys.argv[1:] or [""]
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(_SECONDS)
    items: list[CompletionItem] = []
    try:
        option = _option_of_helm(os.getppid())
        items = complete([*words, option] if option else words, incomplete)
    except (Exception, SystemExit, KeyboardInterrupt):
        if os.environ.get("HELM_DEBUG") == "true":
            raise
    for item in items:
        if item.type == "plain":
            told = " ".join((item.help or "").split())
            sys.stdout.write(f"{item.value}\t{told}\n" if told else f"{item.value}\n")
    sys.stdout.write(f":{_directive(items)}\n")
