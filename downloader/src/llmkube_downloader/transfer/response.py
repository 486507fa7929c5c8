"""An answer whose body is being received, and the connections that wait for their next request."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from llmkube_downloader.transfer.retry import interrupted

if TYPE_CHECKING:
    from email.message import Message

    from llmkube_downloader.transfer.address import Address
    from llmkube_downloader.transfer.connection import Connection

_CHUNKED_BYTES = 64 * 1024
_CONTENT_RANGE = re.compile(r"bytes (?P<start>[0-9]{1,18})-(?P<end>[0-9]{1,18})/(?P<total>[0-9]{1,18}|\*)")


class Response:
    """An answer with success, its body not yet read. It is the Body of sources/interface.py."""

    def __init__(self, answer: http.client.HTTPResponse, connection: Connection, address: Address, pool: Pool) -> None:
        self._answer = answer
        self._connection = connection
        self._pool = pool
        self._left = None if answer.chunked else answer.length
        self.address = address
        self.headers: Message = answer.headers
        self.size = answer.length
        self.delimited = answer.length is not None or bool(answer.chunked)
        self.validator = _strong(answer.headers.get("ETag", ""))
        self.start, self.total = 0, answer.length
        if self.status == http.client.PARTIAL_CONTENT:
            self.start, self.total = _content_range(self)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._answer.status

    @property
    def public(self) -> bool:
        """Whether a host of the public internet gave the answer."""
        return self._connection.public

    def readinto(self, buffer: memoryview) -> int:
        """Put what has arrived into the buffer; see sources/interface.py."""
        try:
            if self._left is None:
                # Chunks are put together by the library, which waits until the buffer is full.
                return self._answer.readinto(buffer[:_CHUNKED_BYTES])
            return self._read_delimited(buffer[: self._left])
        except (OSError, http.client.HTTPException, ValueError) as error:
            # A ValueError is what reading from a connection that was just aborted comes to.
            raise interrupted(f"{self.address.host} stopped sending ({_reason(error)})") from error

    def close(self) -> None:
        """Keep the connection for the next request if its answer was read to the end, else close it."""
        reusable = self._left == 0 and not self._answer.will_close
        self._answer.close()
        if reusable:
            self._pool.give(self.address, self._connection)
        else:
            self._connection.http.close()

    def abort(self) -> None:
        """Wake up a readinto in another thread; see sources/interface.py."""
        sock = self._connection.http.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _read_delimited(self, buffer: memoryview) -> int:
        if not buffer:
            return 0
        # One read of the socket, past the library, which would wait until the buffer is full.
        count = self._answer.fp.readinto1(buffer)
        self._left = (self._left or 0) - count
        return count


class Pool:
    """Connections that wait for their next request. Several threads take from it."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, str, int], list[Connection]] = {}
        self._lock = threading.Lock()

    def take(self, address: Address, *, only_public: bool) -> Connection | None:
        """Return a connection to the origin of an address, the one last used; None when there is none."""
        with self._lock:
            idle = self._idle.get(address.origin, [])
            return idle.pop() if idle and (idle[-1].public or not only_public) else None

    def give(self, address: Address, connection: Connection) -> None:
        """Keep a connection that has no answer under way."""
        with self._lock:
            self._idle.setdefault(address.origin, []).append(connection)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for connection in (connection for idle in self._idle.values() for connection in idle):
                connection.http.close()
            self._idle.clear()


def _strong(tag: str) -> str | None:
    """Return an ETag unless it is weak: those are shared by contents that are equal only in meaning."""
    return tag if tag.startswith('"') and tag.isascii() else None


def _content_range(response: Response) -> tuple[int, int | None]:
    """Return where a partial answer begins and how long the whole file is.

    Raises TransientError: when it does not say so, or not what its length says.
    """
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None or response.size not in (None, int(match["end"]) - int(match["start"]) + 1):
        response.close()
        raise interrupted(f"{response.address.display} answered with a part of the file without saying which")
    return int(match["start"]), None if match["total"] == "*" else int(match["total"])


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it was silent for too long"
    return getattr(error, "strerror", None) or type(error).__name__
