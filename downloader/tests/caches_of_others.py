"""Caches as other tools leave them, for the tests of adoption."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from weights import gguf, safetensors, sha256

from llmkube_downloader.key import parse_source

MODEL = gguf(300_000)
COMMIT = "c0ffee" + "0" * 34
SHARDS = {f"model-0000{number}-of-00002.safetensors": safetensors(200_000, seed=number) for number in (1, 2)}
INDEX = json.dumps({"weight_map": {name: name for name in SHARDS}}).encode()
REPOSITORY = {
    **SHARDS,
    "model.safetensors.index.json": INDEX,
    "config.json": b"{}",
    "tokenizer/tokenizer.json": b"[]",
    "README.md": b"# tiny",
}
SERVED = {name: data for name, data in REPOSITORY.items() if name != "README.md"}


def put(place: Path, files: dict[str, bytes]) -> Path:
    """Write files below a directory."""
    for name, data in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return place


def foreign(root: Path, source: str, files: dict[str, bytes]) -> Path:
    """Make the directory of a source without a manifest, as LLMKube does."""
    return put(root / parse_source(source).key, files)


def hub_cache(
    place: Path, repository: str, files: dict[str, bytes], *, refs: tuple[str, ...] = ("main",), commit: str = COMMIT
) -> Path:
    """Make the cache of the hub's client with one snapshot, and return the repository's directory."""
    folder = place / f"models--{repository.replace('/', '--')}"
    for name, data in files.items():
        blob = folder / "blobs" / blob_name(name, data)
        put(blob.parent, {blob.name: data})
        link = folder / "snapshots" / commit / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("../" * (2 + name.count("/")) + f"blobs/{blob.name}")
    for ref in refs:
        put(folder / "refs", {ref: commit.encode()})
    return folder


def blob_name(name: str, data: bytes) -> str:
    """Return what the hub calls a content: by its SHA-256 where it is large, else by its git object id."""
    if name.endswith((".gguf", ".safetensors")):
        return sha256(data)
    return git_blob(data)


def git_blob(data: bytes) -> str:
    """Return a git object id."""
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


def tree(place: Path) -> dict[str, bytes]:
    """Return the files below a directory but those of the store, with what links lead to."""
    files = (path for path in place.rglob("*") if path.is_file() and not path.name.startswith(".llmkube"))
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in files}


def everything(place: Path) -> dict[str, str]:
    """Return all that lies below a directory, to see whether anything changed: kinds, inodes, times and bytes."""
    return {
        str(
            path
        ): f"{status.st_mode} {status.st_ino} {status.st_mtime_ns} {path.read_bytes() if path.is_file() else b''!r}"
        for path in sorted(place.rglob("*"))
        for status in [path.lstat()]
    }
