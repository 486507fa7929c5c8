"""Generations of one key: refreshed and repaired by some, used by others, and pruned once a newer one is there.

How a generation is built is explored elsewhere: here it appears whole. A use lease says which generation the pod has
open, once the pod has opened it; until then it stands for all of them. Time is counted in events that change which
generation is the one to use.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = "0"
_LATER = "12"
_EVENTS = 4
_NEVER = -1


class Slip(enum.Enum):
    """A mistake in telling who has a superseded generation open. Each has to be found."""

    BY_TIME = "a pod whose use lease is younger than the newest generation counts as one that has that generation open"
    NAME_KEPT = "a pod that starts again renews its use lease with the name of what it had open before"


class Tree(NamedTuple):
    """A generation: its name below the root, and when it appeared there."""

    name: str
    published: int


class Pod(NamedTuple):
    """A pod that starts from the key, again and again.

    - at: the step it is about to do.
    - since: when its use lease was created; _NEVER before.
    - named: which generation its lease says it has open.
    - fresh: whether its view of the leases is newer than the intent that is there.
    - opens: the generation it found whole.
    """

    at: str = "use.write_use"
    since: int = _NEVER
    named: str = ""
    fresh: bool = False
    opens: Tree | None = None


class Prune(NamedTuple):
    """A prune that removes one generation.

    - at: the step it is about to do.
    - victim: what it is to remove.
    """

    at: str = "idle"
    victim: Tree = Tree("", _NEVER)


class State(NamedTuple):
    """Everything at one moment.

    - now: the time.
    - here: the generations below the root.
    - lost: the last one whose files were unlinked.
    - refs: the names that they lead to and their times, the oldest first.
    - referring: the name of the generation that a refresh has published, and not yet made the one to use.
    """

    now: int
    here: tuple[Tree, ...]
    lost: Tree | None
    refs: tuple[Tree, ...]
    referring: str
    pod: Pod
    prune: Prune


class Generations:
    """The model of a key with generations, and of a slip, if one is made."""

    def __init__(self, slip: Slip | None = None) -> None:
        self._slip = slip

    def initial(self) -> Iterator[State]:
        """Yield a key that was refreshed once."""
        yield State(1, (Tree(FIRST, 0), Tree("1", 1)), None, (Tree("1", 1),), "", Pod(), Prune())

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        """Yield what can happen next."""
        if state.now < _EVENTS:
            yield from self._refresh(state)
        yield from self._start(state)
        yield from self._prune(state)

    def canonical(self, state: State) -> State:
        """Return the state itself."""
        return state

    def broken(self, state: State) -> str | None:
        """Return the promise that a state breaks, or None."""
        if state.pod.opens and state.pod.opens == state.lost:
            return "No generation is unlinked under a pod that found it whole."
        return None

    def is_goal(self, state: State) -> bool:
        """Whether prune has ended, and nothing waits for a ref or to be looked after."""
        return state.prune.at == "idle" and (not state.referring or state.now == _EVENTS)

    def _refresh(self, state: State) -> Iterator[tuple[str, State]]:
        """Refresh and repair: locks are broken, so both go on whatever prune does."""
        now = state.now + 1
        if state.referring:
            refs = (*state.refs, Tree(state.referring, now))
            yield (
                f"refs.refer makes {state.referring} the generation to use",
                state._replace(now=now, refs=refs, referring=""),
            )
            return
        for name in _LATER:
            if any(found.name == name for found in state.here):
                yield f"a refresh finds the content of {name} at the origin", state._replace(referring=name)
            else:
                here = (*state.here, Tree(name, now))
                yield f"publish.publish makes {name} appear", state._replace(now=now, here=here, referring=name)
        newest = current(state)
        if newest is not None and newest.name != FIRST:
            here = tuple(found for found in state.here if found != newest)
            yield f"{newest.name} is damaged, and moves to the quarantine", state._replace(now=now, here=here)

    def _start(self, state: State) -> Iterator[tuple[str, State]]:
        pod = state.pod
        if pod.at == "use.write_use":
            created = pod.since == _NEVER
            named = pod.named if self._slip is Slip.NAME_KEPT else ""
            fresh = created and state.prune.at != "idle"
            written = Pod("use.await_removal", state.now if created else pod.since, named, fresh)
            yield f"the pod {'creates' if created else 'renews'} its use lease", state._replace(pod=written)
        elif pod.at == "use.await_removal":
            if state.prune.at == "idle" or not pod.fresh:
                yield "the pod sees no intent", state._replace(pod=pod._replace(at="entry.look"))
        elif pod.at == "entry.look":
            newest = current(state)
            if newest is not None:
                opened = pod._replace(at="say what is open", opens=newest)
                yield f"the pod finds {newest.name} whole, and opens it", state._replace(pod=opened)
        elif pod.at == "say what is open" and pod.opens is not None:
            says = pod._replace(at="serve", named=pod.opens.name)
            yield "the pod says in its use lease what it has open", state._replace(pod=says)
        else:
            again = Pod(since=pod.since, named=pod.named)
            yield "the pod closes it, and starts again", state._replace(pod=again)
            yield "the pod is deleted, and another one starts", state._replace(pod=Pod())

    def _prune(self, state: State) -> Iterator[tuple[str, State]]:
        prune = state.prune
        if prune.at == "idle":
            newest = current(state)
            for victim in state.here if newest else ():
                if victim != newest:
                    planned = Prune("removal.refuse_users", victim)
                    yield f"prune finds {victim.name} superseded, and writes an intent", state._replace(prune=planned)
        elif prune.at == "removal.refuse_users":
            used = self._is_used(state)
            after = Prune() if used else prune._replace(at="removal.condemn")
            yield f"prune finds {'a user' if used else 'no user'}", state._replace(prune=after)
        elif prune.at == "removal.condemn":
            here = tuple(found for found in state.here if found.name != prune.victim.name)
            gone = len(here) == len(state.here)
            after = Prune() if gone else prune._replace(at="removal.refuse_users: again")
            yield f"prune renames {prune.victim.name} out of sight", state._replace(here=here, prune=after)
        elif prune.at == "removal.refuse_users: again":
            at = "condemned.put_back" if self._is_used(state) else "condemned.give_up"
            yield "prune looks for users again", state._replace(prune=prune._replace(at=at))
        elif prune.at == "condemned.give_up":
            yield "prune gives it up, and unlinks it", state._replace(lost=prune.victim, prune=Prune())
        else:
            taken = any(found.name == prune.victim.name for found in state.here)
            here = state.here if taken else (*state.here, prune.victim)
            text = "prune leaves it condemned while the key is used" if taken else "prune puts it back"
            yield text, state._replace(here=here, prune=Prune())

    def _is_used(self, state: State) -> bool:
        """Whether somebody may have the generation open, or be about to open it."""
        pod, victim = state.pod, state.prune.victim
        if pod.since == _NEVER:
            return False
        if self._slip is Slip.BY_TIME:
            newest = current(state)
            times = [ref.published for ref in state.refs if newest and ref.name == newest.name]
            return newest is None or pod.since < max(newest.published, *times, 0)
        return pod.named in ("", victim.name)


def current(state: State) -> Tree | None:
    """Return the generation that starters open: the newest that a ref leads to and that is there."""
    by_name = {found.name: found for found in state.here}
    names = (*(ref.name for ref in reversed(state.refs)), FIRST)
    return next((by_name[name] for name in names if name in by_name), None)
