"""What is on a volume, and who uses it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from llmkube_downloader.report import SCHEMA, usage_json
from llmkube_downloader.store.disk import size_of_tree, storage_errors
from llmkube_downloader.store.entry import Entry, State, survey
from llmkube_downloader.store.layout import Layout
from llmkube_downloader.store.pins import is_pinned
from llmkube_downloader.store.users import last_used, uses
from llmkube_downloader.store.volume import check_format, usage

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class _Usage:
    """How a key is used.

    - pods: the UIDs of the pods whose leases count.
    - last: in seconds of the file server; None when no lease tells.
    - users: how many of them may have the entry open.
    """

    pods: tuple[str, ...] = ()
    last: float | None = None
    users: int = 0
    pinned: bool = False


def list_entries(root: Path) -> dict[str, Any]:
    """Return what is on a volume, as ``list -o json`` shows it.

    Raises DownloaderError: NOT_FOUND, when there is no root; VOLUME; USAGE for a newer format.
    """
    layout = Layout(root)
    entries = survey(layout)
    check_format(layout)
    return {
        "schema": SCHEMA,
        "root": str(root),
        "volume": usage_json(usage(root)),
        "entries": [_entry_json(entry, _usage_of(layout, entry)) for entry in entries],
        "beside": _beside(layout),
    }


def _beside(layout: Layout) -> dict[str, int]:
    """Return the bytes below the root that are of no entry: what is on its way out or in, and files of others."""
    with storage_errors(f"reading {layout.root}"), os.scandir(layout.root) as found:
        return {
            "trash": size_of_tree(layout.trash),
            "adopting": size_of_tree(layout.adopting),
            "files": sum(map(_size_of_file, found)),
        }


def _size_of_file(found: os.DirEntry[str]) -> int:
    """Return the bytes of a file of others; 0 for a directory, what vanishes meanwhile, and what file servers hide."""
    with suppress(FileNotFoundError):
        if not found.name.startswith(".") and found.is_file(follow_symlinks=False):
            return found.stat(follow_symlinks=False).st_size
    return 0


def bytes_of(entry: Entry) -> int:
    """Return the bytes that an entry takes."""
    if entry.manifest and entry.state is State.COMPLETE:
        return entry.manifest.size
    with storage_errors(f"measuring {entry.path}"):
        return size_of_tree(entry.path)


def _usage_of(layout: Layout, entry: Entry) -> _Usage:
    """Return how the key of an entry is used; nobody opens what is not below the root under a key's name."""
    if entry.key is None:
        return _Usage()
    with storage_errors(f"reading {layout.leases(entry.key)}"):
        leases = uses(layout, entry.key)
        # Asking the file server for its time takes writing to it, and a list changes nothing. Nothing is decided here.
        pods = tuple(use.pod for use in leases if use.is_live(time.time()))
        if entry.path.parent != layout.root:
            return _Usage(pods)
        return _Usage(pods, last_used(leases), len(pods), is_pinned(layout, entry.key))


def _entry_json(entry: Entry, used: _Usage) -> dict[str, Any]:
    manifest = entry.manifest
    return {
        "key": entry.key,
        "entry": str(entry.path),
        "state": entry.state.value,
        "source": manifest.source if manifest else None,
        "revision": manifest.revision if manifest else None,
        "bytes": bytes_of(entry),
        "files": len(manifest.files) if manifest else None,
        "created": manifest.created if manifest else None,
        "lastUsed": None if used.last is None else _iso(used.last),
        "pinned": used.pinned,
        "users": used.users,
        "pods": sorted(used.pods),
        **({"problem": entry.problem} if entry.problem else {}),
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
