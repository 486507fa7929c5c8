"""The steps of a remover, and of whoever finishes what a remover that died has begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.rules import Mistake, Rules
from protocol.volume import (
    IDLE,
    NOBODY,
    NOTHING,
    RENAMED,
    Place,
    Process,
    State,
    end,
    entry_of,
    go,
    go_on,
    put,
    taken_away,
    tree,
    trees_at,
    unlinked,
    use,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def remove(rules: Rules, state: State, me: int, process: Process) -> Iterator[tuple[str, State]]:
    """Yield the next steps of a remover."""
    at = process.at
    if at == "idle":
        yield from _begin(rules, state, me)
    elif at == "users.sweep":
        swept = go(use(state, int(process.left), ""), me, at="removal.refuse_users", left="")
        yield "unlinks that lease, and writes its intent", swept
    elif at == "removal.refuse_users":
        yield from _refuse_users(rules, state, me, "removal.condemn")
    elif at == "removal.condemn":
        yield _condemn(rules, state, me)
    elif at == "removal.refuse_users: again":
        found = _is_used(rules, state)
        follower = "condemned.put_back" if found else "condemned.give_up"
        yield f"looks for users again, and finds {'one' if found else 'none'}", go(state, me, at=follower)
    elif process.other == RENAMED:
        yield "finds that somebody else finished its removal", end(state, me)
    elif at == "condemned.put_back":
        yield "puts the entry back, unless another one has the name", end(put_back(state, process.other, me), me)
    elif at == "condemned.give_up":
        given_up = toss(rules, state, process.other, me)
        yield "gives the entry up, and unlinks its files", go(given_up, me, at="removal.give_up: rest", other=NOTHING)
    else:
        for number in trees_at(state, Place.STAGING):
            yield "removes an attempt", toss(rules, state, number, me)
        yield "withdraws its intent and ends", end(state, me)


def finish_removals(rules: Rules, state: State, me: int, process: Process) -> Iterator[tuple[str, State]]:
    """Yield the next steps of a process that comes by where a remover may have died."""
    if process.at == "condemned.finish_removals":
        for number in condemned(rules, state):
            if rules.frozen or not _is_in_hand(rules, state, number):
                used = _is_used(rules, state) and not rules.makes(Mistake.HASTY_TRASH)
                deed = "put_back" if used else "give_up"
                text = f"finds what a silent remover moved away, and {'a user' if used else 'no user'}"
                yield text, go(state, me, at=f"condemned.finish_removals: {deed}", other=number)
        yield "leaves alone what a remover that may live moved away", go_on(state, me)
    elif process.at == "condemned.finish_removals: put_back":
        put = put_back(state, process.other, me)
        yield "puts back what a silent remover moved away", go_on(go(put, me, other=NOTHING), me)
    else:
        given_up = toss(rules, state, process.other, me)
        yield "gives up what a silent remover moved away, and unlinks it", go_on(go(given_up, me, other=NOTHING), me)


def condemned(rules: Rules, state: State) -> list[int]:
    """Return what removals that are not over have moved into the trash."""
    return [] if rules.makes(Mistake.FORGOTTEN_TRASH) else trees_at(state, Place.CONDEMNED)


def is_intended(rules: Rules, state: State) -> bool:
    """Whether there is an intent to remove the key, of a remover that lives. Those of dead ones mean nothing."""
    if rules.remover is None or rules.makes(Mistake.CHECK_THEN_ACT, Mistake.NO_INTENT):
        return False
    return state.processes[rules.remover].at not in (IDLE.at, "users.sweep")


def toss(rules: Rules, state: State, number: int, me: int) -> State:
    """Return the state after a directory was renamed into the trash, for good."""
    state = taken_away(state, number, me)
    if not rules.fine:
        return unlinked(state, number)
    return put(state, number, tree(state, number)._replace(place=Place.TRASH, owner=NOBODY))


def put_back(state: State, number: int, me: int) -> State:
    """Return the state after a condemned directory got its name back, unless another one has it."""
    if entry_of(state) != NOTHING:
        return state
    state = taken_away(state, number, me)
    return put(state, number, tree(state, number)._replace(place=Place.ENTRY))


def _begin(rules: Rules, state: State, me: int) -> Iterator[tuple[str, State]]:
    if entry_of(state) == NOTHING and not trees_at(state, Place.STAGING):
        return
    if rules.locks:
        if state.lease != NOTHING:
            return
        state = state._replace(lease=me)
    if rules.makes(Mistake.CHECK_THEN_ACT, Mistake.NO_INTENT):
        yield from _refuse_users(rules, state, me, "removal.condemn")
    else:
        yield "writes its intent", go(state, me, at="removal.refuse_users")
    if rules.makes(Mistake.SWEPT_UNSEEN):
        for who, lease in enumerate(state.uses):
            if lease == "old":
                yield "finds a use lease that is old", go(state, me, at="users.sweep", left=str(who))


def _refuse_users(rules: Rules, state: State, me: int, follower: str) -> Iterator[tuple[str, State]]:
    if _is_used(rules, state):
        yield "finds a user, withdraws its intent and ends", end(state, me)
    else:
        yield "looks for users, and finds none", go(state, me, at=follower)


def _condemn(rules: Rules, state: State, me: int) -> tuple[str, State]:
    number = entry_of(state)
    if number == NOTHING:
        return "finds no entry", go(state, me, at="removal.give_up: rest")
    state = taken_away(state, number, me)
    state = put(state, number, tree(state, number)._replace(place=Place.CONDEMNED))
    once = rules.makes(Mistake.ONE_LOOK, Mistake.CHECK_THEN_ACT)
    follower = "condemned.give_up" if once else "removal.refuse_users: again"
    return "renames the entry out of sight", go(state, me, at=follower, other=number)


def _is_in_hand(rules: Rules, state: State, number: int) -> bool:
    """Whether the remover that moved a directory away is still at it."""
    return rules.remover is not None and state.processes[rules.remover].other == number


def _is_used(rules: Rules, state: State) -> bool:
    """Whether users.who_uses finds somebody. It reads freshly."""
    return "live" in state.uses or ("renewed" in state.uses and not rules.makes(Mistake.REMEMBERED_AGE))
