"""Reading entries whole and comparing them with what was published."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.maintenance.checking import Reading, check, segments
from llmkube_downloader.maintenance.keys import checked_key, opened
from llmkube_downloader.report import SCHEMA
from llmkube_downloader.store.disk import storage_errors
from llmkube_downloader.store.entry import Entry, State, inspect, survey
from llmkube_downloader.store.generations import generations
from llmkube_downloader.store.layout import MANIFEST_NAME, STATES_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmkube_downloader.store.layout import Layout
    from llmkube_downloader.store.manifest import FileRecord


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an entry."""

    path: str
    problem: str


def verify_entries(root: Path, keys: Sequence[str], advance: Callable[[int], None]) -> dict[str, Any]:
    """Read every file of entries again and compare it with the manifest, as ``verify -o json`` shows it.

    - root: the directory that holds the entries.
    - keys: which entries, with all their generations; none for all that have a manifest.
    - advance: told the bytes of every piece that was read.

    Raises DownloaderError: NOT_FOUND, when a key has no entry that could be verified.
    """
    layout = opened(root)
    keys = list(dict.fromkeys(map(checked_key, keys)))
    entries = [entry for key in keys for entry in _verifiable(layout, key)] if keys else _with_manifest(layout)
    problems = find_problems(entries, advance)
    return {
        "schema": SCHEMA,
        "root": str(root),
        "entries": [_verified_json(entry, found) for entry, found in zip(entries, problems, strict=True)],
    }


def find_problems(entries: Sequence[Entry], advance: Callable[[int], None]) -> list[list[Problem]]:
    """Read entries whole, on all cores, and return for each what is wrong with it, in the order of its manifest.

    - advance: told the bytes of every piece that was read.
    """
    files = [(entry, file) for entry in entries if entry.manifest for file in entry.manifest.files]
    sizes = [_size_problem(entry.path / file.path, file) for entry, file in files]
    readings = [
        Reading(entry.path / file.path, [] if wrong else segments(file))
        for (entry, file), wrong in zip(files, sizes, strict=True)
    ]
    problems: dict[Path, list[Problem]] = {entry.path: [] for entry in entries}
    for (entry, file), wrong, found in zip(files, sizes, check(readings, advance), strict=True):
        problem = wrong or (found[0].problem if found else "")
        problems[entry.path] += [Problem(file.path, problem)] if problem else []
    return [[*_manifest_problem(entry), *problems[entry.path], *_strangers(entry)] for entry in entries]


def _verifiable(layout: Layout, key: str) -> list[Entry]:
    """Return the generations of a key that have a manifest, whole or not."""
    with storage_errors(f"reading {layout.root}"):
        found = [inspect(layout.root / name, key) for name in generations(layout, key)]
    ours = [entry for entry in found if entry.state in (State.COMPLETE, State.DAMAGED)]
    if not ours:
        raise DownloaderError(
            ExitCode.NOT_FOUND, f"{layout.root} has no entry {key} with a manifest", "Choose one from `list`."
        )
    return ours


def _with_manifest(layout: Layout) -> list[Entry]:
    """Return the entries that verify covers when none is named; what is in quarantine is known to be damaged."""
    found = [entry for entry in survey(layout) if entry.path.parent == layout.root]
    return [entry for entry in found if entry.state in (State.COMPLETE, State.DAMAGED)]


def _size_problem(path: Path, file: FileRecord) -> str:
    """Return what the size of a file already tells; empty when its content has to."""
    try:
        size = path.stat().st_size
    except OSError as error:
        return f"can not be read: {error.strerror}"
    return "" if size == file.size else f"has {size} bytes instead of {file.size}"


def _manifest_problem(entry: Entry) -> list[Problem]:
    return [] if entry.manifest else [Problem(MANIFEST_NAME, entry.problem)]


def _strangers(entry: Entry) -> list[Problem]:
    """Return files that lie in an entry without being of it; those that an NFS client keeps open do not count."""
    if entry.manifest is None:
        return []
    known = {file.path for file in entry.manifest.files} | {MANIFEST_NAME}
    known |= {STATES_NAME} if entry.manifest.checkpoints else set()
    found = {
        str((Path(parent) / name).relative_to(entry.path))
        for parent, _, names in os.walk(entry.path)
        for name in names
        if not name.startswith(".nfs")
    }
    return [Problem(path, "is not in the manifest") for path in sorted(found - known)]


def _verified_json(entry: Entry, problems: list[Problem]) -> dict[str, Any]:
    return {
        "key": entry.key,
        "entry": str(entry.path),
        "state": (State.DAMAGED if problems else State.COMPLETE).value,
        "bytes": entry.manifest.size if entry.manifest else 0,
        "problems": [{"path": problem.path, "problem": problem.problem} for problem in problems],
    }
