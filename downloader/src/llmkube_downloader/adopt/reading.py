"""Reading a file once: what it is, whether it is what was promised, and a copy of it where one is wanted."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sha256 import CHECKPOINT_BYTES, Sha256, checkpoint_count
from llmkube_downloader.store.disk import create_exclusively, write_all
from llmkube_downloader.transfer.structure import HEAD_BYTES, check_start, check_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmkube_downloader.adopt.candidate import Original

_PIECE_BYTES = 1024 * 1024
# Bytes after which a copy is made durable, so that its end does not take minutes.
_SYNC_BYTES = 256 * 1024 * 1024
_FETCH = "Its bytes are damaged, or somebody changed them: fetch the source instead."


@dataclass(frozen=True)
class Proof:
    """What a file is.

    - sha256: of its bytes.
    - states: the SHA-256 states after every CHECKPOINT_BYTES; none when the process has no states.
    """

    sha256: str
    states: tuple[bytes, ...]


def check_structure(original: Original) -> None:
    """Refuse a file whose beginning or header is not what its name says.

    Raises DownloaderError: INTEGRITY.
    Raises OSError: when it can not be read.
    """
    with original.path.open("rb") as file:
        check_start(original.name, file.read(HEAD_BYTES))
        check_whole(original.name, file, original.size)


def prove(original: Original, path: Path, advance: Callable[[int], None]) -> Proof:
    """Read a file, make it durable, and refuse it when it is not what was promised.

    - path: where its bytes lie: those of the original, or of a copy.
    - advance: told the bytes of every piece that was read.

    Raises DownloaderError: INTEGRITY.
    Raises OSError: when it can not be read.
    """
    return _read(original, path, None, advance)


def copy(original: Original, target: Path, advance: Callable[[int], None]) -> Proof:
    """Copy a file while it is read, make the copy durable, and refuse it when it is not what was promised.

    Raises as ``prove`` does.
    """
    writer = create_exclusively(target)
    try:
        return _read(original, original.path, writer, advance)
    finally:
        os.close(writer)


def _read(original: Original, path: Path, writer: int | None, advance: Callable[[int], None]) -> Proof:
    reader = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        before = os.fstat(reader)
        with os.fdopen(os.dup(reader), "rb") as file:
            check_start(original.name, file.read(HEAD_BYTES))
            check_whole(original.name, file, before.st_size)
        blob = hashlib.sha1(f"blob {before.st_size}\0".encode(), usedforsecurity=False) if original.blob else None
        digest, states = _hash(reader, writer, blob, advance)
        os.fsync(reader if writer is None else writer)
        after = os.fstat(reader)
    finally:
        os.close(reader)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or digest.length != original.size:
        raise _wrong(original, "was changed while it was read", "Wait until nobody writes to it, then start again.")
    proof = Proof(digest.hexdigest(), states)
    if original.sha256 and original.sha256 != proof.sha256:
        raise _wrong(original, f"has sha256 {proof.sha256} instead of {original.sha256}", _FETCH)
    if blob and original.blob != blob.hexdigest():
        raise _wrong(original, f"has the git object id {blob.hexdigest()} instead of {original.blob}", _FETCH)
    return proof


def _hash(
    reader: int, writer: int | None, blob: hashlib._Hash | None, advance: Callable[[int], None]
) -> tuple[Sha256, tuple[bytes, ...]]:
    """Hash a file to its end, and return its states too; what is read is written where there is a writer."""
    digest = Sha256()
    states: list[bytes] = []
    buffer = memoryview(bytearray(_PIECE_BYTES))
    # A piece never goes beyond a state, also where a read ends early.
    while count := os.preadv(reader, [buffer[: CHECKPOINT_BYTES - digest.length % CHECKPOINT_BYTES]], digest.length):
        piece = buffer[:count]
        if writer is not None:
            write_all(writer, piece)
        if blob is not None:
            blob.update(piece)
        digest.update(piece)
        advance(count)
        if digest.length % CHECKPOINT_BYTES == 0 and (state := digest.state()):
            states.append(state)
        if writer is not None and digest.length % _SYNC_BYTES == 0:
            os.fdatasync(writer)
    return digest, tuple(states[: checkpoint_count(digest.length)])


def _wrong(original: Original, what: str, action: str) -> DownloaderError:
    return DownloaderError(ExitCode.INTEGRITY, f"{original.path} {what}", action)
