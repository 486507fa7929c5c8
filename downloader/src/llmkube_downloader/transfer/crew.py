"""How many connections receive: more as long as more help."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkube_downloader.transfer.receiver import Receiver

_FIRST = 4
_LOOK_SECONDS = 0.05
# What a doubled crew has to gain to be doubled again.
_WORTH = 1.1
# Bytes per second of one connection beyond which the processor is the limit, and not the origin.
_FAST = 150_000_000
# Origins change their mind: after so long it is tried again.
_AGAIN_SECONDS = 30.0


class Crew:
    """The receivers of a transfer. It begins with four and is doubled while that makes it faster."""

    def __init__(self, recruit: Callable[[], Receiver], limit: int, suit: Callable[[int], None]) -> None:
        """Prepare; see ``start``.

        - recruit: makes a receiver.
        - limit: how many there may be.
        - suit: told how many there are now, before there are.
        """
        self._recruit = recruit
        self._limit = limit
        self._suit = suit
        self._members: list[Receiver] = []
        self._best = 0.0
        self._received = 0
        self._since = self._again = monotonic()

    def start(self) -> None:
        """Begin."""
        self._grow(min(_FIRST, self._limit))

    def adjust(self, received: int) -> None:
        """Look, now and then, whether more connections would help; ``received`` are the bytes so far."""
        now = monotonic()
        if now - self._since < _LOOK_SECONDS or len(self._members) == self._limit:
            return
        rate = (received - self._received) / (now - self._since)
        self._since, self._received = now, received
        if not rate or now < self._again:
            return
        if rate > _WORTH * self._best and rate < _FAST * len(self._members):
            self._best = rate
            self._grow(min(2 * len(self._members), self._limit))
        else:
            self._again, self._best = now + _AGAIN_SECONDS, 0.0

    def end(self, seconds: float) -> None:
        """Wake them up and wait so long for them to end. The ring was stopped before."""
        deadline = monotonic() + seconds
        for member in self._members:
            member.abort()
        for member in self._members:
            member.thread.join(max(0.0, deadline - monotonic()))

    def _grow(self, size: int) -> None:
        self._suit(size)
        while len(self._members) < size:
            member = self._recruit()
            try:
                member.thread.start()
            except RuntimeError:
                if not self._members:
                    raise
                # The container may have no more threads.
                self._limit = len(self._members)
                return
            self._members.append(member)
