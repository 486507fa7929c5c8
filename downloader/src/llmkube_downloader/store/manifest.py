"""The manifest: what an entry holds, with hashes and a checksum of itself. It is written before publication."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.layout import FORMAT_VERSION


class DamagedManifestError(ValueError):
    """The bytes are no manifest, or not the one that was written."""


@dataclass(frozen=True)
class FileRecord:
    """One file of an entry.

    - path: relative to the entry.
    - origin: path in the repository or last part of the address; differs from path for ``model.gguf``.
    - size: bytes.
    - sha256: 64 hexadecimal digits, of the bytes as written.
    - verified: ``sha256`` when the origin or the user said the same hash, else ``size``.
    """

    path: str
    origin: str
    size: int
    sha256: str
    verified: str


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
    """

    key: str
    source: str
    selection: Selection
    revision: str | None
    files: tuple[FileRecord, ...]
    created: str
    tool: str

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def verified(self) -> str:
        """How much is proven of every file: ``sha256`` or ``size``."""
        return "sha256" if all(file.verified == "sha256" for file in self.files) else "size"

    def dump(self) -> bytes:
        """Return the manifest as JSON with its checksum."""
        body = {"formatVersion": FORMAT_VERSION, **asdict(self)}
        body["selfSha256"] = _checksum(body)
        return (json.dumps(body, indent=1) + "\n").encode("ascii")


def parse_manifest(data: bytes) -> Manifest:
    """Parse what Manifest.dump wrote.

    Raises DamagedManifestError: when the bytes are something else.
    Raises DownloaderError: USAGE, when a newer version of llmkube wrote them.
    """
    try:
        body = json.loads(data)
        version = body["formatVersion"]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedManifestError("the manifest can not be parsed") from error
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise newer_format("the manifest", version)
    if body.pop("selfSha256", None) != _checksum(body):
        raise DamagedManifestError("the manifest does not have its own checksum")
    body.pop("formatVersion")
    try:
        return _from_json(body)
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedManifestError("the manifest lacks a field") from error


def newer_format(what: str, version: int) -> DownloaderError:
    """Return the error for what a newer version of llmkube wrote; it is never taken for damage."""
    return DownloaderError(
        ExitCode.USAGE,
        f"{what} has format {version}, this version of llmkube-downloader knows {FORMAT_VERSION}",
        "Use the newer llmkube-downloader image that wrote this volume.",
    )


def _from_json(body: dict[str, Any]) -> Manifest:
    files = tuple(FileRecord(**file) for file in body.pop("files"))
    selection = Selection(**{name: tuple(values) for name, values in body.pop("selection").items()})
    return Manifest(files=files, selection=selection, **body)


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()
