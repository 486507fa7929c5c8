"""A thread that makes what was received durable while more of it arrives.

Without it the kernel would collect gigabytes, and the end of a fetch, or a pod that is told to end, would wait for
minutes.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from llmkube_downloader.store.disk import storage_failure

if TYPE_CHECKING:
    from llmkube_downloader.store.part import Part
    from llmkube_downloader.transfer.ring import Ring

# Bytes that are not durable yet, in multiples of the interval, beyond which connections have to wait.
_MOST_INTERVALS = 2


class Syncer:
    """Syncs files each time so many bytes were written to them."""

    def __init__(self, interval: int, ring: Ring) -> None:
        """Sync after every ``interval`` bytes; failures end the ring."""
        self._interval = interval
        self._ring = ring
        self._condition = threading.Condition()
        self._busy = threading.Lock()
        self._dirty: dict[Part, int] = {}
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="sync", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wrote(self, part: Part, count: int) -> None:
        """Take note of bytes that were written; wait when the disk can not follow."""
        with self._condition:
            self._dirty[part] = self._dirty.get(part, 0) + count
            if self._waiting() < self._interval:
                return
            self._condition.notify_all()
            most = _MOST_INTERVALS * self._interval
            self._condition.wait_for(lambda: self._ring.stopped or self._waiting() < most)

    def forget(self, part: Part) -> None:
        """Leave a file alone from now on; whoever calls this syncs it."""
        with self._busy, self._condition:
            self._dirty.pop(part, None)
            self._condition.notify_all()

    def let_go(self) -> None:
        """Wake up who waits for the disk; the ring was stopped before."""
        with self._condition:
            self._condition.notify_all()

    def end(self, seconds: float) -> None:
        """Sync a last time, and wait so long for it."""
        with self._condition:
            self._ended = True
            self._condition.notify_all()
        self._thread.join(seconds)

    def _waiting(self) -> int:
        return sum(self._dirty.values())

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._ended or self._waiting() >= self._interval)
                ended = self._ended
            # The last time too: another machine, which may go on with this, counts on nothing else.
            self._sync_all()
            if ended:
                return

    def _sync_all(self) -> None:
        with self._busy:
            with self._condition:
                dirty, self._dirty = self._dirty, {}
            for part in dirty:
                self._sync(part)
            with self._condition:
                self._condition.notify_all()

    def _sync(self, part: Part) -> None:
        try:
            part.sync()
        except OSError as error:
            self._ring.fail(storage_failure(error, f"syncing {part.identity.path}"))
