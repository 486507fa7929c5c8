"""Breadth-first exploration of everything that can happen, and the shortest way to whatever must not."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    State = TypeVar("State", bound=Hashable)
else:
    State = TypeVar("State")


class Model(Protocol[State]):
    """What can be explored. States are values: equal ones are one state."""

    def initial(self) -> Iterable[State]:
        """Return where it may begin."""

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        """Yield everything that can happen next, in words, and the state it leads to."""

    def canonical(self, state: State) -> State:
        """Return the state that stands for all those that differ from this one in names only."""

    def broken(self, state: State) -> str | None:
        """Return which promise a state breaks, or None."""

    def is_goal(self, state: State) -> bool:
        """Return whether a state is one that has to stay within reach."""


OUT_OF_REACH = "Whatever has happened, all can still end with the entry whole and nothing left behind."


@dataclass(frozen=True)
class Violation(Generic[State]):
    """A promise that is broken, and how.

    - promise: which one.
    - trace: what happened, from the beginning.
    - state: where it led to.
    """

    promise: str
    trace: tuple[str, ...]
    state: State

    def __str__(self) -> str:
        steps = "\n".join(f"{number:4}. {step}" for number, step in enumerate(self.trace, 1))
        return f"{self.promise}\n{steps}"


@dataclass(frozen=True)
class Explored(Generic[State]):
    """What an exploration found.

    - states, steps: how many there are; all of them, when there is no violation.
    - violation: the one that takes the fewest steps; None when no promise can be broken.
    """

    states: int
    steps: int
    violation: Violation[State] | None


class Explorer(Generic[State]):
    """Explores one model, once."""

    def __init__(self, model: Model[State]) -> None:
        self._model = model
        self._numbers: dict[State, int] = {}
        self._states: list[State] = []
        self._parents = array("l")
        # What each state leads to, one after the other, and where that begins.
        self._followers = array("l")
        self._begins = array("l")

    def explore(self) -> Explored[State]:
        """Visit every state that can be reached, up to the first violation; the goal has to stay in reach."""
        for state in self._model.initial():
            self._number(self._model.canonical(state), -1)
        violation = self._visit_all() or self._out_of_reach()
        return Explored(len(self._states), len(self._followers), violation)

    def _visit_all(self) -> Violation[State] | None:
        number = 0
        while number < len(self._states):
            state = self._states[number]
            if promise := self._model.broken(state):
                return self._violation(promise, number)
            self._begins.append(len(self._followers))
            for _, follower in self._model.steps(state):
                # Many are known in the form they come in.
                known = self._numbers.get(follower)
                if known is None:
                    known = self._number(self._model.canonical(follower), number)
                self._followers.append(known)
            number += 1
        return None

    def _number(self, state: State, parent: int) -> int:
        number = self._numbers.setdefault(state, len(self._states))
        if number == len(self._states):
            self._states.append(state)
            self._parents.append(parent)
        return number

    def _out_of_reach(self) -> Violation[State] | None:
        """Return a way to a state from which there is none to the goal."""
        leading: list[list[int]] = [[] for _ in self._states]
        for number in range(len(self._states)):
            for follower in self._followers_of(number):
                leading[follower].append(number)
        near = [number for number, state in enumerate(self._states) if self._model.is_goal(state)]
        reaching = bytearray(len(self._states))
        for number in near:
            reaching[number] = 1
        while near:
            for number in leading[near.pop()]:
                if not reaching[number]:
                    reaching[number] = 1
                    near.append(number)
        lost = reaching.find(0)
        return None if lost < 0 else self._violation(OUT_OF_REACH, lost)

    def _followers_of(self, number: int) -> array[int]:
        end = self._begins[number + 1] if number + 1 < len(self._begins) else len(self._followers)
        return self._followers[self._begins[number] : end]

    def _violation(self, promise: str, number: int) -> Violation[State]:
        path = [number]
        while self._parents[path[-1]] >= 0:
            path.append(self._parents[path[-1]])
        path.reverse()
        trace = tuple(self._step(before, after) for before, after in pairwise(path))
        return Violation(promise, trace, self._states[number])

    def _step(self, before: int, after: int) -> str:
        """Return in words how one state leads to another."""
        return next(
            text
            for text, state in self._model.steps(self._states[before])
            if self._model.canonical(state) == self._states[after]
        )
