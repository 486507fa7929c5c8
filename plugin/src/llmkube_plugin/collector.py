"""What Python's garbage collector is spared: a large cluster's objects are millions of Python's, and none is garbage.

To look through them for some, and to take them apart at the end of the process, takes longer than to show them.
"""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_kept: list[object] = []


def slow_down() -> None:
    """Look for garbage less often, in the whole process."""
    gc.set_threshold(200_000, 20, 20)


@contextlib.contextmanager
def idle() -> Iterator[None]:
    """Look for no garbage in here."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def keep(thing: object) -> None:
    """Keep a thing for the rest of the process, or until another one takes its place, and end without freeing it.

    It is in a circle, which only the collector would take apart, and that passes over all there is now. Everything else
    about the end is as ever.
    """
    _kept[:] = [_kept, thing]
    gc.freeze()
