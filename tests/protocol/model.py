"""The protocol as a model that can be explored, and its promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.building import build
from protocol.removing import finish_removals, remove, toss
from protocol.rules import Role, Rules
from protocol.starting import start
from protocol.volume import (
    IDLE,
    NOTHING,
    ROT,
    STRANDED,
    Place,
    Process,
    State,
    Tree,
    canonical,
    end,
    entry_of,
    swapped,
    tree,
    trees_at,
    unlinked,
    use,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEGINNINGS = {
    "nothing": None,
    "damaged": Tree(Place.ENTRY, ROT, "a.", "", "a"),
    "whole": Tree(Place.ENTRY, "", "aa", "", "a"),
}
_STARTING = ("idle", "use.write_use", "use.await_removal", "entry.look", "open the entry", "serve")


class Store:
    """A volume with one key, and those who build, use and remove its entry."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._names = [f"{role.value} {number}" for number, role in enumerate(rules.roles, 1)]

    def initial(self) -> Iterator[State]:
        """Yield what the volume may hold at first."""
        count = len(self._rules.roles)
        for beginning in self._rules.begins:
            trees = (_BEGINNINGS[beginning], *[None] * (self._rules.room - 1))
            yield State(trees, ("",) * count, NOTHING, "a", (IDLE,) * count)

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        """Yield what can happen next."""
        for me, process in enumerate(state.processes):
            for text, follower in self._steps_of(state, me, process):
                yield f"{self._names[me]}: {text}", follower
            if process.at != "idle" and self._rules.crashes:
                yield f"{self._names[me]} dies", end(state, me)
            elif process.at == "idle" and state.uses[me] in ("live", "renewed"):
                yield f"the use lease of {self._names[me]} is 7 days old", use(state, me, "old")
            elif process.at == "idle" and state.uses[me] == "old" and self._rules.remover is not None:
                yield f"a remover takes the use lease of {self._names[me]} away", use(state, me, "")
        if self._rules.changes and state.origin == "a":
            yield "the origin gets another content", state._replace(origin="b")
        for number in trees_at(state, Place.TRASH):
            yield "somebody empties the trash", unlinked(state, number)
        if all(process.at == "idle" for process in state.processes):
            for number in trees_at(state, Place.STAGING):
                yield "a day later somebody prunes an attempt", toss(self._rules, state, number, NOTHING)

    def canonical(self, state: State) -> State:
        """Return the state that stands for all those that differ in names only."""
        # A trace of a mistake keeps the names, so that it can be read.
        return canonical(swapped(state) if self._rules.alike and self._rules.mistake is None else state)

    def broken(self, state: State) -> str | None:
        """Return the promise that a state breaks, or None."""
        for promise in PROMISES:
            if not promise(self._rules, state):
                return promise.__doc__
        return None

    def is_goal(self, state: State) -> bool:
        """Whether all have ended, nothing is left of their work, and, when somebody fetches, the entry is whole."""
        if any(process.at != "idle" for process in state.processes):
            return False
        left = (Place.STAGING, Place.CONDEMNED, Place.TRASH)
        if any(found is not None and found.place in left for found in state.trees):
            return False
        number = entry_of(state)
        fetched = {Role.JOB, Role.POD}.intersection(self._rules.roles)
        return not fetched or (number != NOTHING and tree(state, number).right)

    def _steps_of(self, state: State, me: int, process: Process) -> Iterator[tuple[str, State]]:
        if self._rules.roles[me] is Role.REMOVER:
            return remove(self._rules, state, me, process)
        if process.at in _STARTING:
            return start(self._rules, state, me, process)
        if process.at.startswith("condemned."):
            return finish_removals(self._rules, state, me, process)
        if process.at == "report":
            return iter(())
        return build(self._rules, state, me, process)


def an_entry_is_right(_: Rules, state: State) -> bool:
    """Nothing wrong or incomplete is ever under an entry's name."""
    number = entry_of(state)
    return number == NOTHING or tree(state, number).owner == ROT or tree(state, number).right


def an_entry_is_never_written(_: Rules, state: State) -> bool:
    """An inode that was ever reachable through an entry is never open for writing."""
    return all(
        process.at != "part.write"
        or process.fd == NOTHING
        or tree(state, process.fd).place in (Place.STAGING, Place.TRASH)
        for process in state.processes
    )


def an_entry_is_never_replaced(_: Rules, state: State) -> bool:
    """A whole entry leaves its name only to be removed; one that was moved aside by mistake is put back."""
    looking = {process.other for process in state.processes if process.at == "trash.quarantine: look"}
    return all(
        found is None
        or found.owner in (ROT, STRANDED)
        or found.place not in (Place.REPLACED, Place.QUARANTINE)
        or number in looking
        for number, found in enumerate(state.trees)
    )


def a_reader_keeps_its_files(_: Rules, state: State) -> bool:
    """No file is unlinked under a reader that looked and found the entry whole."""
    lost = (Place.TRASH, Place.REPLACED)
    return not any(
        (process.at in ("open the entry", "serve") and _is_lost(state, process.seen, lost))
        or (process.at == "serve" and _is_lost(state, process.fd, lost))
        for process in state.processes
    )


def success_means_whole(_: Rules, state: State) -> bool:
    """Whoever reports success has left a whole entry, or found one."""
    return all(process.at != "report" for process in state.processes)


def one_downloads(rules: Rules, state: State) -> bool:
    """Where locks work and nobody is frozen, one process at a time receives what the others wait for."""
    building = [process for process in state.processes if process.want]
    return rules.frozen or not rules.locks or len(building) <= 1


def a_reader_finds_what_it_saw(rules: Rules, state: State) -> bool:
    """Where locks work, names are fresh and nobody is frozen, what a reader found whole is there to be opened."""
    if not rules.locks or rules.stale or rules.frozen:
        return True
    return all(process.at != "open the entry" or process.seen == entry_of(state) for process in state.processes)


PROMISES = (
    an_entry_is_right,
    an_entry_is_never_written,
    an_entry_is_never_replaced,
    a_reader_keeps_its_files,
    success_means_whole,
    one_downloads,
    a_reader_finds_what_it_saw,
)


def _is_lost(state: State, number: int, lost: tuple[str, ...]) -> bool:
    return number == NOTHING or tree(state, number).place in lost
