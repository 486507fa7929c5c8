"""What an origin has to offer. The transfer, the store and the command line know nothing else of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmkube_downloader.key import Source


@dataclass(frozen=True)
class Span:
    """A stretch of a remote file.

    - start: its first byte.
    - end: the byte after its last one; None for the end of the file.
    - validator: what the content was called before; an origin that calls it otherwise now sends the whole new content.
    """

    start: int = 0
    end: int | None = None
    validator: str | None = None


class Body(Protocol):
    """The bytes of one remote file, being received.

    - start: where in the file they begin; 0 when the origin sends the whole file instead of the span asked for.
    - size: bytes that will follow; None when the origin does not say.
    - total: bytes of the whole file; None when the origin does not say.
    - validator: what the origin calls this content, byte for byte; None when it does not say.
    - delimited: whether the end of the bytes can be told from a connection that broke.
    """

    start: int
    size: int | None
    total: int | None
    validator: str | None
    delimited: bool

    def readinto(self, buffer: memoryview) -> int:
        """Put what has arrived into the buffer, waiting for something, and return its bytes; 0 at the end.

        Raises TransientError: when the connection broke or stalled.
        """

    def close(self) -> None:
        """Let go of the connection or file."""

    def abort(self) -> None:
        """Wake up a ``readinto`` in another thread, which then fails."""


@dataclass(frozen=True)
class RemoteFile:
    """One file that an origin holds.

    - path: relative, with ``/``; checked, so that it can be used below a directory.
    - size: bytes, None when the origin does not say.
    - sha256: what the origin says its hash is, 64 hexadecimal digits; None when it does not say.
    - open: starts receiving a span of the file.
    - validator: what the origin calls the content now, byte for byte; None when it does not say.
    - copy: where a copy of it lies on a volume that is taken instead, which costs no bandwidth and may be damaged.
    """

    path: str
    size: int | None
    sha256: str | None
    open: Callable[[Span], Body]
    validator: str | None = None
    copy: Path | None = None


@dataclass(frozen=True)
class Plan:
    """What a source resolves to now.

    - revision: what names this state of the source for ever, such as a commit; None when nothing does.
    - files: the selected files, at least one, without repetition.
    """

    revision: str | None
    files: tuple[RemoteFile, ...]


class Origin(Protocol):
    """A kind of place that models come from."""

    def resolve(self, source: Source) -> Plan:
        """Ask the origin what the source consists of.

        Raises DownloaderError: with the code that says why it can not be had.
        """
