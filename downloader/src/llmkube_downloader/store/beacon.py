"""Small files whose age tells whether their writer lives.

A beacon is rewritten in place every few seconds, through the descriptor it was created with: whoever moves the file
away keeps its old writer from ever touching a successor of the same name.
"""

from __future__ import annotations

import json
import os
import threading
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from llmkube_downloader.store.disk import create_exclusively, file_server_now, read_small
from llmkube_downloader.store.layout import nonce

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 60.0
_HANG_SECONDS = 1.0


class Beacon:
    """A file that says who works here, and by its age whether they still do."""

    def __init__(self, path: Path) -> None:
        """Create the file.

        Raises FileExistsError: when somebody else's is there.
        """
        self.path = path
        self._record: dict[str, Any] = {
            "nonce": nonce(),
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        self._lock = threading.Lock()
        self._descriptor: int | None = create_exclusively(path)
        try:
            self.beat()
        except BaseException:
            self.withdraw()
            path.unlink(missing_ok=True)
            raise

    def beat(self, done: int = 0, total: int | None = None) -> None:
        """Say again that the writer lives, and how far it is (bytes); nothing after it was withdrawn."""
        data = json.dumps({**self._record, "done": done, "total": total}).encode("ascii")
        with self._lock:
            if self._descriptor is not None:
                os.pwrite(self._descriptor, data, 0)
                os.ftruncate(self._descriptor, len(data))
                os.fsync(self._descriptor)

    def withdraw(self) -> None:
        """Remove the file, unless it was taken away and another one has its name."""
        try:
            if read_record(self.path).get("nonce") == self._record["nonce"]:
                self.path.unlink(missing_ok=True)
        except OSError:
            # It then goes stale, which says the same a minute later.
            pass
        # A beat that hangs with its volume keeps the descriptor, and must not keep the process from ending.
        if self._lock.acquire(timeout=_HANG_SECONDS):
            if self._descriptor is not None:
                os.close(self._descriptor)
            self._descriptor = None
            self._lock.release()


class Heartbeat:
    """A thread that keeps beacons alive while work goes on."""

    def __init__(self, progress: Callable[[], tuple[int, int | None]]) -> None:
        """Report ``progress()``, bytes done and bytes in all, with every beat."""
        self._progress = progress
        self._beacons: list[Beacon] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Beat no more."""
        self._stop.set()
        self._thread.join(timeout=_HANG_SECONDS)

    def keep(self, beacon: Beacon) -> None:
        """Keep a beacon alive from now on."""
        with self._lock:
            self._beacons.append(beacon)

    def drop(self, beacon: Beacon) -> None:
        """Leave a beacon alone from now on."""
        with self._lock:
            self._beacons.remove(beacon)

    def _run(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            with self._lock:
                beacons = list(self._beacons)
            for beacon in beacons:
                _beat_quietly(beacon, *self._progress())


def read_record(path: Path) -> dict[str, Any]:
    """Return what a beacon says; nothing when it is gone or its writer had no time to say it."""
    try:
        record = json.loads(read_small(path))
    except (FileNotFoundError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def is_stale(path: Path) -> bool:
    """Return whether nobody kept a beacon alive, or changed a directory, for a minute; what is gone is not stale.

    The times compared are both given by the file server. Opening the file makes an NFS client ask it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            modified = os.fstat(descriptor).st_mtime
        finally:
            os.close(descriptor)
        return file_server_now(path.parent) - modified > STALE_SECONDS
    except FileNotFoundError:
        return False


def _beat_quietly(beacon: Beacon, done: int, total: int | None) -> None:
    try:
        beacon.beat(done, total)
    except OSError:
        # The volume is in trouble. The work itself meets it too, and says so where a user can see it.
        return
