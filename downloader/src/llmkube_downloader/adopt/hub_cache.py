"""The cache of the Hugging Face hub's client: ``models--<org>--<repo>/{refs,snapshots,blobs}``.

A ref holds the commit that a branch or tag stood for, a snapshot of that commit is a tree of links to blobs, and a blob
is named by what the hub calls its content: the SHA-256 of large files, the git object id of others.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmkube_downloader.adopt.candidate import Candidate, Left, Original, promise_of
from llmkube_downloader.adopt.model import check_model, files_below
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.key import DEFAULT_REVISIONS, Source, parse_source
from llmkube_downloader.sources.selection import select
from llmkube_downloader.sources.shards import is_first_shard, whole_name, with_shards
from llmkube_downloader.sources.weights import is_projector
from llmkube_downloader.store.disk import names_in, storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PREFIX = "models--"
_CONFIGURATIONS = frozenset(("config.json", "model_index.json", "params.json"))


@dataclass(frozen=True)
class _Snapshot:
    """One state of a repository.

    - folder: the repository's directory in the cache.
    - repository: ``org/name``.
    - revision: the branch or tag that it is of.
    - commit: the commit.
    - files: where the bytes of each path lie.
    - links: all links of all snapshots that lead to a blob.
    """

    folder: Path
    repository: str
    revision: str
    commit: str
    files: Mapping[str, Path]
    links: Mapping[Path, list[Path]]

    @property
    def place(self) -> Path:
        return self.folder / "snapshots" / self.commit

    def source(self, file: str | None = None) -> Source:
        """Return the source that the snapshot is, or one file of it."""
        return parse_source(f"hf://{self.repository}", revision=self.revision, files=(file,) if file else ())

    def original(self, name: str) -> Original:
        path = self.files[name]
        sha256, blob = promise_of(path.name) if path.parent.name == "blobs" else (None, None)
        links = self.links[path]
        return Original(path, name, path.stat().st_size, sha256, blob, tuple(links), shared=len(links) > 1)

    def candidate(self, source: Source, names: list[str]) -> Candidate:
        check_model({name: self.files[name] for name in names}, self.place, source)
        files = tuple(self.original(name) for name in sorted(names))
        return Candidate(self.place, source.key, source, self.commit, files)


def repositories_in(place: Path) -> list[Path]:
    """Return the repositories of a hub's cache: of the cache itself, of the directory above it, or the one given."""
    if not place.is_dir():
        return []
    for parent in (place, place / "hub"):
        found = [parent / name for name in names_in(parent) if name.startswith(_PREFIX)]
        found = [folder for folder in found if (folder / "snapshots").is_dir()]
        if found:
            return found
    return [place] if place.name.startswith(_PREFIX) and (place / "snapshots").is_dir() else []


def find_in_hub_cache(
    folders: list[Path], source: Source | None, say: Callable[[str], None]
) -> tuple[list[Candidate], list[Left]]:
    """Return what a hub's cache holds that could become entries, and what could not.

    - folders: the repositories.
    - source: the only one that is wanted; None for all that refs name.
    - say: told what is left alone without being wrong.

    Raises DownloaderError: NOT_FOUND, when the cache does not hold the source.
    """
    if source is not None:
        return [_wanted(folders, source)], []
    candidates: list[Candidate] = []
    left: list[Left] = []
    for folder in folders:
        try:
            with storage_errors(f"reading {folder}"):
                snapshots = _snapshots(folder)
        except DownloaderError as error:
            left.append(Left(folder, error))
            continue
        for snapshot in snapshots:
            _collect(snapshot, candidates, left, say)
    return candidates, left


def _wanted(folders: list[Path], source: Source) -> Candidate:
    """Return the candidate that a user named."""
    name = _PREFIX + source.location.replace("/", "--")
    folder = next((folder for folder in folders if source.scheme == "hf" and folder.name == name), None)
    if folder is None:
        raise DownloaderError(
            ExitCode.NOT_FOUND,
            f"the hub's cache does not hold {source.display}",
            "Name one of its repositories: hf://<org>/<repo>[@<revision>].",
        )
    with storage_errors(f"reading {folder}"):
        revision = source.revision or DEFAULT_REVISIONS["hf"]
        commit = _refs(folder).get(revision, revision)
        if commit not in names_in(folder / "snapshots"):
            raise DownloaderError(
                ExitCode.NOT_FOUND,
                f"{folder} holds no snapshot of revision {revision}",
                f"Name one that it holds: {', '.join(_refs(folder)) or 'none'}.",
            )
        snapshot = _read(folder, revision, commit, _links(folder))
        sizes = {name: path.stat().st_size for name, path in snapshot.files.items()}
        return snapshot.candidate(source, select(sizes, source))


def _collect(snapshot: _Snapshot, candidates: list[Candidate], left: list[Left], say: Callable[[str], None]) -> None:
    """Sort what a snapshot could become into what can and what can not."""
    parts = _parts(snapshot)
    if not parts:
        say(f"{snapshot.place} holds no safetensors or GGUF model; it is left alone")
    for file, names in parts:
        try:
            with storage_errors(f"reading {snapshot.place}"):
                candidates.append(snapshot.candidate(snapshot.source(file), names or _whole_repository(snapshot)))
        except DownloaderError as error:  # noqa: PERF203 - there are few
            left.append(Left(snapshot.place, error))


def _parts(snapshot: _Snapshot) -> list[tuple[str | None, list[str]]]:
    """Return what a snapshot is taken for: a file's path with the files it stands for; None for the repository.

    Clients download single files, too, and nothing in the cache says which files a repository has. A GGUF model is
    therefore one that was asked for by its name, and a repository is whole when its configuration and all weights are.
    """
    models = [name for name in sorted(snapshot.files) if name.endswith(".gguf") and not is_projector(name)]
    first = [name for name in models if is_first_shard(name) or whole_name(name) == name]
    parts: list[tuple[str | None, list[str]]] = [(name, with_shards(name, snapshot.files)) for name in first]
    if any(name.endswith(".safetensors") for name in snapshot.files):
        parts.insert(0, (None, []))
    return parts


def _whole_repository(snapshot: _Snapshot) -> list[str]:
    source = snapshot.source()
    chosen = select({name: path.stat().st_size for name, path in snapshot.files.items()}, source)
    unfinished = [name for name in names_in(snapshot.folder / "blobs") if name.endswith(".incomplete")]
    if unfinished or not _CONFIGURATIONS.intersection(chosen):
        lack = f"a download is unfinished: blobs/{unfinished[0]}" if unfinished else "its config.json is not there"
        raise DownloaderError(
            ExitCode.INTEGRITY,
            f"{snapshot.place} may not be all of {source.display}: {lack}",
            "Finish the download, or adopt a part with --source and --file or --include.",
        )
    return chosen


def _snapshots(folder: Path) -> list[_Snapshot]:
    """Return the snapshots that the refs of a repository name."""
    links = _links(folder)
    present = names_in(folder / "snapshots")
    return [_read(folder, revision, commit, links) for revision, commit in _refs(folder).items() if commit in present]


def _read(folder: Path, revision: str, commit: str, links: Mapping[Path, list[Path]]) -> _Snapshot:
    repository = folder.name.removeprefix(_PREFIX).replace("--", "/")
    return _Snapshot(folder, repository, revision, commit, files_below(folder / "snapshots" / commit, folder), links)


def _refs(folder: Path) -> dict[str, str]:
    """Map the branches and tags of a repository to the commits that they stood for."""
    refs = folder / "refs"
    files = files_below(refs, None) if refs.is_dir() else {}
    return {name: path.read_text(encoding="ascii", errors="replace").strip() for name, path in sorted(files.items())}


def _links(folder: Path) -> dict[Path, list[Path]]:
    """Map where bytes lie to all names that snapshots have for them."""
    links = defaultdict(list)
    for directory, _, names in os.walk(folder / "snapshots"):
        for path in (Path(directory) / name for name in names):
            links[path.resolve()].append(path)
    return links
