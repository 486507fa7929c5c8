"""The build lease: who fetches a key now. It saves bandwidth; nothing depends on it for being right."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic, sleep
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.beacon import Beacon, Heartbeat, read_record
from llmkube_downloader.store.disk import names_in, refresh_names, storage_errors
from llmkube_downloader.store.entry import Entry, State, look
from llmkube_downloader.store.layout import nonce
from llmkube_downloader.store.life import Life, life_of
from llmkube_downloader.units import human_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llmkube_downloader.store.layout import Layout

POLL_SECONDS = 1.0
_TELL_SECONDS = 10.0
_BUILD = "build"
_STOLEN = "build.stale."


@dataclass
class _Wait:
    """How long a starter waits for another one, and when it last said so."""

    limit: float
    notify: Callable[[str], None]
    began: float = 0.0
    told: float = float("-inf")

    def tell(self, holder: str) -> None:
        now = monotonic()
        if now - self.told >= _TELL_SECONDS:
            self.told = now
            self.notify(f"{holder} fetches the same; waiting since {human_duration(now - self.began)}")


def take_or_join(
    layout: Layout,
    key: str,
    limit: float,
    notify: Callable[[str], None],
    suits: Callable[[Entry], bool] = lambda entry: True,
) -> Beacon | Entry:
    """Return the build lease of a key, or the complete entry that its holder published while we waited.

    - suits: whether a complete entry is what is wanted.

    Raises DownloaderError: DELETED_OR_LOCK_TIMEOUT, when another one held the lease for ``limit`` seconds.
    """
    wait = _Wait(limit, notify, monotonic())
    with storage_errors(f"taking the build lease of {key} in {layout.leases(key)}"):
        while True:
            lease = try_take(layout, key)
            entry = _look_freshly(layout, key)
            if entry.state is State.COMPLETE and suits(entry):
                if lease:
                    lease.withdraw()
                return entry
            if lease:
                return lease
            _wait_for_holder(layout, key, wait)


def take(layout: Layout, key: str, limit: float, notify: Callable[[str], None]) -> Beacon:
    """Return the build lease of a key, whatever entry is there.

    Raises DownloaderError: DELETED_OR_LOCK_TIMEOUT, when another one held the lease for ``limit`` seconds.
    """
    wait = _Wait(limit, notify, monotonic())
    with storage_errors(f"taking the build lease of {key} in {layout.leases(key)}"):
        while (lease := try_take(layout, key)) is None:
            _wait_for_holder(layout, key, wait)
        return lease


def try_take(layout: Layout, key: str) -> Beacon | None:
    """Return the build lease of a key, or None when a live process holds it."""
    directory = layout.leases(key)
    directory.mkdir(parents=True, exist_ok=True)
    path, names = directory / _BUILD, names_in(directory)
    if _BUILD in names:
        _take_away_if_abandoned(path)
    for name in names:
        if name.startswith(_STOLEN):
            # Whoever took it away was killed.
            (directory / name).unlink(missing_ok=True)
    try:
        return Beacon(path)
    except FileExistsError:
        return None


@contextmanager
def held(lease: Beacon, progress: Callable[[], tuple[int, int | None]]) -> Iterator[Heartbeat]:
    """Keep a lease alive in the block, telling others ``progress()``, and give it back at the end."""
    heartbeat = Heartbeat(progress)
    try:
        heartbeat.keep(lease)
        heartbeat.start()
        yield heartbeat
    finally:
        heartbeat.stop()
        lease.withdraw()


def holder_of(layout: Layout, key: str) -> str | None:
    """Return who holds the live build lease of a key, in words, or None."""
    path = layout.leases(key) / _BUILD
    if _BUILD not in names_in(path.parent) or not _is_live(path):
        return None
    record = read_record(path)
    host = record.get("host", "another process")
    return f"{host} ({100 * record['done'] // record['total']} % done)" if record.get("total") else host


def is_abandoned(layout: Layout, key: str) -> bool:
    """Return whether the build lease of a key is there, and its holder is not."""
    return _BUILD in names_in(layout.leases(key)) and holder_of(layout, key) is None


def _is_live(path: Path) -> bool:
    try:
        return life_of(path) is Life.LIVE
    except FileNotFoundError:
        return False


def _take_away_if_abandoned(path: Path) -> None:
    """Take a lease away whose holder is gone. A rename has one winner; the others find the name gone.

    Looking takes time, in which another one may have taken over already: what is taken then is the lease of a live
    process, which gets it back.
    """
    judged = _nonce(path)
    if _is_live(path) or _nonce(path) != judged:
        return
    stolen = path.with_name(f"{_STOLEN}{nonce()}")
    try:
        path.rename(stolen)
    except FileNotFoundError:
        return
    if _nonce(stolen) != judged:
        # Nothing to be done about where the name is taken again, or there are no hard links: both then download.
        with suppress(OSError):
            path.hardlink_to(stolen)
    stolen.unlink(missing_ok=True)


def _nonce(path: Path) -> str | None:
    """Return what tells one lease from all others; None of one that is gone or whose writer had no time to say it."""
    return read_record(path).get("nonce")


def _look_freshly(layout: Layout, key: str) -> Entry:
    entry = look(layout, key)
    if entry.state is State.ABSENT and key in names_in(layout.root):
        # The directory lists a name that cannot be opened yet: the client still remembers its absence.
        refresh_names(layout.root)
        entry = look(layout, key)
    return entry


def _wait_for_holder(layout: Layout, key: str, wait: _Wait) -> None:
    holder = holder_of(layout, key) or "another process"
    if monotonic() - wait.began >= wait.limit:
        raise DownloaderError(
            ExitCode.DELETED_OR_LOCK_TIMEOUT,
            f"gave up after {human_duration(wait.limit)} of waiting for {holder}, which fetches {key}",
            "Start again later, or allow more time with --lock-wait.",
        )
    wait.tell(holder)
    sleep(POLL_SECONDS)
