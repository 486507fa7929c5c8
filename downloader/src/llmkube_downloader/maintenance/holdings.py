"""Everything on a volume that prune may remove, with who keeps it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from llmkube_downloader.maintenance.listing import bytes_of
from llmkube_downloader.maintenance.planning import Item, Kind
from llmkube_downloader.store.disk import names_in, size_of_tree, storage_errors
from llmkube_downloader.store.entry import Entry, State, survey
from llmkube_downloader.store.generations import current, is_newer
from llmkube_downloader.store.lease import holder_of
from llmkube_downloader.store.pins import is_pinned
from llmkube_downloader.store.users import last_used, uses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from llmkube_downloader.store.layout import Layout
    from llmkube_downloader.store.users import Use

# An NFS client may have shown a starter what was current a minute before.
_SLACK_SECONDS = 60.0


@dataclass(frozen=True)
class Scope:
    """What a caller of prune knows and the volume does not tell.

    - only: keys to touch nothing beside; None for no such limit.
    - gone_pods: UIDs of pods that exist no more; their leases do not count.
    """

    only: frozenset[str] | None = None
    gone_pods: frozenset[str] = frozenset()

    def counts(self, use: Use) -> bool:
        """Return whether a lease is a reason to keep what its pod may use."""
        return use.pod not in self.gone_pods


@dataclass(frozen=True)
class _Key:
    """What is known of a key.

    - users: leases that count.
    - last: when it was last used; None when no lease tells.
    - current: the entry that starters open, and since when; None when no entry is complete.
    - pinned, fetched: whether it is.
    - meant: whether it may be touched at all.
    """

    users: tuple[Use, ...]
    last: float | None
    current: tuple[str, float] | None
    pinned: bool
    fetched: bool
    meant: bool


def holdings(layout: Layout, now: float, scope: Scope) -> list[Item]:
    """Return what is ours on a volume; directories of others are left out.

    - now: seconds of the file server.
    - scope: what of it may be touched.

    Raises DownloaderError: VOLUME; USAGE for an entry of a newer version.
    """

    @cache
    def of(key: str) -> _Key:
        return _read_key(layout, key, now, scope)

    with storage_errors(f"reading {layout.root}"):
        return [
            item
            for entry in survey(layout)
            if entry.key and entry.state is not State.FOREIGN
            for item in _items(layout, entry, entry.key, of(entry.key))
        ]


def _read_key(layout: Layout, key: str, now: float, scope: Scope) -> _Key:
    leases = uses(layout, key)
    return _Key(
        users=tuple(use for use in leases if use.is_live(now) and scope.counts(use)),
        last=last_used(leases),
        current=current(layout, key),
        pinned=is_pinned(layout, key),
        fetched=holder_of(layout, key) is not None,
        meant=scope.only is None or key in scope.only,
    )


def _items(layout: Layout, entry: Entry, key: str, known: _Key) -> Iterator[Item]:
    if entry.state is State.PARTIAL:
        for name in names_in(entry.path):
            yield _attempt(entry.path / name, key, known)
    elif entry.path.parent == layout.quarantine:
        moved = entry.path.stat().st_ctime
        # Another one may have its name by now, so what a lease names tells nothing of it.
        users = [use for use in known.users if use.since <= moved + _SLACK_SECONDS]
        yield Item(entry.path, key, Kind.DAMAGED, bytes_of(entry), moved, _kept(known, users, pinned=False))
    else:
        yield _entry(layout, entry, key, known)


def _attempt(path: Path, key: str, known: _Key) -> Item:
    # The writer of a live one rewrites a file in it every few seconds.
    touched = max(each.stat().st_mtime for each in (path, *path.iterdir()))
    return Item(path, key, Kind.ATTEMPT, size_of_tree(path), touched, _kept(known, (), pinned=False))


def _entry(layout: Layout, entry: Entry, key: str, known: _Key) -> Item:
    name, since = known.current or (entry.path.name, 0.0)
    if is_newer(layout, key, entry.path.name, than=name):
        # It is damaged, or starters would open it; those that came before the damage may have it open.
        kept, changed = _kept(known, known.users, pinned=known.pinned), entry.path.stat().st_ctime
        return Item(entry.path, key, Kind.DAMAGED, bytes_of(entry), changed, kept)
    if entry.path.name != name:
        users = [use for use in known.users if use.may_have(entry.path.name)]
        kept = _kept(known, users, pinned=known.pinned)
        return Item(entry.path, key, Kind.SUPERSEDED, bytes_of(entry), since, kept)
    created = _created(entry)
    used = created if known.last is None else max(known.last, created)
    return Item(entry.path, key, Kind.ENTRY, bytes_of(entry), used, _kept(known, known.users, pinned=known.pinned))


def _kept(known: _Key, users: Sequence[Use], *, pinned: bool) -> str:
    """Return why something of a key must not be removed; empty, when it may.

    - users: those who may have it open.
    """
    if not known.meant:
        return "it is not among the keys of --only"
    if pinned:
        return "it is pinned"
    if known.fetched:
        return "it is being fetched"
    return f"{len(users)} pod{'s' if len(users) > 1 else ''} may use it" if users else ""


def _created(entry: Entry) -> float:
    if entry.manifest:
        with suppress(ValueError):
            return datetime.fromisoformat(entry.manifest.created).timestamp()
    return entry.path.stat().st_mtime
