"""Removing entries that others may be about to start from.

1. Take the build lease, so that nobody fetches the key anew meanwhile, and write an intent.
2. Look for users. Whoever comes later finds the intent, and waits.
3. Move everything out of sight by renames, in which it stays whole.
4. Look again: an NFS client may have read its directory before the intent was in it. If somebody came, all is put back.
5. Give it up. The names are free from here on; now the files are unlinked.

A remover may die anywhere: see condemned.py for who goes on.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.beacon import Beacon
from llmkube_downloader.store.condemned import REFS, condemn, give_up, put_back
from llmkube_downloader.store.disk import NO_SPACE, create_exclusively, size_of_tree, storage_errors
from llmkube_downloader.store.layout import nonce
from llmkube_downloader.store.lease import holder_of, try_take
from llmkube_downloader.store.pins import lift_pin
from llmkube_downloader.store.trash import move_away
from llmkube_downloader.store.use import INTENT_SECONDS
from llmkube_downloader.store.user import INTENT
from llmkube_downloader.store.users import Use, sweep, who_uses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from llmkube_downloader.store.layout import Layout

_NAMED = 5


@dataclass(frozen=True)
class Doomed:
    """What of a key is to be removed.

    - key: the key.
    - names: entries below the root.
    - rest: directories of the key that no server reads: attempts, damaged copies.
    - whole: the key goes as a whole: its refs and its pin go as well.
    - counts: which leases of pods are a reason not to remove it.
    - is_due: whether the reason to remove it still holds.
    """

    key: str
    names: tuple[str, ...]
    rest: tuple[Path, ...] = ()
    whole: bool = True
    counts: Callable[[Use], bool] = lambda _: True
    is_due: Callable[[], bool] = lambda: True


def remove_all(layout: Layout, doomed: Sequence[Doomed], *, force: bool) -> int:
    """Remove entries, all of them or none; return the bytes that the volume does not give back yet.

    - force: whoever uses them.

    Raises DownloaderError: POLICY, naming who uses or fetches one of them; VOLUME.
    """
    with storage_errors(f"removing from {layout.root}"), ExitStack() as stack:
        removals = [stack.enter_context(_begun(layout, each, force=force)) for each in doomed]
        try:
            for removal in removals:
                removal.refuse_users()
            for removal in removals:
                removal.condemn()
            for removal in removals:
                removal.refuse_users()
        except BaseException:
            for removal in removals:
                removal.put_back()
            raise
        given_up = [path for removal in removals for path in removal.give_up()]
    # Nobody waits any more while the files are unlinked, which takes seconds for large ones.
    return _unlink(given_up)


class _Removal:
    """One removal under way."""

    def __init__(self, layout: Layout, doomed: Doomed, intent: _Intent, *, force: bool) -> None:
        self._layout = layout
        self._doomed = doomed
        self._intent = intent
        self._force = force

    def refuse_users(self) -> None:
        """Raise DownloaderError: POLICY, when somebody uses the key, read freshly, or will."""
        if not self._doomed.is_due():
            raise DownloaderError(
                ExitCode.POLICY,
                f"{', '.join(self._doomed.names)} is what pods are to start from again",
                "Nothing has to be done.",
            )
        if not self._force and (users := who_uses(self._layout, self._doomed.key, self._doomed.counts)):
            raise in_use(self._doomed.key, users)

    def condemn(self) -> None:
        """Move everything out of sight."""
        if self._intent.is_over():
            raise DownloaderError(
                ExitCode.VOLUME,
                f"{self._layout.root} answered so slowly that {self._doomed.key} may be in use again",
                "Try again when the volume is healthy.",
            )
        for name in (*self._doomed.names, *([REFS] if self._doomed.whole else [])):
            condemn(self._layout, self._doomed.key, self._intent.nonce, name)

    def put_back(self) -> None:
        """Move everything back; what can not be moved now is moved by the next one who comes by."""
        with suppress(OSError):
            put_back(self._layout, self._doomed.key, self._intent.nonce)

    def give_up(self) -> list[Path]:
        """Free the names for good, and return the directories whose files are to be unlinked."""
        layout, doomed = self._layout, self._doomed
        given_up = give_up(layout, doomed.key, self._intent.nonce)
        given_up += [path for directory in doomed.rest if (path := move_away(layout, directory))]
        if doomed.whole:
            lift_pin(layout, doomed.key)
        return given_up


class _Intent:
    """The file that makes starters wait."""

    def __init__(self, layout: Layout, key: str) -> None:
        self.nonce = nonce()
        self._began = monotonic()
        self._path = layout.leases(key) / f"{INTENT}{self.nonce}"
        self._beacon = _beacon(self._path)

    def is_over(self) -> bool:
        """Return whether starters may soon take the writer for dead."""
        return monotonic() - self._began > INTENT_SECONDS / 2

    def withdraw(self) -> None:
        """Let starters go on."""
        if self._beacon:
            self._beacon.withdraw()
        with suppress(OSError):
            self._path.unlink()


def in_use(key: str, users: Sequence[str]) -> DownloaderError:
    """Return the error for a key that somebody uses."""
    more = f"; and {len(users) - _NAMED} more" if len(users) > _NAMED else ""
    return DownloaderError(
        ExitCode.POLICY,
        f"{key} is in use: {'; '.join(users[:_NAMED])}{more}",
        "Stop these pods and name those that are gone with --gone-pods (else a lease counts for 7 days), lift the pin "
        "with `unpin`, or remove it all the same with --force.",
    )


def being_fetched(key: str, holder: str) -> DownloaderError:
    """Return the error for a key that somebody fetches."""
    return DownloaderError(
        ExitCode.POLICY,
        f"{key} is being fetched by {holder}",
        "Wait for it to end, or remove it all the same with --force: the fetch then fails.",
    )


def remove_leftover(layout: Layout, key: str, directory: Path) -> int:
    """Remove what no starter opens, such as a dead attempt; return the bytes that the volume does not give back yet.

    Raises DownloaderError: POLICY, when the key is being fetched; VOLUME.
    """
    with storage_errors(f"removing {directory}"):
        lease = _take(layout, key, force=False)
        try:
            target = move_away(layout, directory)
        finally:
            if lease:
                lease.withdraw()
    return _unlink([target]) if target else 0


@contextmanager
def _begun(layout: Layout, doomed: Doomed, *, force: bool) -> Iterator[_Removal]:
    lease = _take(layout, doomed.key, force=force)
    try:
        sweep(layout, doomed.key)
        intent = _Intent(layout, doomed.key)
        try:
            yield _Removal(layout, doomed, intent, force=force)
        finally:
            intent.withdraw()
    finally:
        if lease:
            lease.withdraw()


def _take(layout: Layout, key: str, *, force: bool) -> Beacon | None:
    """Take the build lease. Force, and a full volume, do without: who builds the key meanwhile then ends with 20."""
    try:
        lease = try_take(layout, key)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        if (holder := holder_of(layout, key)) and not force:
            raise being_fetched(key, holder) from error
        return None
    if lease is None and not force:
        raise being_fetched(key, holder_of(layout, key) or "another process")
    return lease


def _unlink(directories: Sequence[Path]) -> int:
    """Unlink directories and return the bytes of what is left, which a later emptying of the trash takes care of."""
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
    return sum(size_of_tree(directory) for directory in directories)


def _beacon(path: Path) -> Beacon | None:
    """Create a beacon; on a full volume an empty file, which says no less to who waits."""
    try:
        return Beacon(path)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        os.close(create_exclusively(path))
        return None
