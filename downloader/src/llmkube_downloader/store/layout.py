"""Names on the volume."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from llmkube_downloader.store.completeness import FORMAT_VERSION as FORMAT_VERSION
from llmkube_downloader.store.completeness import MANIFEST_NAME as MANIFEST_NAME

STATES_NAME = ".llmkube.sha256"
# Who works in a directory, such as an attempt: a beacon.
OWNER = "owner.json"
SINGLE_GGUF_NAME = "model.gguf"
KEY = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Layout:
    """The paths below one root.

    - root: absolute path of the directory that holds the entries.
    """

    root: Path

    @property
    def state(self) -> Path:
        """The directory of everything that is not an entry."""
        return self.root / ".llmkube"

    @property
    def format(self) -> Path:
        """The file that says which version of the layout this is."""
        return self.state / "format.json"

    @property
    def trash(self) -> Path:
        """Where directories go before their files are unlinked."""
        return self.state / "trash"

    @property
    def quarantine(self) -> Path:
        """Where damaged entries go, so that their key can be fetched again."""
        return self.state / "quarantine"

    @property
    def adopting(self) -> Path:
        """The parent of the directories in which files of others become entries."""
        return self.state / "adopting"

    @property
    def all_staging(self) -> Path:
        """The parent of every key's staging."""
        return self.state / "staging"

    @property
    def all_leases(self) -> Path:
        """The parent of every key's leases."""
        return self.state / "leases"

    def entry(self, key: str) -> Path:
        """The entry of a key."""
        return self.root / key

    def generation(self, key: str, content: str) -> Path:
        """A later entry of a key, by its content (64 hexadecimal digits)."""
        return self.root / f"{key}-{content[:8]}"

    def staging(self, key: str) -> Path:
        """The parent of the attempts to build an entry."""
        return self.all_staging / key

    def refs(self, key: str) -> Path:
        """The directory of what says which generation of a key is used."""
        return self.state / "refs" / key

    def leases(self, key: str) -> Path:
        """The directory of a key's leases."""
        return self.all_leases / key

    def pin(self, key: str) -> Path:
        """The file that keeps a key from being removed."""
        return self.state / "pins" / key


def entry_names(paths: list[str]) -> dict[str, str]:
    """Map the path of each selected file to its path in the entry.

    A single GGUF file is called ``model.gguf``, as in existing caches; everything else keeps its path.
    """
    if len(paths) == 1 and paths[0].endswith(".gguf"):
        return {paths[0]: SINGLE_GGUF_NAME}
    return {path: path for path in paths}


def nonce() -> str:
    """Return a name that no other process uses: 32 hexadecimal digits."""
    return os.urandom(16).hex()
