"""A plain folder or file, of which the user says what it is."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from llmkube_downloader.adopt.candidate import Candidate, Original, promise_of
from llmkube_downloader.adopt.model import check_model, files_below, real_file, single_name
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sources.selection import select
from llmkube_downloader.sources.shards import is_first_shard, with_shards
from llmkube_downloader.store.disk import names_in, storage_errors

if TYPE_CHECKING:
    from llmkube_downloader.key import Source

# Where the hub's client notes what it downloaded into a folder: commit, hash and time, a line each.
_NOTES = ".cache/huggingface/download"


def find_folder(place: Path, source: Source) -> Candidate:
    """Return the entry that a folder or file could become.

    - source: what it is.

    Raises DownloaderError: NOT_FOUND, INTEGRITY or POLICY, when it is not that, or not whole.
    """
    single = single_name(source)
    with storage_errors(f"reading {place}"):
        wanted = _tree(place, source) if single is None else _file(place, single, source)
        check_model(wanted, place, source)
        folder = place if place.is_dir() else place.parent
        notes = {name: _note(folder, path) for name, path in wanted.items()}
        files = tuple(_original(name, path, notes[name][1]) for name, path in sorted(wanted.items()))
    commits = {commit for commit, _ in notes.values()}
    return Candidate(place, source.key, source, commits.pop() if len(commits) == 1 else None, files)


def _tree(place: Path, source: Source) -> dict[str, Path]:
    """Return the files of a folder that a source selects."""
    if not place.is_dir():
        raise DownloaderError(
            ExitCode.NOT_FOUND,
            f"{place} is a file, and {source.display} a repository",
            "Name the file of the repository with --file, or give the folder with --from.",
        )
    paths = files_below(place, place)
    return {name: paths[name] for name in select({name: path.stat().st_size for name, path in paths.items()}, source)}


def _file(place: Path, single: str, source: Source) -> dict[str, Path]:
    """Return the one file that a source is, or all shards for the first one, by their names at the source."""
    name = PurePosixPath(single).name
    alike = (
        [place / other for other in names_in(place) if Path(other).suffix == Path(name).suffix]
        if place.is_dir()
        else []
    )
    places = (place, place / single, place / name, *(alike if len(alike) == 1 else []))
    file = next((path for path in places if path.is_file()), None)
    if file is None or file.suffix != Path(name).suffix or is_first_shard(file.name) != is_first_shard(name):
        raise DownloaderError(
            ExitCode.NOT_FOUND, f"{place} holds no {name}, which {source.display} is", "Give the file with --from."
        )
    if not is_first_shard(name):
        return {single: file.resolve()}
    shards = with_shards(file.name, names_in(file.parent))
    return {
        str(PurePosixPath(single).with_name(shard)): real_file(file.parent / shard, file.parent) for shard in shards
    }


def _note(folder: Path, path: Path) -> tuple[str | None, str]:
    """Return the commit and the tag that the hub's client noted of a file; nothing when it did not download it."""
    if not path.is_relative_to(folder):
        return None, ""
    try:
        note = (folder / _NOTES / f"{path.relative_to(folder)}.metadata").read_text(encoding="utf-8")
        commit, tag = note.splitlines()[:2]
    except (OSError, ValueError):
        return None, ""
    return commit, tag


def _original(name: str, path: Path, tag: str) -> Original:
    sha256, blob = promise_of(tag)
    return Original(path, name, path.stat().st_size, sha256, blob)
