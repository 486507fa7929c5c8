"""What happens to a volume while its disk is recorded, phase by phase, and what may be found on it after any cut.

A new phase is one more line of STORY, and one more function where something new happens.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faults.served import WEIGHTS
from powerloss.stage import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from powerloss.stage import Done, Stage

_DAMAGED_BYTES = MODELS["first"] // 2


@dataclass(frozen=True)
class Phase:
    """A part of the story. Models are named as in stage.py.

    - act: what happens.
    - model: what is fetched after a cut, with ``flags``.
    - may: the models that may be there at any time of it.
    - must: those that have to be there once it is over, until the next phase begins.
    - damaged: whether an entry may be one that somebody else damaged.
    - quarantine: whether such an entry may have been moved aside.
    """

    name: str
    act: Callable[[Stage], None]
    model: str
    may: frozenset[str]
    must: frozenset[str]
    damaged: bool = False
    quarantine: bool = False
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Moment:
    """When the power was cut.

    - phase: in which phase, or after which one when it is ``over``.
    - must: the models that have to be there.
    """

    phase: Phase
    over: bool
    must: frozenset[str]

    def __str__(self) -> str:
        return f"{'after' if self.over else 'during'} {self.phase.name}"


def begin_of(phases: Sequence[Phase], name: str) -> Moment:
    """Return the moments of a phase. What was there before it, and is to be there after it, is there meanwhile."""
    number = [phase.name for phase in phases].index(name)
    before = phases[number - 1].must if number else frozenset()
    return Moment(phases[number], over=False, must=before & phases[number].must)


def end_of(phases: Sequence[Phase], name: str) -> Moment:
    """Return the moments after a phase."""
    phase = next(phase for phase in phases if phase.name == name)
    return Moment(phase, over=True, must=phase.must)


def was_damaged(entry: Path) -> bool:
    """Return whether an entry is one that the story has damaged."""
    weights = entry / WEIGHTS
    return weights.is_file() and weights.stat().st_size == _DAMAGED_BYTES


def _fetch(model: str, *flags: str) -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        _expect_success(stage.fetch(model, *flags))

    return act


def _kill_and_go_on(model: str, *flags: str) -> Callable[[Stage], None]:
    """Kill a fetch twice. The second one goes on at once, the third one after the machine was switched off and on."""

    def act(stage: Stage) -> None:
        size = MODELS[model]
        stage.fetch_until_killed(model, size // 2, *flags)
        stage.fetch_until_killed(model, size // 4, *flags)
        stage.boot()
        _expect_success(stage.fetch(model, *flags))

    return act


def _remove(stage: Stage) -> None:
    _expect_success(stage.run("remove", stage.key()))


def _damage(stage: Stage) -> None:
    """Cut a file of the entry short, as others than llmkube may."""
    os.truncate(stage.root / stage.key() / WEIGHTS, _DAMAGED_BYTES)


def _expect_success(done: Done) -> None:
    if done.code:
        raise RuntimeError(str(done))


_REFRESH = ("--refresh", "on-change")
_NONE: frozenset[str] = frozenset()
_FIRST, _BOTH = frozenset({"first"}), frozenset({"first", "later"})
STORY = (
    Phase("build", _fetch("first"), "first", may=_FIRST, must=_FIRST),
    Phase("damage", _damage, "first", may=_FIRST, must=_NONE, damaged=True, quarantine=True),
    Phase("mend", _fetch("first"), "first", may=_FIRST, must=_FIRST, damaged=True, quarantine=True),
    Phase("remove", _remove, "first", may=_FIRST, must=_NONE, quarantine=True),
    Phase("go-on", _kill_and_go_on("first"), "first", may=_FIRST, must=_FIRST),
    Phase("refresh", _kill_and_go_on("later", *_REFRESH), "later", may=_BOTH, must=_BOTH, flags=_REFRESH),
    Phase("clear", _remove, "later", may=_BOTH, must=_NONE, flags=_REFRESH),
)
