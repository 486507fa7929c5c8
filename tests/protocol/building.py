"""The steps of whoever builds an entry: an attempt, its file, publication."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.removing import toss
from protocol.rules import Mistake, Role, Rules
from protocol.volume import (
    DEAD,
    EMPTY,
    NOBODY,
    NOTHING,
    RENAMED,
    ROT,
    STRANDED,
    Place,
    Process,
    State,
    Tree,
    end,
    entry_of,
    go,
    put,
    released,
    taken_away,
    tree,
    trees_at,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    Steps = Iterator[tuple[str, State]]


def build(rules: Rules, state: State, me: int, process: Process) -> Steps:
    """Yield the next steps of a process that builds."""
    yield from _STEPS[process.at](rules, state, me, process)


def _adopt(rules: Rules, state: State, me: int, process: Process) -> Steps:
    """Its own directory, and the record in it, are there already: nothing lies where nobody could tell whose it is."""
    attempts = trees_at(state, Place.STAGING)
    if attempts and rules.makes(Mistake.SHARED_FILE):
        yield from _open(rules, state, me, process._replace(home=attempts[0]))
        return
    for number in attempts:
        owner = tree(state, number).owner
        if owner == DEAD or (rules.makes(Mistake.SILENCE_IS_DEATH) and owner != str(me)):
            text = f"{'proves' if owner == DEAD else 'takes for'} dead the owner of an attempt"
            yield text, go(state, me, at="staging._adopt: rename", other=number)
    if None in state.trees:
        number = state.trees.index(None)
        state = put(state, number, Tree(Place.STAGING, str(me)))
        yield "begins with nothing", go(state, me, at="staging.salvage", home=number)
    else:
        yield "finds the volume full, and ends", end(state, me)


def _rename(rules: Rules, state: State, me: int, process: Process) -> Steps:
    number = process.other
    state = taken_away(state, number, me)
    if rules.makes(Mistake.RECORD_MOVES):
        moved = go(state, me, at="staging.attempt", home=number, other=NOTHING)
        yield "renames the attempt with the record of its old owner", moved
    else:
        moved = go(_recorded(state, number, str(me)), me, at="staging.salvage", home=number, other=NOTHING)
        yield "renames what that one received into its own attempt", moved


def _record(rules: Rules, state: State, me: int, process: Process) -> Steps:
    own = _recorded(state, process.home, str(me))
    yield "replaces the record of the old owner", go(own, me, at="staging.salvage")


def _salvage(rules: Rules, state: State, me: int, process: Process) -> Steps:
    for number in trees_at(state, Place.STAGING):
        if number == process.home or not (rules.frozen or tree(state, number).owner == DEAD):
            continue
        if rules.makes(Mistake.SALVAGED_BY_NAME):
            journal = tree(state, number).journal
            text = "reads the journals of a silent attempt"
            yield text, go(state, me, at="staging.salvage: copy", other=number, left=journal)
        else:
            text = "copies what the journals of a silent attempt prove, and removes it"
            yield text, _salvaged(rules, state, me, number, tree(state, number).journal)
    yield from _open(rules, state, me, process)


def _copy(rules: Rules, state: State, me: int, process: Process) -> Steps:
    yield "copies what they prove, and removes it", _salvaged(rules, state, me, process.other, process.left)


def _open(rules: Rules, state: State, me: int, process: Process) -> Steps:
    """Attempt.keep_only and Part: the same content is gone on with, all else makes way for a new inode."""
    number = process.home
    attempt = tree(state, number)
    if attempt.journal[:1] != process.want:
        state = put(state, number, attempt._replace(parts=EMPTY, journal=""))
        for who, other in enumerate(state.processes):
            if who != me and other.fd == number and other.at == "part.write":
                state = go(state, who, fd=NOTHING)
    left = "01" if rules.makes(Mistake.SHARED_FILE) else "01"[len(tree(state, number).journal[1:]) :]
    if left:
        yield "opens the file", go(state, me, at="part.write", home=number, fd=number, left=left)
    else:
        yield "finds the file whole", go(state, me, at="publish.publish")


def _write(rules: Rules, state: State, me: int, process: Process) -> Steps:
    if process.want != state.origin:
        again = go(released(state, me), me, at="staging._adopt", want=state.origin, home=NOTHING, fd=NOTHING, left="")
        yield "sees that the origin has changed, releases its attempt and begins again", again
    part, left = process.left[0], process.left[1:]
    if process.fd != NOTHING:
        state = put(state, process.fd, _written(tree(state, process.fd), part, process.want))
    if left:
        yield "writes half of the file, and journals it", go(state, me, left=left)
    elif process.home == RENAMED:
        yield "writes the rest of the file, finds its attempt gone, and ends", end(state, me)
    else:
        yield "writes the rest of the file, and closes it", go(state, me, at="publish.publish", left="", fd=NOTHING)


def _publish(rules: Rules, state: State, me: int, process: Process) -> Steps:
    number = entry_of(state)
    if number == NOTHING:
        yield "writes the manifest, and renames its files to the entry's name", _published(rules, state, me, process)
    elif rules.makes(Mistake.REPLACING):
        state = put(state, number, tree(state, number)._replace(place=Place.REPLACED))
        yield "writes the manifest, and replaces the entry", _published(rules, state, me, process)
    else:
        yield "writes the manifest, and finds the entry's name taken", go(state, me, at="publish._join_winner")


def _join_winner(rules: Rules, state: State, me: int, process: Process) -> Steps:
    number = entry_of(state)
    if number == NOTHING:
        yield "finds the name free again", go(state, me, at="publish.publish")
        return
    if rules.stale:
        yield "does not see yet what has the name, and ends", end(state, me)
    if tree(state, number).complete or rules.makes(Mistake.WINNER_UNSEEN):
        tossed = toss(rules, state, process.home, me)
        yield "takes the entry that is there, and removes its own attempt", _finished(rules, tossed, me, number)
    else:
        yield "finds the entry damaged", go(state, me, at="trash.quarantine")


def _quarantine(rules: Rules, state: State, me: int, process: Process) -> Steps:
    number = entry_of(state)
    if number == NOTHING:
        yield "finds the name free again", go(state, me, at="publish.publish")
        return
    state = taken_away(state, number, me)
    state = put(state, number, tree(state, number)._replace(place=Place.QUARANTINE))
    if rules.makes(Mistake.MOVED_UNSEEN):
        yield "moves aside what has the entry's name", _aside(state, me, number)
    else:
        yield "moves aside what has the entry's name", go(state, me, at="trash.quarantine: look", other=number)


def _look_at_moved(rules: Rules, state: State, me: int, process: Process) -> Steps:
    number = process.other
    if not tree(state, number).complete:
        yield "sees that it is the damaged one", _aside(state, me, number)
        return
    free = entry_of(state) == NOTHING
    moved = tree(state, number)
    state = put(state, number, moved._replace(place=Place.ENTRY) if free else moved._replace(owner=STRANDED))
    text = "puts it back" if free else "finds another one in its place"
    yield f"sees that it is whole, and {text}", go(state, me, at="publish.publish", other=NOTHING)


_STEPS = {
    "staging._adopt": _adopt,
    "staging._adopt: rename": _rename,
    "staging.attempt": _record,
    "staging.salvage": _salvage,
    "staging.salvage: copy": _copy,
    "part.write": _write,
    "publish.publish": _publish,
    "publish._join_winner": _join_winner,
    "trash.quarantine": _quarantine,
    "trash.quarantine: look": _look_at_moved,
}


def _recorded(state: State, number: int, owner: str) -> State:
    return put(state, number, tree(state, number)._replace(owner=owner))


def _salvaged(rules: Rules, state: State, me: int, number: int, journal: str) -> State:
    home, old = state.processes[me].home, tree(state, number)
    mine = tree(state, home)
    if journal and not mine.journal:
        parts = "".join(old.parts[int(part)] if part in journal else "." for part in "01")
        state = put(state, home, mine._replace(parts=parts, journal=journal))
    state = toss(rules, state, number, me)
    return go(state, me, at="staging.salvage", other=NOTHING, left="")


def _written(found: Tree, part: str, version: str) -> Tree:
    number = int(part)
    parts = found.parts[:number] + version + found.parts[number + 1 :]
    journal = found.journal or version
    return found._replace(parts=parts, journal=journal if part in journal else journal + part)


def _published(rules: Rules, state: State, me: int, process: Process) -> State:
    number = process.home
    state = taken_away(state, number, me)
    whole = tree(state, number)._replace(place=Place.ENTRY, owner=NOBODY, journal="", manifest=process.want)
    return _finished(rules, put(state, number, whole), me, number)


def _finished(rules: Rules, state: State, me: int, number: int) -> State:
    """The process reports success. A success that is none stays to be seen."""
    if rules.roles[me] is Role.POD:
        return go(state, me, at="open the entry", want="", home=NOTHING, seen=number)
    if not tree(state, number).right:
        return go(state, me, at="report", home=NOTHING, seen=number)
    return end(state, me)


def _aside(state: State, me: int, number: int) -> State:
    """What is damaged and in quarantine is in nobody's way any more; it stays there until somebody removes it."""
    moved = None if tree(state, number).owner == ROT else tree(state, number)
    return go(put(state, number, moved), me, at="publish.publish", other=NOTHING)
