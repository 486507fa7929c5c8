"""What is explored, and where each mistake shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from protocol.explore import Explored, Explorer
from protocol.model import (
    Store,
    a_reader_finds_what_it_saw,
    a_reader_keeps_its_files,
    an_entry_is_never_replaced,
    an_entry_is_never_written,
    an_entry_is_right,
    one_downloads,
    success_means_whole,
)
from protocol.rules import Mistake, Role, Rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.volume import State

_JOBS = (Role.JOB, Role.JOB)

PROTOCOL = {
    "two builders, a damaged entry, an origin that changes": Rules(_JOBS, begins=("nothing", "damaged"), changes=True),
    "a builder and a remover, moment by moment": Rules((Role.JOB, Role.REMOVER)),
    "a reader and a remover, moment by moment": Rules((Role.READER, Role.REMOVER), begins=("nothing", "whole")),
    "two pods that build and read, and a remover": Rules((Role.POD, Role.POD, Role.REMOVER), fine=False),
    "two builders, a remover and a reader": Rules((*_JOBS, Role.REMOVER, Role.READER), fine=False),
    "the same, where locks work, names are fresh and nobody is frozen": Rules(
        (*_JOBS, Role.REMOVER, Role.READER),
        begins=("nothing", "damaged"),
        frozen=False,
        stale=False,
        locks=True,
        fine=False,
    ),
}

_CALM = replace(PROTOCOL["the same, where locks work, names are fresh and nobody is frozen"], begins=("nothing",))
_BUILDERS = Rules(_JOBS, fine=False)
_DAMAGED = Rules(_JOBS, begins=("damaged",), fine=False)
_READER = Rules((Role.READER, Role.REMOVER), begins=("whole",), frozen=False, stale=False)
_STALE = Rules((Role.READER, Role.REMOVER), begins=("whole",), frozen=False)

# Where a mistake shows, and the promise that it breaks; None for the last one, that nothing stays for ever.
MISTAKES: dict[Mistake, tuple[Rules, Callable[[Rules, State], bool] | None]] = {
    Mistake.UNLOCKED: (_CALM, one_downloads),
    Mistake.SHARED_FILE: (_BUILDERS, an_entry_is_never_written),
    Mistake.SILENCE_IS_DEATH: (_BUILDERS, an_entry_is_never_written),
    Mistake.RECORD_MOVES: (_BUILDERS, an_entry_is_never_written),
    Mistake.SALVAGED_BY_NAME: (Rules(_JOBS, changes=True, fine=False), an_entry_is_right),
    Mistake.REPLACING: (_BUILDERS, an_entry_is_never_replaced),
    Mistake.WINNER_UNSEEN: (_DAMAGED, success_means_whole),
    Mistake.MOVED_UNSEEN: (_DAMAGED, an_entry_is_never_replaced),
    Mistake.LOOK_THEN_LEASE: (_READER, a_reader_keeps_its_files),
    Mistake.CHECK_THEN_ACT: (_READER, a_reader_keeps_its_files),
    Mistake.NO_INTENT: (_CALM, a_reader_finds_what_it_saw),
    Mistake.ONE_LOOK: (_STALE, a_reader_keeps_its_files),
    Mistake.REMEMBERED_AGE: (_READER, a_reader_keeps_its_files),
    Mistake.SWEPT_UNSEEN: (_READER, a_reader_keeps_its_files),
    Mistake.HASTY_TRASH: (
        Rules((Role.JOB, Role.REMOVER, Role.READER), begins=("whole",), fine=False),
        a_reader_keeps_its_files,
    ),
    Mistake.FORGOTTEN_TRASH: (_READER, None),
}


def explore(rules: Rules) -> Explored[State]:
    """Visit every state that can be reached."""
    return Explorer(Store(rules)).explore()
