"""Blocks on their way from the connections to the hash: received in any order, taken in the order of the files.

The ring is all the memory that a transfer needs. A block may be received when it is less than the ring's length ahead
of the one that is hashed next; that one always may, so nothing can wait for each other in a circle.

Many threads wait here for thousands of blocks per second. Only those are woken up whose turn it is: waking all of them
costs a tenth of a fetch.
"""

from __future__ import annotations

import mmap
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class StoppedError(Exception):
    """The transfer ends; what a thread was about to do is no longer wanted."""


class Ring:
    """Memory for some blocks, each at the place that its number says.

    - block: bytes of a block.
    - space: holds the lock of everything here, and is notified when more may be handed out. That wakes one thread up;
      one that finds what it waited for passes it on, because the next one may find something too.
    """

    def __init__(self, block: int, slots: int) -> None:
        self.block = block
        self._lock = threading.RLock()
        self.space = threading.Condition(self._lock)
        self._arrival, self._end = threading.Condition(self._lock), threading.Condition(self._lock)
        self._awaited: int | None = None
        self._turns: dict[int, threading.Condition] = {}
        self._slots = slots
        self._memory = memoryview(mmap.mmap(-1, block * slots))
        self._filled: dict[int, int] = {}
        self._next = 0
        self._failure: BaseException | None = None
        self._stopped = False

    @property
    def failure(self) -> BaseException | None:
        """What ended the transfer; None when it is not a failure."""
        return self._failure

    @property
    def stopped(self) -> bool:
        """Whether the transfer ends."""
        return self._stopped

    def admits(self, number: int) -> bool:
        """Return whether a block may be received now."""
        return number < self._next + self._slots

    def room(self, number: int) -> memoryview:
        """Return the memory of a block, once it may be received.

        Raises StoppedError.
        """
        with self._lock:
            if not (self._stopped or self.admits(number)):
                turn = self._turns[number] = threading.Condition(self._lock)
                turn.wait_for(lambda: self._stopped or self.admits(number))
                del self._turns[number]
            self.check()
        start = number % self._slots * self.block
        return self._memory[start : start + self.block]

    def check(self) -> None:
        """Raise StoppedError when the transfer ends."""
        if self._stopped:
            raise StoppedError

    def rest(self, seconds: float) -> None:
        """Wait.

        Raises StoppedError.
        """
        with self._lock:
            self._end.wait_for(lambda: self._stopped, seconds)
            self.check()

    def fill(self, number: int, count: int) -> None:
        """Say that a block has been received, ``count`` bytes of it."""
        with self._lock:
            self._filled[number] = count
            if number == self._awaited:
                self._arrival.notify()

    def take(self, number: int, seconds: float, ended: Callable[[], bool] = lambda: False) -> memoryview | None:
        """Return the next block when it has been received; None after ``seconds`` without it.

        - ended: whether the file has turned out to end before this block, which then is one of the next file.

        Raises the failure of a thread that receives.
        """
        with self._lock:
            self._awaited = number
            self._arrival.wait_for(lambda: self._failure or ended() or number in self._filled, seconds)
            if self._failure is not None:
                raise self._failure
            if ended() or number not in self._filled:
                return None
            start = number % self._slots * self.block
            return self._memory[start : start + self._filled.pop(number)]

    def release(self, number: int) -> None:
        """Say that a block was hashed, or needs no receiving: its memory is free for a later one."""
        with self._lock:
            self._next = number + 1
            for waiting, turn in self._turns.items():
                if self.admits(waiting):
                    turn.notify()
            self.space.notify()

    def look_again(self) -> None:
        """Wake everybody up: more is known of what is to be received."""
        with self._lock:
            for condition in (self.space, self._arrival, self._end, *self._turns.values()):
                condition.notify_all()

    def fail(self, failure: BaseException) -> None:
        """End the transfer: ``take`` raises the failure."""
        with self._lock:
            self._failure = self._failure or failure
            self.stop()

    def stop(self) -> None:
        """End the transfer."""
        with self._lock:
            self._stopped = True
            self.look_again()
