"""Directories in the root that have the name of a key but no manifest: LLMKube's caches are such."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from llmkube_downloader.adopt.candidate import Candidate, Left, Original
from llmkube_downloader.adopt.model import check_model, files_below, is_selection, single_name
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sources.selection import select
from llmkube_downloader.sources.shards import is_first_shard, whole_name
from llmkube_downloader.store.disk import storage_errors
from llmkube_downloader.store.entry import State, look, survey

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.key import Source
    from llmkube_downloader.store.entry import Entry
    from llmkube_downloader.store.layout import Layout


def find_in_root(layout: Layout, source: Source | None) -> tuple[list[Candidate], list[Left]]:
    """Return what in the root could become an entry where it lies, and what could not.

    - source: what the one directory of its key holds; None for all directories, of which only the key is known.

    Raises DownloaderError: NOT_FOUND, when there is no directory of the source's key.
    """
    if source is None:
        foreign = [entry for entry in survey(layout) if entry.state is State.FOREIGN and entry.path.name == entry.key]
    else:
        foreign = [_of_source(layout, source)]
    found = [_candidate_or_left(entry, source) for entry in foreign]
    return [one for one in found if isinstance(one, Candidate)], [one for one in found if isinstance(one, Left)]


def _candidate_or_left(entry: Entry, source: Source | None) -> Candidate | Left:
    try:
        return _candidate(entry, source)
    except DownloaderError as error:
        return Left(entry.path, error)


def _of_source(layout: Layout, source: Source) -> Entry:
    entry = look(layout, source.key)
    if entry.state is State.ABSENT:
        raise DownloaderError(
            ExitCode.NOT_FOUND,
            f"{layout.root} has no directory {source.key}, which is the key of {source.display}",
            "Give the source as it was when the directory was made, or where its files lie with --from.",
        )
    return entry


def _candidate(entry: Entry, source: Source | None) -> Candidate:
    if entry.state is not State.FOREIGN:
        raise DownloaderError(
            ExitCode.INTEGRITY,
            f"{entry.path} is no directory of others but a damaged entry: {entry.problem}",
            "Fetch its source, which moves it aside.",
        )
    with storage_errors(f"reading {entry.path}"):
        paths = files_below(entry.path, None)
        named = _at_source(entry.path, paths, source) if source else paths
        check_model(named, entry.path, source)
        files = (Original(path, name, path.stat().st_size) for name, path in sorted(named.items()))
        return Candidate(entry.path, str(entry.key), source, None, tuple(files), in_place=True)


def _at_source(place: Path, paths: dict[str, Path], source: Source) -> dict[str, Path]:
    """Return the files by their names at the source, refusing what the source is not.

    Raises DownloaderError: POLICY, naming it.
    """
    single = single_name(source)
    if single is None:
        chosen = select({name: path.stat().st_size for name, path in paths.items()}, source)
        # Without a selection, a file that a server does not read does no harm.
        strange = sorted(paths.keys() - set(chosen)) if is_selection(source) else []
    elif is_first_shard(single):
        strange = [name for name in paths if whole_name(name) != whole_name(single)]
    else:
        # LLMKube calls it by the name that the file gives its model.
        alike = [name for name in sorted(paths) if PurePosixPath(name).suffix == PurePosixPath(single).suffix]
        strange = [name for name in paths if name not in alike[:1]]
        paths = dict.fromkeys([single], paths[alike[0]]) if alike else paths
    if strange:
        raise DownloaderError(
            ExitCode.POLICY,
            f"{place} holds {strange[0]}, which is no part of {source.display}",
            "Move what does not belong to it away, or name the source that it is of.",
        )
    return paths
