"""The manifest: what an entry holds, with hashes and a checksum of itself. It is written before publication.

How one is read is said in ``completeness``, because a warm start has no time to import this module.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.completeness import FORMAT_VERSION, NewerManifestError, check_manifest, seal


@dataclass(frozen=True)
class FileRecord:
    """One file of an entry.

    - path: relative to the entry.
    - origin: path in the repository or last part of the address; differs from path for ``model.gguf``.
    - size: bytes.
    - sha256: 64 hexadecimal digits, of the bytes as written.
    - verified: ``sha256`` when the origin or the user said the same hash, else ``size``.
    - validator: what the origin called this content, byte for byte (a strong ETag); None when it did not say.
    """

    path: str
    origin: str
    size: int
    sha256: str
    verified: str
    validator: str | None = None


@dataclass(frozen=True)
class Selection:
    """What of the source was asked for: the lines of the canonical source after its base."""

    files: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """An entry's description.

    - key: the cache key.
    - source: without credentials.
    - selection: what of the source the key stands for.
    - revision: what the origin resolved the revision to, such as a commit; None when it has none.
    - files: every file but the manifest itself.
    - created: time of publication, ISO 8601 in UTC.
    - tool: name and version of what built the entry.
    - checkpoints: SHA-256 of the file of hash states beside the manifest; None when there is none.
    """

    key: str
    source: str
    selection: Selection
    revision: str | None
    files: tuple[FileRecord, ...]
    created: str
    tool: str
    checkpoints: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def verified(self) -> str:
        """How much is proven of every file: ``sha256`` or ``size``."""
        return "sha256" if all(file.verified == "sha256" for file in self.files) else "size"

    @property
    def content(self) -> str:
        """What tells this content from every other one of the same key: a SHA-256 over paths, sizes and hashes."""
        lines = sorted(f"{file.path}\0{file.size}\0{file.sha256}\n" for file in self.files)
        return hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()

    def dump(self) -> bytes:
        """Return the manifest as JSON, one line per field and file, with its checksum in the last line."""
        fields = {"formatVersion": FORMAT_VERSION, **asdict(self)}
        files = ",\n".join(f"  {json.dumps(file)}" for file in fields.pop("files"))
        lines = [f' "{name}": {json.dumps(value)},\n' for name, value in fields.items()]
        return seal("".join(["{\n", *lines, f' "files": [\n{files}\n ],\n']).encode("ascii"))


def parse_manifest(data: bytes) -> Manifest:
    """Parse what Manifest.dump wrote.

    Raises DamagedManifestError: when the bytes are something else.
    Raises DownloaderError: USAGE, when a newer version of llmkube wrote them.
    """
    try:
        return manifest_from(check_manifest(data))
    except NewerManifestError as error:
        raise newer_format("the manifest", error.version) from error


def newer_format(what: str, version: int) -> DownloaderError:
    """Return the error for what a newer version of llmkube wrote; it is never taken for damage."""
    return DownloaderError(
        ExitCode.USAGE,
        f"{what} has format {version}, this version of llmkube-downloader knows {FORMAT_VERSION}",
        "Use the newer llmkube-downloader image that wrote this volume.",
    )


def manifest_from(fields: dict[str, Any]) -> Manifest:
    """Return the manifest of fields that were checked."""
    rest = {name: value for name, value in fields.items() if name not in ("formatVersion", "selfSha256")}
    files = tuple(FileRecord(**file) for file in rest.pop("files"))
    selection = Selection(**{name: tuple(values) for name, values in rest.pop("selection").items()})
    return Manifest(files=files, selection=selection, **rest)
