"""Publication: the one rename that makes a whole entry visible."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.disk import storage_errors, sync_directory, write_durably
from llmkube_downloader.store.entry import Entry, State, inspect
from llmkube_downloader.store.layout import MANIFEST_NAME, STATES_NAME
from llmkube_downloader.store.staging import deleted_meanwhile
from llmkube_downloader.store.trash import quarantine

if TYPE_CHECKING:
    from llmkube_downloader.store.layout import Layout
    from llmkube_downloader.store.manifest import Manifest

_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.EACCES)


def publish(
    layout: Layout, files: Path, manifest: Manifest, states: bytes = b"", entry: Path | None = None
) -> Manifest:
    """Make the files of an attempt the entry of the manifest's key; they are already synced.

    - states: the SHA-256 states of all files, whose hash the manifest holds.
    - entry: where to, when it is not the first generation of its key.

    Returns the manifest of the entry now visible: this one, or that of another attempt that was faster. A damaged entry
    in the way moves to the quarantine.

    Raises DownloaderError: DELETED_OR_LOCK_TIMEOUT, when somebody removed the attempt meanwhile; POLICY, when the name
    is taken by files that llmkube did not write.
    """
    entry = entry or layout.entry(manifest.key)
    with storage_errors(f"publishing {entry}"):
        try:
            if states:
                write_durably(files / STATES_NAME, states)
            write_durably(files / MANIFEST_NAME, manifest.dump())
            _sync_tree(files)
            if _rename_into(files, entry):
                _sync_names(entry, files)
            else:
                manifest = _join_winner(layout, files, entry, manifest)
        except FileNotFoundError as error:
            raise deleted_meanwhile(files) from error
    return manifest


def refuse_foreign(layout: Layout, entry: Entry, why: str = "") -> None:
    """Refuse to take the name of a directory that is not ours to move.

    - why: what it is not used for, where somebody has looked.

    Raises DownloaderError: POLICY.
    """
    if entry.state is State.FOREIGN:
        raise DownloaderError(
            ExitCode.POLICY,
            f"{entry.path} holds files that llmkube-downloader did not write" + (f": {why}" if why else ""),
            f"Move the directory away, or remove it: llmkube-downloader remove --root {layout.root} "
            f"{entry.key} --force",
        )


def _rename_into(files: Path, entry: Path) -> bool:
    """Rename, and return whether that was possible; a directory with files in it is never replaced."""
    try:
        files.rename(entry)
    except OSError as error:
        if error.errno in _OCCUPIED and entry.is_dir():
            return False
        raise
    return True


def _join_winner(layout: Layout, files: Path, entry: Path, manifest: Manifest) -> Manifest:
    winner = inspect(entry, manifest.key)
    if winner.state is State.DAMAGED:
        quarantine(layout, winner)
        winner = inspect(entry, manifest.key)
    if winner.state is State.COMPLETE and winner.manifest:
        return winner.manifest
    refuse_foreign(layout, winner)
    files.rename(entry)
    _sync_names(entry, files)
    return manifest


def _sync_names(entry: Path, files: Path) -> None:
    sync_directory(entry.parent)
    with suppress(FileNotFoundError):
        sync_directory(files.parent)


def _sync_tree(files: Path) -> None:
    for directory, _, _ in os.walk(files, topdown=False):
        sync_directory(Path(directory))
