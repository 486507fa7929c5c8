"""A cap on the bytes per second of all connections together."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmkube_downloader.transfer.ring import Ring

# Received at most between two looks at the clock, so that a slow cap is kept smoothly.
PIECE_BYTES = 16 * 1024


class Pace:
    """Makes connections wait when they are faster than allowed together.

    - rate: bytes per second; None or 0 for no cap.
    """

    def __init__(self, rate: int | None, ring: Ring) -> None:
        self.rate = rate or None
        self._ring = ring
        self._lock = threading.Lock()
        self._free_at = monotonic()

    def piece(self, room: memoryview) -> memoryview:
        """Return as much of the room as may be received at once."""
        return room if self.rate is None else room[:PIECE_BYTES]

    def spend(self, count: int) -> None:
        """Wait until ``count`` bytes that have arrived are within the cap.

        Raises StoppedError.
        """
        if self.rate is None:
            return
        with self._lock:
            self._free_at = max(self._free_at, monotonic()) + count / self.rate
            wait = self._free_at - monotonic()
        self._ring.rest(wait)
