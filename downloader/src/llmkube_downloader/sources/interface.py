"""What an origin has to offer. The transfer, the store and the command line know nothing else of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkube_downloader.key import Source


class Body(Protocol):
    """The bytes of one remote file, being received.

    - size: bytes that will follow; None when the origin does not say.
    - delimited: whether the end of the bytes can be told from a connection that broke.
    """

    size: int | None
    delimited: bool

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer as far as possible and return the bytes received; 0 at the end.

        Raises TransientError: when the connection broke or stalled.
        """

    def close(self) -> None:
        """Let go of the connection or file."""


@dataclass(frozen=True)
class RemoteFile:
    """One file that an origin holds.

    - path: relative, with ``/``; checked, so that it can be used below a directory.
    - size: bytes, None when the origin does not say.
    - sha256: what the origin says its hash is, 64 hexadecimal digits; None when it does not say.
    - open: starts receiving the file from its first byte.
    """

    path: str
    size: int | None
    sha256: str | None
    open: Callable[[], Body]


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
