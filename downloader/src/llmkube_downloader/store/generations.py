"""The generations of a key: entries of the same source as it was at different times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_downloader.store.completeness import key_of, names_of
from llmkube_downloader.store.disk import names_in
from llmkube_downloader.store.entry import State, look

if TYPE_CHECKING:
    from llmkube_downloader.store.layout import Layout


def generations(layout: Layout, key: str) -> list[str]:
    """Return the names of a key's entries below the root, the one that starters open last.

    Raises DownloaderError: as look does. Raises OSError: when the root can not be read.
    """
    newest = look(layout, key).path.name
    names = [name for name in names_in(layout.root) if key_of(name) == key]
    return sorted(names, key=lambda name: name == newest)


def is_newer(layout: Layout, key: str, name: str, than: str) -> bool:
    """Return whether starters would open an entry of a key rather than another one, if both were whole.

    Raises OSError: when the refs can not be read.
    """
    names = names_of(str(layout.root), key)
    return {name, than} <= set(names) and names.index(name) < names.index(than)


def is_superseded(layout: Layout, key: str, name: str) -> bool:
    """Return whether starters open another entry of a key, also when this one, condemned, is put back.

    Raises DownloaderError: as look does. Raises OSError: when the refs can not be read.
    """
    newest = current(layout, key)
    return newest is not None and newest[0] != name and not is_newer(layout, key, name, than=newest[0])


def current(layout: Layout, key: str) -> tuple[str, float] | None:
    """Return which entry of a key starters open, and since when they do.

    The time is that of the file server in seconds, 0 for the first generation. None, when no entry is complete.

    Raises DownloaderError: as look does. Raises OSError: when the refs can not be read.
    """
    entry = look(layout, key)
    if entry.state is not State.COMPLETE:
        return None
    refs = [name for name in names_in(layout.refs(key)) if name.partition("-")[2] == entry.path.name]
    return entry.path.name, (layout.refs(key) / refs[-1]).stat().st_mtime if refs else 0.0
