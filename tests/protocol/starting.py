"""The steps of whoever starts from an entry: saying so, looking, opening. Where there is none, building follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.removing import condemned, is_intended
from protocol.rules import Mistake, Role, Rules
from protocol.volume import NOTHING, Process, State, end, entry_of, go, go_on, tree, use

if TYPE_CHECKING:
    from collections.abc import Iterator


def start(rules: Rules, state: State, me: int, process: Process) -> Iterator[tuple[str, State]]:
    """Yield the next steps of a process that starts."""
    at = process.at
    if at == "idle":
        late = rules.makes(Mistake.LOOK_THEN_LEASE)
        yield from look(rules, state, me) if rules.roles[me] is Role.JOB or late else _write_use(rules, state, me)
    elif at == "use.write_use":
        yield from _write_use(rules, state, me)
    elif at == "use.await_removal":
        yield from _await_removal(rules, state, me, process)
    elif at == "entry.look":
        yield from look(rules, state, me)
    elif at == "open the entry":
        number = entry_of(state)
        if number == NOTHING:
            yield "finds the entry gone, and ends", end(state, me)
        else:
            yield "opens the entry", go(state, me, at="serve", fd=number)
    else:
        yield "closes the entry, and ends", end(state, me)


def look(rules: Rules, state: State, me: int) -> Iterator[tuple[str, State]]:
    """Yield what follows from a look at the entry's name; before a build, take_or_join looks freshly."""
    number, role = entry_of(state), rules.roles[me]
    if number != NOTHING and tree(state, number).complete:
        if role is not Role.JOB:
            late = rules.makes(Mistake.LOOK_THEN_LEASE)
            text = "looks, and finds a whole entry"
            yield text, go(state, me, at="use.write_use" if late else "open the entry", seen=number)
    elif role is Role.READER:
        yield "finds no entry, and ends", end(state, me)
    elif not rules.locks or state.lease == NOTHING or rules.makes(Mistake.UNLOCKED):
        yield "looks, finds no whole entry, and takes the lease", _begin_building(rules, state, me)


def _begin_building(rules: Rules, state: State, me: int) -> State:
    if rules.locks:
        state = state._replace(lease=me)
    at = "condemned.finish_removals" if condemned(rules, state) else "staging._adopt"
    state = go(state, me, at=at, then="staging._adopt")
    return state if condemned(rules, state) else go_on(state, me)


def _write_use(rules: Rules, state: State, me: int) -> Iterator[tuple[str, State]]:
    """Creating a file changes the directory, so that what is seen of it is new. Writing into one does not."""
    created = not state.uses[me]
    renewed = state.uses[me] == "old" and rules.makes(Mistake.REMEMBERED_AGE)
    state = use(state, me, "renewed" if renewed else "live")
    text = "creates its use lease" if created else "renews its use lease"
    if rules.makes(Mistake.LOOK_THEN_LEASE):
        yield text, go(state, me, at="open the entry")
    else:
        yield text, go(state, me, at="use.await_removal", fresh=created and is_intended(rules, state))


def _await_removal(rules: Rules, state: State, me: int, process: Process) -> Iterator[tuple[str, State]]:
    found = condemned(rules, state)
    at = "condemned.finish_removals" if found else "entry.look"
    after = go(state, me, at=at, fresh=False, then="entry.look" if found else "")
    if not is_intended(rules, state):
        yield "finds no intent", after
        return
    if rules.stale and not process.fresh:
        yield "does not see the intent yet", after
    if rules.frozen:
        yield "takes the writer of the intent for dead", after
