"""Small files whose age tells whether their writer lives.

A beacon is rewritten in place every few seconds, through the descriptor it was created with: whoever moves the file
away keeps its old writer from ever touching a successor of the same name.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from contextlib import suppress
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkube_downloader.store.disk import create_exclusively, file_server_now, read_small
from llmkube_downloader.store.layout import nonce

if TYPE_CHECKING:
    from collections.abc import Callable

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 60.0
_HANG_SECONDS = 1.0
_RECORD_BYTES = 1024


class Beacon:
    """A file that says who works here, and by its age whether they still do."""

    def __init__(self, path: Path) -> None:
        """Create the file.

        Raises FileExistsError: when somebody else's is there.
        """
        self.path = path
        self._record: dict[str, Any] = {
            "nonce": nonce(),
            "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            **me(),
        }
        self._lock = threading.Lock()
        self._released = False
        self._descriptor: int | None = create_exclusively(path)
        try:
            # The lock comes before the first word: an empty beacon proves nothing about its writer. Where there are no
            # locks it is not missed.
            with suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            self.beat()
        except BaseException:
            self.withdraw()
            path.unlink(missing_ok=True)
            raise

    def beat(self, done: int = 0, total: int | None = None, *, released: bool = False) -> None:
        """Say again that the writer lives, and how far it is (bytes); nothing after its last word.

        - released: say instead that this is its last word.
        """
        record = {**self._record, "done": done, "total": total, **({"released": True} if released else {})}
        # Of one length, so that whoever reads it between the two calls, or after a death there, finds a record.
        data = json.dumps(record).encode("ascii").ljust(_RECORD_BYTES)
        with self._lock:
            if self._descriptor is not None and not self._released:
                self._released = released
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
        self._let_go()

    def release(self) -> None:
        """Leave the file with the word that its writer is gone, so that others may go on with what lies beside it."""
        with suppress(OSError):
            self.beat(released=True)
        self._let_go()

    def _let_go(self) -> None:
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


def me() -> dict[str, Any]:
    """Return what tells this process from all others, as records hold it.

    ``bootId`` changes when the machine is switched on, ``pidNamespace`` with the container, ``started`` is the time of
    the process on the clock of the kernel, which together with ``pid`` no second process ever has.
    """
    return {
        "host": os.uname().nodename,
        "pid": os.getpid(),
        "started": started_at(os.getpid()),
        "pidNamespace": _pid_namespace(),
        "bootId": _boot_id(),
        "podUID": os.environ.get("LLMKUBE_POD_UID", ""),
        "node": os.environ.get("LLMKUBE_NODE_NAME", ""),
    }


def started_at(pid: int) -> str:
    """Return when a process of this namespace started, in ticks of the kernel; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - the text is no path
    except OSError:
        return ""


def read_record(path: Path) -> dict[str, Any]:
    """Return what a beacon says; nothing when it is gone or its writer had no time to say it."""
    try:
        record = json.loads(read_small(path))
    except (FileNotFoundError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def is_stale(path: Path, now: float | None = None) -> bool:
    """Return whether nobody kept a beacon alive, or changed a directory, for a minute; what is gone is not stale.

    - now: the file server's time in seconds, where it is known; else it is asked for, by writing beside the beacon.
    """
    return _is_older(path, STALE_SECONDS, now)


def is_nearly_stale(path: Path, now: float | None = None) -> bool:
    """Return whether a beacon is stale, or will be without the next beat; `now` as of is_stale.

    A process keeps several beacons alive. Whoever finds one of them stale may be earlier than the others are.
    """
    return _is_older(path, STALE_SECONDS - HEARTBEAT_SECONDS, now)


def _is_older(path: Path, seconds: float, now: float | None) -> bool:
    """Return whether a file or directory was not changed for so long; what is gone is not old.

    The times compared are both given by the file server. Opening the file makes an NFS client ask it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            modified = os.fstat(descriptor).st_mtime
        finally:
            os.close(descriptor)
        return (file_server_now(path.parent) if now is None else now) - modified > seconds
    except FileNotFoundError:
        return False


def _beat_quietly(beacon: Beacon, done: int, total: int | None) -> None:
    try:
        beacon.beat(done, total)
    except OSError:
        # The volume is in trouble. The work itself meets it too, and says so where a user can see it.
        return
