"""Pins: a key that has one is not removed, neither by `prune` nor by `remove` without force."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from llmkube_downloader.store.disk import names_in, write_durably

if TYPE_CHECKING:
    from llmkube_downloader.store.layout import Layout


def set_pin(layout: Layout, key: str) -> None:
    """Pin a key; one that is pinned stays so.

    Raises OSError: when the volume can not be written.
    """
    path = layout.pin(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"host": os.uname().nodename, "since": datetime.now(timezone.utc).isoformat(timespec="seconds")}
    with suppress(FileExistsError):
        write_durably(path, json.dumps(record).encode("ascii"))


def lift_pin(layout: Layout, key: str) -> bool:
    """Take the pin of a key away, and return whether there was one.

    Raises OSError: when the volume can not be written.
    """
    try:
        layout.pin(key).unlink()
    except FileNotFoundError:
        return False
    return True


def is_pinned(layout: Layout, key: str) -> bool:
    """Return whether a key is pinned."""
    return key in names_in(layout.pin(key).parent)
