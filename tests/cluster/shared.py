"""A cluster that all processes of a test run share: the first that needs it brings it up, the last takes it down."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

Thing = TypeVar("Thing")


@contextlib.contextmanager
def shared(folder: Path, bring_up: Callable[[], Thing], take_down: Callable[[], None]) -> Iterator[Thing]:
    """What `bring_up` returns, which finds it when another process has it up; `folder` is where the processes meet.

    A process that is killed counts no longer: its locks go with it.
    """
    with (folder / "users").open("w") as users:
        try:
            with _door(folder):
                fcntl.flock(users, fcntl.LOCK_SH)
                thing = bring_up()
            yield thing
        finally:
            with _door(folder):
                if _is_last(users):
                    take_down()


@contextlib.contextmanager
def _door(folder: Path) -> Iterator[None]:
    """Only one process at a time comes or goes."""
    with (folder / "door").open("w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        yield


def _is_last(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(users, fcntl.LOCK_UN)
        return False
    return True
