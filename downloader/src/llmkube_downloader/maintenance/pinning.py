"""Keeping entries on the volume: pins that users set, and leases that pods hold."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NoReturn

from llmkube_downloader.maintenance.keys import checked_key, no_entry, opened
from llmkube_downloader.report import SCHEMA
from llmkube_downloader.store.disk import storage_errors
from llmkube_downloader.store.generations import generations
from llmkube_downloader.store.pins import lift_pin, set_pin
from llmkube_downloader.store.use import await_removal, check_pod, renew_use

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmkube_downloader.store.layout import Layout

RENEW_SECONDS = 3600.0


def pin(root: Path, key: str, notify: Callable[[str], None]) -> dict[str, Any]:
    """Keep a key from being removed, as ``pin -o json`` shows it.

    - notify: told what is being waited for.

    Raises DownloaderError: NOT_FOUND, when the key has no entry; VOLUME.
    """
    layout = opened(root)
    with storage_errors(f"pinning {checked_key(key)} in {root}"):
        set_pin(layout, key)
        # As a starter does: a removal either finds the pin, or is found here.
        await_removal(layout, key, notify)
        if not generations(layout, key):
            lift_pin(layout, key)
            raise no_entry(layout, key)
    return _report(root, key, pinned=True)


def unpin(root: Path, key: str) -> dict[str, Any]:
    """Let a key be removed again, as ``unpin -o json`` shows it.

    Raises DownloaderError: NOT_FOUND, when the key has neither an entry nor a pin; VOLUME.
    """
    layout = opened(root)
    with storage_errors(f"unpinning {checked_key(key)} in {root}"):
        if not lift_pin(layout, key) and not generations(layout, key):
            raise no_entry(layout, key)
    return _report(root, key, pinned=False)


def take_hold(root: Path, key: str, pod: str, notify: Callable[[str], None]) -> Layout:
    """Write the use lease of a pod, and return the layout to keep it with.

    - notify: told what is being waited for.

    Raises DownloaderError: NOT_FOUND, when there is no root; USAGE; VOLUME, when it can not be written.
    """
    layout = opened(root)
    check_pod(pod)
    with storage_errors(f"writing the use lease of {checked_key(key)} in {layout.leases(key)}"):
        renew_use(layout, key, pod)
        await_removal(layout, key, notify)
    return layout


def keep_hold(layout: Layout, key: str, pod: str, notify: Callable[[str], None]) -> NoReturn:
    """Renew the use lease of a pod until a signal ends the process.

    - notify: told when the lease could not be renewed; it is tried again an hour later, a lease counts for 7 days.
    """
    while True:
        time.sleep(RENEW_SECONDS)
        try:
            renew_use(layout, key, pod)
        except OSError as error:
            notify(f"the use lease of {key} can not be renewed: {error.strerror}")


def _report(root: Path, key: str, *, pinned: bool) -> dict[str, Any]:
    return {"schema": SCHEMA, "root": str(root), "key": key, "pinned": pinned}
