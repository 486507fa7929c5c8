"""Does the writer of a beacon live? What dead processes left can be gone on with, but only when their death is proven.

An old beacon proves nothing: its writer may be frozen, and write on when it thaws. Proof is one of these: it said
itself that it ends; it ran in this container or pod before us; it ran on this machine before it was switched on again;
or the lock that it held on its beacon is free. The last one counts on local file systems alone, where nobody else can
hold it.
"""

from __future__ import annotations

import enum
import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmkube_downloader.store.beacon import is_nearly_stale, is_stale, me, read_record, started_at
from llmkube_downloader.store.disk import names_in
from llmkube_downloader.store.layout import OWNER
from llmkube_downloader.store.mounts import file_system_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

# File systems of one machine. On all others a lock may be granted to everybody.
_LOCAL = frozenset(("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "tmpfs", "overlay"))


class Life(enum.Enum):
    """What is known about the writer of a beacon."""

    LIVE = "live"
    STALE = "stale"
    DEAD = "dead"


def life_of(beacon: Path, is_silent: Callable[[Path], bool] = is_stale) -> Life:
    """Return whether the writer of a beacon lives, was silent for too long, or is proven dead.

    - is_silent: whether that is too long.

    Raises FileNotFoundError: when there is no such beacon.
    """
    record = read_record(beacon)
    if record and (record.get("released") or _is_dead(beacon, record)):
        return Life.DEAD
    if is_silent(beacon):
        return Life.STALE
    # What is gone reads as empty and is not stale; nobody is to wait for it.
    beacon.stat()
    return Life.LIVE


def life_of_attempt(directory: Path, now: float | None = None) -> Life:
    """Return what is known about the writer of an attempt, or of another directory with an owner.

    - now: the file server's time in seconds, where nothing may be written into the directory to ask for it.

    Raises OSError: where nothing can be written, the time of the file server can not be asked for.
    """
    if OWNER in names_in(directory):
        with suppress(FileNotFoundError):
            # Its writer held a lease as well, which was found stale. So would this be a moment later.
            return life_of(directory / OWNER, lambda owner: is_nearly_stale(owner, now))
    # Between creating the directory and the record lies a moment; only an old one without a record is dead.
    return Life.STALE if is_stale(directory, now) else Life.LIVE


def _is_dead(beacon: Path, record: Mapping[str, Any]) -> bool:
    if file_system_type(beacon) in _LOCAL:
        return _lock_is_free(beacon)
    mine = me()
    if record.get("bootId") == mine["bootId"] and record.get("pidNamespace") == mine["pidNamespace"]:
        return not _runs(record)
    same_pod = bool(mine["podUID"]) and record.get("podUID") == mine["podUID"]
    same_node = bool(mine["node"]) and record.get("node") == mine["node"]
    before_us = same_pod or (same_node and record.get("bootId") != mine["bootId"])
    # Two containers of a pod, or two virtual machines on a node, may both live: these only count for who is silent too.
    return before_us and is_stale(beacon)


def _runs(record: Mapping[str, Any]) -> bool:
    return started_at(int(record.get("pid", 0))) == record.get("started")


def _lock_is_free(beacon: Path) -> bool:
    """Try the lock that a beacon's writer holds. An empty beacon is about to be locked and never comes here."""
    try:
        descriptor = os.open(beacon, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
