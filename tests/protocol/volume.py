"""What lies on the volume and what the processes know, as one value; and the few ways in which it changes.

A file has two parts, so that there is a half of it. What its bytes are is told by the version of the content that they
belong to: ``a`` is what the origin has at first, ``b`` what it may have later, ``.`` what nobody wrote.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

NOTHING = -1
# In place of a directory that somebody else renamed: whoever goes on with its name finds nothing there.
RENAMED = -2

EMPTY = ".."
NOBODY, DEAD = "", "dead"
# The owner of a directory that was damaged from the beginning, and of a whole one that can not be put back any more.
ROT, STRANDED = "rot", "stranded"


class Place:
    """Where a directory is."""

    STAGING = "staging"
    ENTRY = "entry"
    CONDEMNED = "condemned"
    TRASH = "trash"
    QUARANTINE = "quarantine"
    # Where no directory may ever get to: another one was renamed over it.
    REPLACED = "replaced"


class Tree(NamedTuple):
    """A directory and the inode of its file, wherever it is renamed to.

    - place: where it is.
    - owner: who the owner.json beside it names: the number of a process that lives, DEAD, or NOBODY out of staging.
    - parts: the bytes.
    - journal: of which version the parts are that count, and their numbers, such as ``a01``; empty when none does.
    - manifest: which version it promises; empty before it is written.
    """

    place: str
    owner: str = NOBODY
    parts: str = EMPTY
    journal: str = ""
    manifest: str = ""

    @property
    def complete(self) -> bool:
        """Whether it looks whole to entry.inspect, which reads the manifest and the sizes."""
        return bool(self.manifest) and "." not in self.parts

    @property
    def right(self) -> bool:
        """Whether its bytes are what the manifest promises."""
        return self.complete and self.parts == 2 * self.manifest


class Process(NamedTuple):
    """One process, and what it has in its memory. Directories are told by their number among the trees.

    - at: the step it is about to do; IDLE before it starts and after it ended.
    - want: the version it fetches.
    - home: the attempt whose name it knows as its own.
    - fd: the directory whose file it has open.
    - other: a directory of somebody else whose name it knows, and what it wants with it depends on ``at``.
    - seen: the entry that it found whole.
    - fresh: whether its view of the leases is newer than the intent that is there.
    - then: where it goes on after it finished the removals of others.
    - left: the numbers of the parts it has yet to write.
    """

    at: str = "idle"
    want: str = ""
    home: int = NOTHING
    fd: int = NOTHING
    other: int = NOTHING
    seen: int = NOTHING
    fresh: bool = False
    then: str = ""
    left: str = ""


IDLE = Process()


class State(NamedTuple):
    """Everything at one moment.

    - trees: the directories; None where there is room for another one.
    - uses: per process its use lease: ``""`` without one, ``live``, ``old`` when it no longer counts, or ``renewed``.
    - lease: which process holds the build lease.
    - origin: the version that the origin has.
    - processes: by their numbers.
    """

    trees: tuple[Tree | None, ...]
    uses: tuple[str, ...]
    lease: int
    origin: str
    processes: tuple[Process, ...]


def tree(state: State, number: int) -> Tree:
    """Return a directory that is there."""
    found = state.trees[number]
    assert found is not None
    return found


def put(state: State, number: int, value: Tree | None) -> State:
    """Return the state with another directory under a number."""
    trees = state.trees
    return State((*trees[:number], value, *trees[number + 1 :]), *state[1:])


def go(state: State, me: int, **changes: int | str | bool) -> State:
    """Return the state with changes to what a process has in its memory."""
    processes = state.processes
    changed = processes[me]._replace(**changes)  # type: ignore[arg-type] # names and types are those of Process
    return State(*state[:4], (*processes[:me], changed, *processes[me + 1 :]))


def use(state: State, me: int, value: str) -> State:
    """Return the state with another use lease of a process."""
    return state._replace(uses=(*state.uses[:me], value, *state.uses[me + 1 :]))


def trees_at(state: State, place: str) -> list[int]:
    """Return the numbers of the directories at a place."""
    return [number for number, found in enumerate(state.trees) if found is not None and found.place == place]


def entry_of(state: State) -> int:
    """Return the number of the directory under the entry's name, or NOTHING."""
    for number, found in enumerate(state.trees):
        if found is not None and found.place == Place.ENTRY:
            return number
    return NOTHING


def end(state: State, me: int) -> State:
    """Return the state after a process ended, whether by itself or not: with it go its memory and its locks."""
    process = state.processes[me]
    trees = released(state, me).trees if process.home != NOTHING else state.trees
    if process.at == "trash.quarantine: look":
        trees = tuple(_stranded(found) if number == process.other else found for number, found in enumerate(trees))
    processes = state.processes
    lease = NOTHING if state.lease == me else state.lease
    return State(trees, state.uses, lease, state.origin, (*processes[:me], IDLE, *processes[me + 1 :]))


def released(state: State, me: int) -> State:
    """Return the state in which a process works in no attempt any more, and everybody can prove that."""
    name = str(me)
    trees = (found._replace(owner=DEAD) if found and found.owner == name else found for found in state.trees)
    return state._replace(trees=tuple(trees))


def _stranded(moved: Tree | None) -> Tree | None:
    """Return what stays in quarantine when its mover did not live to look at it; what is damaged is out of the way."""
    return None if moved is None or moved.owner == ROT else moved._replace(owner=STRANDED)


def taken_away(state: State, number: int, me: int) -> State:
    """Return the state after ``me`` renamed a directory: the others know a name under which nothing is any more.

    Whoever has nothing left to do but to find that out is taken as having done so: nobody can tell the difference.
    """
    for who, process in enumerate(state.processes):
        if who == me:
            continue
        if process.other == number:
            state = _without_other(state, who, process)
        elif process.home == number:
            state = _without_home(state, who, process)
    return state


def _without_other(state: State, who: int, process: Process) -> State:
    if process.at == "staging._adopt: rename":
        return go(state, who, at="staging._adopt", other=NOTHING)
    if process.at == "staging.salvage: copy":
        return go(state, who, at="staging.salvage", other=NOTHING, left="")
    if process.then:
        return go_on(go(state, who, other=NOTHING), who)
    return go(state, who, other=RENAMED)


def _without_home(state: State, who: int, process: Process) -> State:
    if process.fd != NOTHING:
        # A zombie: what it has open it can write.
        return go(state, who, home=RENAMED)
    return end(state, who)


def go_on(state: State, me: int) -> State:
    """Return the state in which a process is done with the removals of others."""
    then = state.processes[me].then
    return go(state, me, at=then, then="", want=state.origin if then == "staging._adopt" else "")


def unlinked(state: State, number: int) -> State:
    """Return the state after the files of a directory were unlinked. Who has them open writes to nowhere."""
    for who, process in enumerate(state.processes):
        if process.fd == number and process.home == RENAMED:
            state = end(state, who)
    state = put(state, number, None)
    if all(process.fd != number and process.seen != number for process in state.processes):
        return state
    processes = (
        process._replace(
            fd=NOTHING if process.fd == number else process.fd, seen=NOTHING if process.seen == number else process.seen
        )
        for process in state.processes
    )
    return state._replace(processes=tuple(processes))


def canonical(state: State) -> State:
    """Return the state with its directories in one order: which of two has which number means nothing."""
    trees = state.trees
    if _in_order(trees):
        return state
    order = sorted(
        range(len(trees)), key=lambda number: (trees[number] is None, trees[number] or (), _known(state, number))
    )
    if order == list(range(len(trees))):
        return state
    new = [0] * len(trees)
    for position, number in enumerate(order):
        new[number] = position
    processes = (process if process[2:6] == IDLE[2:6] else _renumbered(process, new) for process in state.processes)
    return State(tuple(trees[number] for number in order), *state[1:4], tuple(processes))


def _in_order(trees: tuple[Tree | None, ...]) -> bool:
    """Return whether no two directories are equal, and all are in order, before the room for others."""
    return all(second is None or (first is not None and first < second) for first, second in pairwise(trees))


def _known(state: State, number: int) -> list[tuple[int, int]]:
    return [
        (who, field)
        for who, process in enumerate(state.processes)
        for field, known in enumerate(process[2:6])
        if known == number
    ]


def _renumbered(process: Process, new: list[int]) -> Process:
    home, fd, other, seen = (new[known] if isinstance(known, int) and known >= 0 else known for known in process[2:6])
    return Process(process.at, process.want, home, fd, other, seen, *process[6:])


def swapped(state: State) -> State:
    """Return the state with the first two processes in one order: of two that do the same, neither is the first."""
    first, second = state.processes[:2]
    if not second < first:
        return state
    names = {"0": "1", "1": "0"}
    trees = (
        found._replace(owner=names[found.owner]) if found and found.owner in names else found for found in state.trees
    )
    uses = (state.uses[1], state.uses[0], *state.uses[2:])
    lease = {0: 1, 1: 0}.get(state.lease, state.lease)
    return State(tuple(trees), uses, lease, state.origin, (second, first, *state.processes[2:]))
