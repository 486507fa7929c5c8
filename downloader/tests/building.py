"""Building entries and leases by hand, for the tests of the store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weights import gguf, sha256

from llmkube_downloader.store.journal import Identity
from llmkube_downloader.store.layout import Layout
from llmkube_downloader.store.manifest import FileRecord, Manifest, Selection
from llmkube_downloader.store.publish import publish

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = gguf()


KEY = "0123456789abcdef"
MODEL = gguf()


def manifest_of(files: dict[str, bytes], **changes: Any) -> Manifest:
    records = tuple(FileRecord(path, path, len(data), sha256(data), "sha256") for path, data in files.items())
    fields: dict[str, Any] = {
        "key": KEY,
        "source": "hf://org/repo",
        "selection": Selection(files=("a.gguf",)),
        "revision": "c0ffee",
        "files": records,
        "created": "2026-01-01T00:00:00+00:00",
        "tool": "llmkube-downloader test",
    }
    return Manifest(**{**fields, **changes})


def idle() -> tuple[int, int | None]:
    return 0, None


def content(path: str, data: bytes = MODEL, **changes: Any) -> Identity:
    """What a file of an attempt is to become."""
    fields: dict[str, Any] = {"path": path, "size": len(data), "sha256": sha256(data), "validator": None}
    return Identity(**{**fields, **changes})


def age(path: Path, seconds: float = 61) -> None:
    """Make a file as old as if its writer had died then."""
    moment = path.stat().st_mtime - seconds
    os.utime(path, (moment, moment))


def stage(layout: Layout, files: dict[str, bytes]) -> Path:
    """Write the files of an attempt and return its directory."""
    directory = layout.staging(KEY) / os.urandom(4).hex() / "files"
    directory.mkdir(parents=True)
    for path, data in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)
    return directory


def build(layout: Layout, files: dict[str, bytes] | None = None) -> Manifest:
    files = files or {"model.gguf": MODEL}
    return publish(layout, stage(layout, files), manifest_of(files))


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    return fail
