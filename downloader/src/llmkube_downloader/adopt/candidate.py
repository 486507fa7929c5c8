"""What could become an entry: files that lie somewhere, and what they are of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkube_downloader.store.layout import entry_names

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.errors import DownloaderError
    from llmkube_downloader.key import Source

# What manifests, lists and reports say where nobody named a source: with a key alone it can not be told.
UNKNOWN_SOURCE = "unknown"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_BLOB = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Original:
    """A file that lies there already.

    - path: where its bytes lie; no link.
    - name: its path at the source.
    - size: bytes.
    - sha256: what its hash has to be, as the name of a blob or the origin says; None when nobody does.
    - blob: what its git object id has to be, likewise.
    - links: links that lead to it, which go with it.
    - shared: whether something that is not adopted needs it, too, so that it has to stay.
    """

    path: Path
    name: str
    size: int
    sha256: str | None = None
    blob: str | None = None
    links: tuple[Path, ...] = ()
    shared: bool = False


@dataclass(frozen=True)
class Candidate:
    """Files that could become one entry.

    - place: where they lie, for messages.
    - key: of the entry.
    - source: what they are of; None when only the key is known.
    - revision: what names their state at the source for ever; None when nothing does.
    - files: the files, sorted by name.
    - in_place: whether their directory becomes the entry as it is.
    """

    place: Path
    key: str
    source: Source | None
    revision: str | None
    files: tuple[Original, ...]
    in_place: bool = False

    @property
    def title(self) -> str:
        """The source without secrets, as manifests and messages name it."""
        return self.source.display if self.source else UNKNOWN_SOURCE

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def names(self) -> dict[str, str]:
        """The path in the entry of each file, by its name at the source."""
        return entry_names([file.name for file in self.files])


@dataclass(frozen=True)
class Left:
    """What was left where it is, and why."""

    place: Path
    error: DownloaderError


def promise_of(tag: str) -> tuple[str | None, str | None]:
    """Return the SHA-256 and the git object id that the hub's name for a content is: one of them, or neither."""
    return tag if _SHA256.fullmatch(tag) else None, tag if _GIT_BLOB.fullmatch(tag) else None
