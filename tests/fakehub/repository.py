"""Repositories in a directory: `<org>/<repo>/<revision>/<files>` below the root, and `<org>/<repo>/repo.json`."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

# What the hub's standard .gitattributes keep in LFS, as far as models go, and the size above which it insists.
_LFS_SUFFIXES = frozenset({".bin", ".gguf", ".gz", ".h5", ".onnx", ".pt", ".pth", ".safetensors", ".tar", ".zip"})
_LFS_SIZE = 10 << 20
_BUFFER = 1 << 20


@dataclass(frozen=True)
class Digests:
    """SHA-256 of a file, its git blob id (of the LFS pointer for LFS files) and the pointer's size, 0 without one."""

    sha256: str
    blob_id: str
    pointer_size: int = 0


@dataclass(frozen=True)
class RepoFile:
    """One file of a snapshot; `path` is repository-relative, with slashes."""

    path: str
    source: Path
    size: int
    modified: float
    digests: Digests

    @property
    def lfs(self) -> bool:
        """Whether the hub keeps it outside git, on the CDN."""
        return self.digests.pointer_size > 0


@dataclass(frozen=True)
class Snapshot:
    """All files of one revision; equal content is the same commit, always."""

    files: Mapping[str, RepoFile]

    @property
    def commit(self) -> str:
        """The commit's 40 hex digits."""
        lines = (f"{file.digests.blob_id} {path}\n" for path, file in sorted(self.files.items()))
        return hashlib.sha1("".join(lines).encode(), usedforsecurity=False).hexdigest()

    @property
    def modified(self) -> float:
        """When the newest file was modified."""
        return max((file.modified for file in self.files.values()), default=0)

    def folders(self) -> set[str]:
        """The paths of all directories."""
        parents = (parent.as_posix() for path in self.files for parent in Path(path).parents)
        return set(parents) - {"."}


@dataclass(frozen=True)
class Settings:
    """A repository's `repo.json`.

    `private` hides it, `gated` (`"auto"` or `"manual"`) guards its files, both from everybody without `token`.
    `branches` and `tags` name revision directories: `{"tags": {"v1.0": "main"}}`. Directories are branches by
    themselves, except those that a tag of the same name claims; an entry of `branches` wins over the directory of its
    name. In a directory's name, percent-encode the slashes of a branch: `refs%2Fpr%2F1`.
    """

    private: bool = False
    gated: str | None = None
    token: str | None = None
    branches: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Settings":
        """Read a `repo.json`; ValueError names the file when it holds something else."""
        try:
            document: Any = json.loads(path.read_text(encoding="utf-8"))
            settings = cls(**document)
        except FileNotFoundError:
            return cls()
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} is no description of a repository: {error}") from error
        if settings.gated not in (None, "auto", "manual"):
            raise ValueError(f"{path}: gated {settings.gated!r} must be 'auto', 'manual' or absent")
        return settings


class Repository:
    """One repository, read anew from its directory by whoever makes one."""

    def __init__(self, repo_id: str, directory: Path, digests: "DigestCache") -> None:
        self.id = repo_id
        self._directory = directory
        self._digests = digests
        self.settings = Settings.read(directory / "repo.json")

    def branches(self) -> dict[str, str]:
        """Branch names and their revision directories' names."""
        names = sorted(path.name for path in self._directory.iterdir() if path.is_dir())
        by_itself = {unquote(name): name for name in names if self.settings.tags.get(unquote(name)) != name}
        return by_itself | dict(self.settings.branches)

    def snapshot(self, revision: str) -> Snapshot | None:
        """The snapshot of a branch, a tag or a commit; None when there is no such revision."""
        references = dict(self.settings.tags) | self.branches()
        if revision in references:
            return self.read(references[revision])
        return next((snapshot for snapshot in self.snapshots() if snapshot.commit == revision), None)

    def snapshots(self) -> Iterator[Snapshot]:
        """The snapshots of all revision directories, also of those no branch shows any more."""
        for path in sorted(self._directory.iterdir()):
            if path.is_dir():
                yield self.read(path.name)

    def read(self, name: str) -> Snapshot:
        """The snapshot in one revision directory."""
        top = self._directory / name
        files = {}
        for folder, _, names in os.walk(top, followlinks=True):
            for source in (Path(folder, name) for name in names):
                path = source.relative_to(top).as_posix()
                status = source.stat()
                files[path] = RepoFile(path, source, status.st_size, status.st_mtime, self._digests.of(source))
        return Snapshot(files)


class DigestCache:
    """Digests of files, computed once for each state of a file."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int, int], Digests] = {}
        self._lock = threading.Lock()

    def of(self, path: Path) -> Digests:
        """The digests of a file as it is now."""
        status = path.stat()
        state = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            if state not in self._known:
                self._known[state] = _digest(path, status.st_size)
            return self._known[state]


def _digest(path: Path, size: int) -> Digests:
    sha256 = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_BUFFER):
            sha256.update(chunk)
    if path.suffix not in _LFS_SUFFIXES and size <= _LFS_SIZE:
        return Digests(sha256.hexdigest(), _git_blob_id(path.read_bytes()))
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256.hexdigest()}\nsize {size}\n".encode()
    return Digests(sha256.hexdigest(), _git_blob_id(pointer), len(pointer))


def _git_blob_id(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


class Repositories:
    """All repositories below a root."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._digests = DigestCache()

    def find(self, repo_id: str) -> Repository | None:
        """The repository of that name (`org/name`), or None."""
        directory = self._root / repo_id
        parts = repo_id.split("/")
        if len(parts) != 2 or {"", ".", ".."} & set(parts) or not directory.is_dir():
            return None
        return Repository(repo_id, directory, self._digests)

    def digests(self, path: Path) -> Digests:
        """The digests of any file."""
        return self._digests.of(path)
