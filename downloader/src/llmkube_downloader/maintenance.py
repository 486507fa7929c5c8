"""What can be done with entries besides fetching them: list, verify, remove."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.report import SCHEMA, usage_json
from llmkube_downloader.store.disk import size_of_tree, storage_errors
from llmkube_downloader.store.entry import Entry, State, check_root, look, quarantined, survey
from llmkube_downloader.store.layout import KEY, MANIFEST_NAME, Layout
from llmkube_downloader.store.lease import holder_of, try_take
from llmkube_downloader.store.trash import discard, empty_trash
from llmkube_downloader.store.volume import check_format, usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from llmkube_downloader.store.manifest import FileRecord, Manifest

_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an entry."""

    path: str
    problem: str


@dataclass(frozen=True)
class Removal:
    """Everything on a volume that belongs to one key, and what it takes."""

    key: str
    paths: tuple[Path, ...]
    bytes: int


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
        "entries": [_entry_json(entry) for entry in entries],
    }


def verify_entries(root: Path, keys: Sequence[str], advance: Callable[[int], None]) -> dict[str, Any]:
    """Read every file of entries again and compare it with the manifest, as ``verify -o json`` shows it.

    - root: the directory that holds the entries.
    - keys: which entries; none for all that have a manifest.
    - advance: told the bytes of every piece that was read.

    Raises DownloaderError: NOT_FOUND, when a key has no entry that could be verified.
    """
    layout = Layout(root)
    check_root(layout)
    check_format(layout)
    entries = [_verifiable(layout, key) for key in keys] if keys else _with_manifest(layout)
    checked = [(entry, _problems(entry, advance)) for entry in entries]
    return {
        "schema": SCHEMA,
        "root": str(root),
        "entries": [_verified_json(entry, problems) for entry, problems in checked],
    }


def plan_removal(root: Path, keys: Sequence[str], *, force: bool) -> list[Removal]:
    """Return what removing keys would remove.

    Raises DownloaderError: NOT_FOUND for a key that is not there; POLICY for one that is being fetched, or that holds
    files of others, unless forced.
    """
    layout = Layout(root)
    check_root(layout)
    check_format(layout)
    return [_plan_one(layout, key, force=force) for key in dict.fromkeys(keys)]


def remove(root: Path, removals: Sequence[Removal], *, force: bool) -> dict[str, Any]:
    """Remove what was planned, as ``remove -o json`` shows it.

    Raises DownloaderError: POLICY, when somebody began to fetch a key meanwhile; VOLUME, when the volume is read-only.
    """
    layout = Layout(root)
    for removal in removals:
        with storage_errors(f"removing {removal.key} from {root}"):
            _remove_one(layout, removal, force=force)
    with storage_errors(f"removing from {layout.trash}"):
        empty_trash(layout)
    return {
        "schema": SCHEMA,
        "root": str(root),
        "volume": usage_json(usage(root)),
        "removed": [{"key": removal.key, "bytes": removal.bytes} for removal in removals],
    }


def _entry_json(entry: Entry) -> dict[str, Any]:
    manifest = entry.manifest
    with storage_errors(f"measuring {entry.path}"):
        size = manifest.size if manifest and entry.state is State.COMPLETE else size_of_tree(entry.path)
    return {
        "key": entry.key,
        "entry": str(entry.path),
        "state": entry.state.value,
        "source": manifest.source if manifest else None,
        "revision": manifest.revision if manifest else None,
        "bytes": size,
        "files": len(manifest.files) if manifest else None,
        "created": manifest.created if manifest else None,
        **({"problem": entry.problem} if entry.problem else {}),
    }


def _verifiable(layout: Layout, key: str) -> Entry:
    entry = look(layout, _checked_key(key))
    if entry.state in (State.ABSENT, State.FOREIGN):
        raise DownloaderError(
            ExitCode.NOT_FOUND, f"{layout.root} has no entry {key} with a manifest", "Choose one from `list`."
        )
    return entry


def _with_manifest(layout: Layout) -> list[Entry]:
    """Return the entries that verify covers when none is named; what is in quarantine is known to be damaged."""
    entries = (look(layout, entry.key) for entry in survey(layout) if entry.key and entry.state is not State.PARTIAL)
    found = {entry.key: entry for entry in entries if entry.state in (State.COMPLETE, State.DAMAGED)}
    return list(found.values())


def _problems(entry: Entry, advance: Callable[[int], None]) -> list[Problem]:
    if entry.manifest is None:
        return [Problem(MANIFEST_NAME, entry.problem)]
    found = [problem for file in entry.manifest.files if (problem := _file_problem(entry.path, file, advance))]
    return found + [Problem(path, "is not in the manifest") for path in _strangers(entry.path, entry.manifest)]


def _file_problem(directory: Path, file: FileRecord, advance: Callable[[int], None]) -> Problem | None:
    digest, size = hashlib.sha256(), 0
    try:
        for piece in _pieces(directory / file.path):
            digest.update(piece)
            size += len(piece)
            advance(len(piece))
    except OSError as error:
        return Problem(file.path, f"can not be read: {error.strerror}")
    if size != file.size:
        return Problem(file.path, f"has {size} bytes instead of {file.size}")
    if digest.hexdigest() != file.sha256:
        return Problem(file.path, f"has sha256 {digest.hexdigest()} instead of {file.sha256}")
    return None


def _pieces(path: Path) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(_PIECE_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            yield buffer[:count]


def _strangers(directory: Path, manifest: Manifest) -> list[str]:
    """Return files that lie in an entry without being of it; those that an NFS client keeps open do not count."""
    known = {file.path for file in manifest.files} | {MANIFEST_NAME}
    found = {
        str((Path(parent) / name).relative_to(directory))
        for parent, _, names in os.walk(directory)
        for name in names
        if not name.startswith(".nfs")
    }
    return sorted(found - known)


def _verified_json(entry: Entry, problems: list[Problem]) -> dict[str, Any]:
    return {
        "key": entry.key,
        "entry": str(entry.path),
        "state": (State.DAMAGED if problems else State.COMPLETE).value,
        "bytes": entry.manifest.size if entry.manifest else 0,
        "problems": [{"path": problem.path, "problem": problem.problem} for problem in problems],
    }


def _plan_one(layout: Layout, key: str, *, force: bool) -> Removal:
    entry = look(layout, _checked_key(key))
    if entry.state is State.FOREIGN and not force:
        raise DownloaderError(
            ExitCode.POLICY,
            f"{entry.path} holds files that llmkube-downloader did not write",
            "Remove it all the same with --force.",
        )
    with storage_errors(f"reading {layout.root}"):
        holder = holder_of(layout, key)
        if holder and not force:
            raise _being_fetched(key, holder)
        candidates = [layout.entry(key), layout.staging(key)]
        candidates += [damaged.path for damaged in quarantined(layout) if damaged.key == key]
        paths = tuple(path for path in candidates if path.exists())
        if not paths:
            raise DownloaderError(ExitCode.NOT_FOUND, f"{layout.root} has no entry {key}", "Choose one from `list`.")
        return Removal(key, paths, sum(map(size_of_tree, paths)))


def _remove_one(layout: Layout, removal: Removal, *, force: bool) -> None:
    # With the lease in our hands nobody begins to fetch the key; without it, its builder finds its files gone.
    lease = try_take(layout, removal.key)
    if lease is None and not force:
        raise _being_fetched(removal.key, "another process")
    try:
        for path in removal.paths:
            discard(layout, path)
    finally:
        if lease:
            lease.withdraw()


def _checked_key(key: str) -> str:
    if not KEY.fullmatch(key):
        raise DownloaderError(
            ExitCode.USAGE, f"{key!r} is no key: a key has 16 hexadecimal digits", "Choose one from `list`."
        )
    return key


def _being_fetched(key: str, holder: str) -> DownloaderError:
    return DownloaderError(
        ExitCode.POLICY,
        f"{key} is being fetched by {holder}",
        "Wait for it to end, or remove it all the same with --force: the fetch then fails.",
    )
