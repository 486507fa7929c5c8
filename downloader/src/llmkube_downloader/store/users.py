"""Who uses a key, as far as the volume knows."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkube_downloader.store.beacon import is_stale
from llmkube_downloader.store.disk import file_server_now, names_in
from llmkube_downloader.store.layout import nonce
from llmkube_downloader.store.pins import is_pinned
from llmkube_downloader.store.user import INTENT, LEASE, RECORD_BYTES, record_of
from llmkube_downloader.units import human_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from llmkube_downloader.store.layout import Layout

# A pod that nothing was heard of for so long may be gone.
USE_SECONDS = 7 * 86400.0
# A lease that long unheard of is of no interest to anybody.
_FORGOTTEN_SECONDS = 30 * 86400.0
# Leases on their way out: .swept.<nonce>.<pod>
_SWEPT = ".swept."
# What a process that dies may leave behind: its intent, its question for the time, a stale lease it was taking away.
_LEFTOVERS = (INTENT, ".probe.", "build.stale.")


@dataclass(frozen=True)
class Use:
    """The use lease of a pod. Times are those of the file server, in seconds.

    - path: the file.
    - pod: the pod's UID.
    - host: its name, or that of the machine; empty when unknown.
    - since: when the pod first used the key; 0 when unknown.
    - entries: the names of those entries of the key that it may have open; None for all of them.
    - renewed: when it last said that it uses the key.
    """

    path: Path
    pod: str
    host: str
    since: float
    entries: frozenset[str] | None
    renewed: float

    def is_live(self, now: float) -> bool:
        """Return whether the lease counts."""
        return now - self.renewed <= USE_SECONDS

    def may_have(self, entry_name: str) -> bool:
        """Return whether the pod may have an entry open."""
        return self.entries is None or entry_name in self.entries

    def in_words(self, now: float) -> str:
        """Return who holds the lease, and how old it is."""
        name = f"pod {self.host} ({self.pod})" if self.host else f"pod {self.pod}"
        return f"{name}, seen {human_duration(max(now - self.renewed, 0.0))} ago"


def uses(layout: Layout, key: str) -> list[Use]:
    """Return all use leases of a key, also those that no longer count."""
    directory = layout.leases(key)
    found = []
    for name in names_in(directory):
        if name.startswith(LEASE):
            with suppress(FileNotFoundError):
                found.append(_read(directory / name))
    return found


def who_uses(layout: Layout, key: str, counts: Callable[[Use], bool] = lambda _: True) -> list[str]:
    """Return in words who uses a key now, read freshly.

    - counts: which of the live leases count.

    Raises OSError: when the volume can not be written, which reading freshly needs.
    """
    now = fresh_now(layout, key)
    live = [use for use in uses(layout, key) if use.is_live(now) and counts(use)]
    return [use.in_words(now) for use in live] + (["a pin"] if is_pinned(layout, key) else [])


def fresh_now(layout: Layout, key: str) -> float:
    """Return the time of the file server, in seconds, after making sure that a key's leases are read freshly.

    Raises OSError: when the volume can not be written.
    """
    directory = layout.leases(key)
    directory.mkdir(parents=True, exist_ok=True)
    # Creating a file makes an NFS client forget what it remembers of the directory.
    return file_server_now(directory)


def sweep(layout: Layout, key: str) -> None:
    """Remove what the dead left among the leases of a key: intents, probes, and leases of a month ago.

    The youngest lease stays: it tells when the key was last used. Only the holder of the build lease calls this.

    Raises OSError: when the volume can not be written.
    """
    now = fresh_now(layout, key)
    directory, leases = layout.leases(key), uses(layout, key)
    newest = last_used(leases)
    for use in leases:
        if _is_forgotten(use, now) and use.renewed != newest:
            # Its pod may renew it at this moment: then it is found here, or a new one is created there.
            use.path.rename(directory / f"{_SWEPT}{nonce()}.{use.pod}")
    for name in names_in(directory):
        if name.startswith(_SWEPT):
            _forget(directory / name, now)
        elif _is_leftover(directory / name):
            (directory / name).unlink(missing_ok=True)


def _forget(swept: Path, now: float) -> None:
    """Unlink a lease that was moved away, unless it was renewed meanwhile and its pod has no other."""
    use = _read(swept)
    home = swept.with_name(f"{LEASE}{use.pod}")
    if _is_forgotten(use, now) or home.name in names_in(swept.parent):
        swept.unlink(missing_ok=True)
    else:
        swept.rename(home)


def _is_forgotten(use: Use, now: float) -> bool:
    return now - use.renewed > _FORGOTTEN_SECONDS


def _is_leftover(path: Path) -> bool:
    return path.name.startswith(_LEFTOVERS) and is_stale(path)


def last_used(leases: Iterable[Use]) -> float | None:
    """Return when a key was last used; None when no lease tells."""
    return max((use.renewed for use in leases), default=None)


def _read(path: Path) -> Use:
    # Opening it makes an NFS client ask for its time. What the client remembers may be from before it was renewed.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        renewed, record = os.fstat(descriptor).st_mtime, record_of(os.read(descriptor, RECORD_BYTES)) or {}
    finally:
        os.close(descriptor)
    pod = path.name.split(".", 3)[3] if path.name.startswith(_SWEPT) else path.name.removeprefix(LEASE)
    entries = None if record.get("opening", True) or record["entries"] is None else frozenset(record["entries"])
    return Use(path, pod, str(record.get("host", "")), float(record.get("since", 0)), entries, renewed)
