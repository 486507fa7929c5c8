"""Entries as fetches of sources would make them, and what the launcher answers about them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from building import manifest_of
from weights import gguf

from llmkube_downloader import launch

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.key import Source

MODEL = gguf()
SOURCE = "hf://org/repo@v1/q4/tiny.gguf"


def put(root: Path, source: Source, files: dict[str, bytes], name: str = "") -> Path:
    """Make an entry as a fetch of the source would."""
    entry = root / (name or source.key)
    for path, data in files.items():
        (entry / path).parent.mkdir(parents=True, exist_ok=True)
        (entry / path).write_bytes(data)
    manifest = manifest_of(files, key=source.key, source=source.display, revision=source.revision)
    (entry / ".llmkube.json").write_bytes(manifest.dump())
    return entry


def launched(*arguments: str | Path) -> str | None:
    """Return what the launcher answers, None when it leaves that to the full command line."""
    try:
        output = launch.answer(list(map(str, arguments)), dict(os.environb))
    except Exception:
        return None
    return None if output is None else output.decode()
