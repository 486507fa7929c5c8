"""From a remote file into a file of an attempt: hashed as it is written, compared with what was promised."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.disk import storage_errors, write_all
from llmkube_downloader.store.staging import create_file
from llmkube_downloader.transfer.retry import Retries, interrupted
from llmkube_downloader.transfer.structure import HEAD_BYTES, check_start, check_whole
from llmkube_downloader.units import human_size

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.sources.interface import Body, RemoteFile
    from llmkube_downloader.transfer.progress import Meter

_BUFFER_BYTES = 256 * 1024


@dataclass(frozen=True)
class Received:
    """A file that is whole on disk."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Download:
    """Receives files one after the other.

    - retries: how often a file is begun again when its connection breaks.
    - meter: told about every byte.
    - most: bytes that all files together may have at most when an origin does not say; None for no limit.
    """

    retries: Retries
    meter: Meter
    most: int | None = None

    def receive(self, remote: RemoteFile, files: Path, name: str, sha256: str | None) -> Received:
        """Receive a remote file as ``name`` below the directory ``files``.

        - remote: what to receive.
        - files: the directory of the attempt.
        - name: relative path of the new file.
        - sha256: what its hash has to be; None when nobody knows.

        Raises DownloaderError: INTEGRITY, when the bytes are not what was promised; NO_SPACE, VOLUME and so on.
        """
        descriptor = create_file(files, name)
        try:
            received = self.retries.run(lambda: self._receive_once(remote, sha256, descriptor))
            _check_hash(remote.path, received.sha256, sha256)
            with storage_errors(f"writing {remote.path}"), os.fdopen(descriptor, "rb", closefd=False) as file:
                check_whole(remote.path, file, received.size)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return received

    def _receive_once(self, remote: RemoteFile, sha256: str | None, descriptor: int) -> Received:
        """Receive a file from its first byte, over whatever an earlier try left."""
        before = self.meter.done
        with storage_errors(f"writing {remote.path}"):
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.ftruncate(descriptor, 0)
        body = remote.open()
        try:
            return self._copy(remote, body, _expected_size(remote, body, sha256), descriptor)
        except BaseException:
            self.meter.rewind(self.meter.done - before)
            raise
        finally:
            body.close()

    def _copy(self, remote: RemoteFile, body: Body, expected: int | None, descriptor: int) -> Received:
        digest, size, head = hashlib.sha256(), 0, b""
        buffer = memoryview(bytearray(_BUFFER_BYTES))
        while count := body.readinto(buffer):
            piece = buffer[:count]
            size += count
            self.meter.advance(count)
            self._check_not_too_much(remote, size, expected)
            if len(head) < HEAD_BYTES:
                head += piece[: HEAD_BYTES - len(head)]
                if len(head) == HEAD_BYTES:
                    check_start(remote.path, head)
            digest.update(piece)
            with storage_errors(f"writing {remote.path}"):
                write_all(descriptor, piece)
        if expected is not None and size < expected:
            raise interrupted(f"{remote.path} ended after {human_size(size)} of {human_size(expected)}")
        check_start(remote.path, head)
        return Received(size, digest.hexdigest())

    def _check_not_too_much(self, remote: RemoteFile, size: int, expected: int | None) -> None:
        if expected is not None and size > expected:
            raise DownloaderError(
                ExitCode.INTEGRITY,
                f"{remote.path} goes on after the {expected} bytes that were announced",
                "The origin contradicts itself; report this to its owner.",
            )
        if self.most is not None and self.meter.done > self.most:
            raise too_large(f"{remote.path} has no announced size and goes on", self.most)


def too_large(what: str, most: int) -> DownloaderError:
    """Return the error for a model larger than the user expects."""
    return DownloaderError(
        ExitCode.POLICY, f"{what} beyond the {human_size(most)} expected", "Correct --expect-size, or the selection."
    )


def _expected_size(remote: RemoteFile, body: Body, sha256: str | None) -> int | None:
    """Return the size a body must have, refusing one that can not be proven whole."""
    if remote.size is not None and body.size is not None and remote.size != body.size:
        raise DownloaderError(
            ExitCode.INTEGRITY,
            f"{remote.path} is announced with {remote.size} bytes and sent with {body.size}",
            "The file may have changed at its origin just now; start again.",
        )
    if remote.size is None and sha256 is None and not body.delimited:
        raise DownloaderError(
            ExitCode.INTEGRITY,
            f"{remote.path} is sent without its size, so that a broken connection would look like its end",
            "Give its hash with --sha256, or use an origin that announces sizes.",
        )
    return body.size if remote.size is None else remote.size


def _check_hash(path: str, found: str, expected: str | None) -> None:
    if expected is not None and found != expected:
        raise DownloaderError(
            ExitCode.INTEGRITY,
            f"{path} has sha256 {found} instead of {expected}",
            "Start again; if it stays so, the origin's copy is not the one expected.",
        )
