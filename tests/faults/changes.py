"""What tests change about a downloader, within its process."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

# Seconds after which the impatient take over.
STALE_SECONDS = 1.0


def grant_leases() -> None:
    """Let this process get every build lease."""
    from llmkube_downloader.store import lease
    from llmkube_downloader.store.beacon import Beacon
    from llmkube_downloader.store.layout import Layout, nonce

    def take(layout: Layout, key: str) -> Beacon:
        layout.leases(key).mkdir(parents=True, exist_ok=True)
        return Beacon(layout.leases(key) / f"build.{nonce()}")

    _replace(lease, "try_take", take)


def grant_everything() -> None:
    """Let this process get every lock that it asks for, at once and without keeping anybody else out."""
    grant_leases()
    _replace(fcntl, "flock", lambda *_: None)
    _replace(fcntl, "lockf", lambda *_: None)


def prove_nothing() -> None:
    """Let this process see no proof that another one is dead."""
    from llmkube_downloader.store import life

    _replace(life, "_is_dead", lambda *_: False)


def grow_impatient() -> None:
    """Let this process take others for dead soon, and beat and look as much more often."""
    from llmkube_downloader.store import beacon, lease

    _replace(beacon, "STALE_SECONDS", STALE_SECONDS)
    _replace(beacon, "HEARTBEAT_SECONDS", STALE_SECONDS / 6)
    _replace(lease, "POLL_SECONDS", STALE_SECONDS / 10)


def _replace(module: ModuleType, name: str, value: object) -> None:
    """Replace what has to be there."""
    getattr(module, name)
    setattr(module, name, value)
