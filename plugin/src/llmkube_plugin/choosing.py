"""Which entries a user means: by key, by release or source, all, or those that no release names."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from llmkube_plugin import units
from llmkube_plugin.errors import PluginError
from llmkube_plugin.model import FOREIGN, Entry
from llmkube_plugin.output import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Command = Callable[..., None]

# Of a table that shows which entries were chosen.
COLUMNS: list[Column[Entry]] = [
    Column("CACHE", lambda entry: entry.claim, shorten=True),
    Column("KEY", lambda entry: entry.key),
    Column("SOURCE", lambda entry: entry.source or "-", shorten=True),
    Column("SIZE", lambda entry: units.size(entry.bytes)),
]


@dataclass(frozen=True)
class Choice:
    """Entries by key or by model (a release or a source), all, or all that no release names.

    What others wrote is meant only when it is named by its key, or with `foreign`.
    """

    keys: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    everything: bool = False
    orphans: bool = False
    foreign: bool = False

    @property
    def is_empty(self) -> bool:
        """True when nothing was chosen."""
        return not (self.keys or self.models or self.everything or self.orphans)

    def names(self, entry: Entry) -> bool:
        """Return whether an entry was chosen by what it is, and not as one of many."""
        return entry.key in self.keys or any(_is_model(entry, model) for model in self.models)

    def chooses(self, entry: Entry) -> bool:
        """Return whether an entry is meant."""
        among = self.everything or (self.orphans and entry.orphan)
        return bool(entry.key) and (self.names(entry) or (among and (self.foreign or entry.state != FOREIGN)))

    def missing(self, found: Iterable[Entry]) -> list[str]:
        """Return the keys and models of which nothing was found."""
        found = list(found)
        missing = [key for key in self.keys if key not in {entry.key for entry in found}]
        return missing + [model for model in self.models if not any(_is_model(entry, model) for entry in found)]


def chosen(found: Iterable[Entry], choice: Choice, listing: str, undone: str) -> list[Entry]:
    """Return the entries that are meant; refuse when one that was named is not there.

    - listing: the command that shows what is there.
    - undone: says what did not happen.
    """
    found = list(found)
    missing = choice.missing(entry for entry in found if entry.key)
    if missing:
        raise PluginError(
            f"the volumes hold no entry for: {', '.join(missing)}",
            f"See `{listing}` for what is there. {undone}",
        )
    return [entry for entry in found if choice.chooses(entry)]


def choice_options(command: Command) -> Command:
    """Add KEY... and --model, given to the command as `choice`, and --claim."""

    @click.argument("keys", nargs=-1, metavar="[KEY]...")
    @click.option(
        "--model", "models", multiple=True, metavar="RELEASE|SOURCE", help="Entries of a release or source; repeatable."
    )
    @click.option("--claim", metavar="CLAIM", help="Only on this claim.")
    @functools.wraps(command)
    def with_choice(keys: tuple[str, ...], models: tuple[str, ...], **rest: Any) -> None:
        command(choice=Choice(keys, models), **rest)

    return with_choice


def _is_model(entry: Entry, model: str) -> bool:
    return model in (entry.source, *entry.releases)


def count(entries: Iterable[object], what: str = "entry", several: str = "entries") -> str:
    """Return how many there are, in words."""
    number = len(list(entries))
    return f"1 {what}" if number == 1 else f"{number} {several}"
