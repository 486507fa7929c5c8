"""Reading what is on the volume. Existence is never taken for completeness."""

from __future__ import annotations

import enum
import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.completeness import DamagedManifestError, key_of, names_of, problem_of
from llmkube_downloader.store.disk import names_in, read_small, storage_errors
from llmkube_downloader.store.layout import MANIFEST_NAME
from llmkube_downloader.store.manifest import Manifest, parse_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.store.layout import Layout

# What is missing where something should be; every other error is trouble with the volume, not damage.
_MISSING = (errno.ENOENT, errno.ENOTDIR)


class State(enum.Enum):
    """What a directory below the root is."""

    ABSENT = "absent"
    COMPLETE = "complete"
    PARTIAL = "partial"
    DAMAGED = "damaged"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class Entry:
    """A directory below the root, as it was found.

    - path: where it lies.
    - key: its cache key; None for a directory that is not named by one.
    - state: what it is.
    - manifest: its manifest, where one could be read.
    - problem: why it is damaged.
    """

    path: Path
    key: str | None
    state: State
    manifest: Manifest | None = None
    problem: str = ""


def look(layout: Layout, key: str) -> Entry:
    """Return the entry of a key that new pods should use, without writing anything.

    That is the latest generation that is complete. Where none is, it is what lies under the key itself.

    Raises DownloaderError: USAGE, when a newer version wrote the entry; VOLUME, when it can not be read.
    """
    found = Entry(layout.entry(key), key, State.ABSENT)
    with storage_errors(f"reading {found.path}"):
        present = names_in(layout.root)
        for name in names_of(str(layout.root), key):
            entry = inspect(layout.root / name, key) if name in present else found
            if entry.state is State.COMPLETE:
                return entry
            if name == key:
                found = entry
    return found


def inspect(path: Path, key: str) -> Entry:
    """Return what a directory is: complete when its manifest holds and every file has its size."""
    try:
        manifest = parse_manifest(read_small(path / MANIFEST_NAME))
    except DamagedManifestError as error:
        return Entry(path, key, State.DAMAGED, problem=str(error))
    except OSError as error:
        if error.errno not in _MISSING:
            raise
        return Entry(path, key, State.FOREIGN if path.is_dir() and names_in(path) else State.ABSENT)
    problem = problem_of(str(path), key, manifest.key, [(file.path, file.size) for file in manifest.files])
    return Entry(path, key, State.DAMAGED if problem else State.COMPLETE, manifest, problem)


def survey(layout: Layout) -> list[Entry]:
    """Return everything on the volume that takes space: entries, unfinished attempts, damaged and foreign ones.

    Hidden directories are left out: file servers show their snapshots as such.

    Raises DownloaderError: NOT_FOUND, when there is no root.
    """
    with storage_errors(f"reading {layout.root}"):
        check_root(layout)
        found = [
            _found(layout.root / name)
            for name in names_in(layout.root)
            if not name.startswith(".") and name != "lost+found" and (layout.root / name).is_dir()
        ]
        found = [entry for entry in found if entry.state is not State.ABSENT]
        found += [
            Entry(layout.staging(key), key, State.PARTIAL)
            for key in names_in(layout.all_staging)
            if names_in(layout.staging(key))
        ]
        found += quarantined(layout)
    return found


def check_root(layout: Layout) -> None:
    """Refuse a root that is not there, so that a mistyped one is not taken for an empty cache."""
    if not layout.root.is_dir():
        raise DownloaderError(
            ExitCode.NOT_FOUND, f"there is no directory {layout.root}", "Give the directory of the cache with --root."
        )


def quarantined(layout: Layout) -> list[Entry]:
    """Return the damaged entries that fetches moved aside."""
    return [
        Entry(layout.quarantine / name, name.partition(".")[0], State.DAMAGED, problem="moved aside by a fetch")
        for name in names_in(layout.quarantine)
    ]


def _found(path: Path) -> Entry:
    key = key_of(path.name)
    return inspect(path, key) if key else Entry(path, None, State.FOREIGN)
