"""How many connections receive: more as long as more help, and no more than that.

More than help would only be a burden on the origin, and more to receive again after a kill.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkube_downloader.transfer.receiver import Receiver

_FIRST = 4
# How long the rate is measured at least.
_LOOK_SECONDS = 0.1
# How long new members are waited for, which first have to connect.
_SETTLE_SECONDS = 5.0
# What a doubled crew has to gain to stay so.
_WORTH = 1.1
# Bytes per second of one connection beyond which the processor is the limit, and not the origin.
_FAST = 150_000_000
# Origins change their mind: after so long it is tried again.
_AGAIN_SECONDS = 30.0


class Crew:
    """The receivers of a transfer. It begins with four, and is doubled while that makes it faster."""

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
        self._retired: list[Receiver] = []
        # How many there were before the crew was doubled, and their rate; None when it was not.
        self._before: tuple[int, float] | None = None
        self._received = 0
        self._since = self._again = monotonic()
        self._is_settled = False
        self._look_seconds = _LOOK_SECONDS

    def start(self) -> None:
        """Begin."""
        self._grow(min(_FIRST, self._limit))

    def adjust(self, received: int) -> None:
        """Look, now and then, whether more connections would help; ``received`` are the bytes so far."""
        now = monotonic()
        if now < self._again:
            self._since = now
        elif self._settle(now, received) and now - self._since >= self._look_seconds:
            rate = (received - self._received) / (now - self._since)
            self._since, self._received = now, received
            if rate:
                self._suit_to(rate, now)

    def _suit_to(self, rate: float, now: float) -> None:
        size = len(self._members)
        former, before = self._before or (0, 0.0)
        if rate <= _WORTH * before:
            self._shrink(former)
        elif size < self._limit and rate < _FAST * size:
            self._before, self._is_settled = (size, rate), False
            self._grow(min(2 * size, self._limit))
            return
        self._again, self._before, self._is_settled = now + _AGAIN_SECONDS, None, False

    def _settle(self, now: float, received: int) -> bool:
        """Return whether all members have begun to receive; what comes before is no measure of their rate."""
        if not self._is_settled and (
            all(member.received for member in self._members) or now - self._since > _SETTLE_SECONDS
        ):
            # Where it takes long to begin, it takes as long to become fast.
            self._look_seconds = max(_LOOK_SECONDS, now - self._since)
            self._since, self._received, self._is_settled = now, received, True
        return self._is_settled

    def end(self, seconds: float) -> None:
        """Wake them up and wait so long for them to end. The ring was stopped before."""
        deadline = monotonic() + seconds
        members = [*self._members, *self._retired]
        for member in members:
            member.abort()
        for member in members:
            member.ended.wait(max(0.0, deadline - monotonic()))

    def _grow(self, size: int) -> None:
        self._suit(size)
        while len(self._members) < size:
            member = self._recruit()
            # Before it begins: who is told to end in the middle of this waits for everybody who may write.
            self._members.append(member)
            try:
                member.thread.start()
            except RuntimeError:
                self._members.pop()
                if not self._members:
                    raise
                # The container may have no more threads.
                self._limit = len(self._members)
                return

    def _shrink(self, size: int) -> None:
        self._suit(size)
        for member in self._members[size:]:
            member.retire()
        self._retired += self._members[size:]
        del self._members[size:]
