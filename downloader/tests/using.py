"""Pods that use entries, and generations of them, for the tests of what may be removed."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from building import KEY, age, build

from llmkube_downloader.store.use import write_use
from llmkube_downloader.store.user import finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmkube_downloader.store.layout import Layout

POD = "11111111-2222-3333-4444-555555555555"
OTHER_POD = "66666666-7777-8888-9999-000000000000"
DAY = 86400.0
OTHER_KEY = "fedcba9876543210"
NONCE = "0" * 32
OPERATIONS = {"open", "os.scandir", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}
_listeners: list[tuple[str, Callable[[], None]]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _listeners and event in OPERATIONS and str(arguments[0]).startswith(_listeners[0][0]):
        listener = _listeners.pop()
        try:
            listener[1]()
        finally:
            _listeners.append(listener)


sys.addaudithook(_audit)


@contextmanager
def before_each_operation(directory: Path, call: Callable[[int], None]) -> Iterator[None]:
    """Call with 0, 1, 2... before each operation of the block on a name below a directory."""
    numbers = count()
    _listeners.append((str(directory), lambda: call(next(numbers))))
    try:
        yield
    finally:
        _listeners.clear()


def publish_entry(layout: Layout) -> Path:
    """Make an entry of the key, with nothing beside it, and return its directory."""
    build(layout)
    shutil.rmtree(layout.staging(KEY))
    return layout.root / KEY


def lease(layout: Layout, pod: str = POD, days: float = 0, key: str = KEY, opened: Path | None = None) -> Path:
    """Write the use lease of a pod as it was so many days ago.

    - opened: the entry that the pod opened then; without one it was just about to open one.
    """
    write_use(layout, key, pod)
    if opened:
        finish(str(layout.root), key, pod, opened.name)
    path = layout.leases(key) / f"use.{pod}"
    age(path, days * DAY)
    return path


def supersede(layout: Layout, suffix: str, days: float = 0, key: str = KEY) -> Path:
    """Make what is the entry of a key its newest generation, and return its directory."""
    newest = layout.root / f"{key}-{suffix}"
    (layout.root / key).rename(newest)
    refer(layout, newest.name, days)
    return newest


def refer(layout: Layout, name: str, days: float = 0) -> None:
    """Say that starters open an entry, since so many days ago."""
    key = name[:16]
    layout.refs(key).mkdir(parents=True, exist_ok=True)
    ref = layout.refs(key) / f"{len(list(layout.refs(key).iterdir())) + 1:08}-{name}"
    ref.touch()
    age(ref, days * DAY)


def left_in(directory: Path) -> list[str]:
    """Return the names in a directory, none where there is none."""
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def is_gone(layout: Layout) -> bool:
    """Return whether nothing is left of any key, nor of its removal; a stale build lease is the next one's to take."""
    leases = [name for name in left_in(layout.leases(KEY)) if not name.startswith(("use.", "build"))]
    kept = (layout.trash, layout.quarantine, layout.all_staging, layout.pin(KEY).parent, layout.refs(KEY))
    return left_in(layout.root) == [".llmkube"] and not leases and not any(left_in(directory) for directory in kept)


def names_below(layout: Layout) -> list[str]:
    """Return everything on the volume but leases."""
    found = (path for path in layout.root.rglob("*") if path.parent == layout.root or path.is_file())
    return sorted(str(path) for path in found if layout.all_leases not in path.parents)
