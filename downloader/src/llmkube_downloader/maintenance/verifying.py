"""Reading entries whole and comparing them with what was published."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.maintenance.checking import Reading, Segment, check, segments
from llmkube_downloader.maintenance.keys import checked_key, opened
from llmkube_downloader.report import SCHEMA
from llmkube_downloader.sha256 import CHECKPOINT_BYTES
from llmkube_downloader.store.disk import storage_errors
from llmkube_downloader.store.entry import Entry, State, inspect, survey
from llmkube_downloader.store.generations import generations
from llmkube_downloader.store.layout import MANIFEST_NAME, STATES_NAME
from llmkube_downloader.store.proof import has_sound_states, states_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmkube_downloader.store.layout import Layout
    from llmkube_downloader.store.manifest import FileRecord

# Segments of each file that a sample reads.
_SAMPLES = 4


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an entry.

    - path: of the file.
    - problem: what is wrong with it.
    - good: the stretches of it that are right all the same, each from its first byte up to the one after its last.
    """

    path: str
    problem: str
    good: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Checked:
    """An entry that was read whole, and what is wrong with it."""

    entry: Entry
    problems: list[Problem]


def verify_entries(root: Path, keys: Sequence[str], advance: Callable[[int], None]) -> list[Checked]:
    """Read every file of entries again and compare it with the manifest.

    - root: the directory that holds the entries.
    - keys: which entries, with all their generations; none for all that have a manifest.
    - advance: told the bytes of every piece that was read.

    Raises DownloaderError: NOT_FOUND, when a key has no entry that could be verified.
    """
    layout = opened(root)
    keys = list(dict.fromkeys(map(checked_key, keys)))
    entries = [entry for key in keys for entry in _verifiable(layout, key)] if keys else _with_manifest(layout)
    problems = find_problems(entries, advance)
    return [Checked(entry, found) for entry, found in zip(entries, problems, strict=True)]


def verified_json(root: Path, checked: Sequence[Checked], repaired: Mapping[Path, int]) -> dict[str, Any]:
    """Return what came of it, as ``verify -o json`` shows it.

    - repaired: the bytes that were received for each entry that was repaired.
    """
    entries = [_verified_json(each.entry, each.problems) for each in checked]
    for each, shown in zip(checked, entries, strict=True):
        if each.entry.path in repaired:
            shown["repaired"] = {"bytesFetched": repaired[each.entry.path]}
    return {"schema": SCHEMA, "root": str(root), "entries": entries}


def find_problems(entries: Sequence[Entry], advance: Callable[[int], None]) -> list[list[Problem]]:
    """Read entries whole, on all cores, and return for each what is wrong with it, in the order of its manifest.

    - advance: told the bytes of every piece that was read.
    """
    return _find(entries, advance, lambda segments: segments)


def sample_problems(entries: Sequence[Entry], advance: Callable[[int], None]) -> list[list[Problem]]:
    """Read some segments of the files of entries, other ones each time, and return what is wrong with these.

    A file without SHA-256 states is read whole when it is no larger than a segment, and else not at all.
    """
    return _find(entries, advance, _sample)


def _sample(segments: Sequence[Segment]) -> Sequence[Segment]:
    small = [segment for segment in segments if segment.length <= CHECKPOINT_BYTES]
    return random.sample(small, min(len(small), _SAMPLES))


def _find(
    entries: Sequence[Entry],
    advance: Callable[[int], None],
    choose: Callable[[Sequence[Segment]], Sequence[Segment]],
) -> list[list[Problem]]:
    files = [(entry, file) for entry in entries if entry.manifest for file in entry.manifest.files]
    states = {entry.path: states_in(entry.path, entry.manifest) for entry in entries if entry.manifest}
    all_of = [_reading(entry.path / file.path, file, states[entry.path].get(file.path, [])) for entry, file in files]
    readings = [Reading(reading.path, choose(reading.segments)) for reading in all_of]
    problems: dict[Path, list[Problem]] = {entry.path: [] for entry in entries}
    for (entry, file), reading, found in zip(files, readings, check(readings, advance), strict=True):
        problem = _size_problem(reading.path, file) or (found[0].problem if found else "")
        good = tuple(
            _bounds(segment) for segment in reading.segments if segment not in [each.segment for each in found]
        )
        problems[entry.path] += [Problem(file.path, problem, good)] if problem else []
    return [[*_manifest_problem(entry), *problems[entry.path], *_strangers(entry)] for entry in entries]


def _reading(path: Path, file: FileRecord, states: Sequence[bytes]) -> Reading:
    """Return what of a file can be read: where it is too short, the segments that are still there."""
    try:
        size = path.stat().st_size
    except OSError:
        return Reading(path, [])
    return Reading(path, [segment for segment in segments(file, states) if segment.offset + segment.length <= size])


def _bounds(segment: Segment) -> tuple[int, int]:
    return segment.offset, segment.offset + segment.length


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
    if entry.manifest is None:
        return [Problem(MANIFEST_NAME, entry.problem)]
    if has_sound_states(entry.path, entry.manifest):
        return []
    return [Problem(STATES_NAME, "is not the one that the manifest names")]


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
