"""Removing directories: first out of sight by a rename, then file by file."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from llmkube_downloader.store.condemned import finish_removals, is_condemned
from llmkube_downloader.store.disk import names_in
from llmkube_downloader.store.entry import State, inspect
from llmkube_downloader.store.layout import nonce

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.store.entry import Entry
    from llmkube_downloader.store.layout import Layout


def discard(layout: Layout, directory: Path) -> None:
    """Rename a directory into the trash and remove it there.

    Raises OSError: when the rename fails. What can not be unlinked, such as a file that an NFS client still has open,
    stays in the trash for the next call of empty_trash.
    """
    target = move_away(layout, directory)
    if target:
        shutil.rmtree(target, ignore_errors=True)


def move_away(layout: Layout, directory: Path) -> Path | None:
    """Rename a directory into the trash and return where it is now; None when it is gone already.

    Raises OSError: when the rename fails.
    """
    layout.trash.mkdir(parents=True, exist_ok=True)
    target = layout.trash / f"{directory.name}.{nonce()}"
    try:
        directory.rename(target)
    except FileNotFoundError:
        return None
    return target


def empty_trash(layout: Layout) -> None:
    """Remove what earlier calls could not, and finish the removals of those who died."""
    finish_removals(layout)
    for name in names_in(layout.trash):
        if not is_condemned(name):
            shutil.rmtree(layout.trash / name, ignore_errors=True)


def quarantine(layout: Layout, damaged: Entry) -> Path:
    """Move a damaged entry aside, so that its key is free, unless another one has its name by now; return where to.

    It is not removed: a running server may have its files mapped. Between the look that found it damaged and this lie,
    in a repair, hours; what is whole, and not what was looked at, is put back.

    Raises OSError.
    """
    layout.quarantine.mkdir(parents=True, exist_ok=True)
    target = layout.quarantine / f"{damaged.path.name}.{nonce()}"
    with suppress(FileNotFoundError):
        damaged.path.rename(target)
        moved = inspect(target, damaged.key or "")
        if moved.state is State.COMPLETE and moved.manifest != damaged.manifest:
            target.rename(damaged.path)
    return target
