"""An answer whose body is being received, and the connections that wait for their next request."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from llmkube_downloader.transfer.retry import interrupted
from llmkube_downloader.units import human_size

if TYPE_CHECKING:
    from email.message import Message

    from llmkube_downloader.transfer.address import Address
    from llmkube_downloader.transfer.connection import Connection

# What has to arrive in the time after which silence counts as a broken connection.
_LEAST_BYTES = 16 * 1024
_CONTENT_RANGE = re.compile(r"bytes (?P<start>[0-9]{1,18})-(?P<end>[0-9]{1,18})/(?P<total>[0-9]{1,18}|\*)")


class Response:
    """An answer with success, its body not yet read. It is the Body of sources/interface.py."""

    def __init__(self, answer: http.client.HTTPResponse, connection: Connection, address: Address, pool: Pool) -> None:
        self._answer = answer
        self._connection = connection
        self._pool = pool
        self._left = None if answer.chunked else answer.length
        self._patience = connection.sock.gettimeout() or 0.0
        self._came, self._waited = 0, 0.0
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
        began = monotonic()
        try:
            count = self._read(buffer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            # A ValueError is what reading from a connection that was just aborted comes to.
            raise interrupted(f"{self.address.host} stopped sending ({_reason(error)})") from error
        self._check_pace(count, monotonic() - began)
        return count

    def close(self) -> None:
        """Keep the connection for the next request if its answer was read to the end, else close it."""
        if self._answer.closed:
            # Given back twice, one connection would get the questions of two threads.
            return
        reusable = self._left == 0 and not self._answer.will_close
        self._answer.close()
        if reusable:
            self._pool.give(self.address, self._connection)
        else:
            self._connection.http.close()

    def abort(self) -> None:
        """Wake up a readinto in another thread; see sources/interface.py."""
        with suppress(OSError):
            # Not the method of a TLS socket: that makes it a plain one under the hands of the thread that reads, which
            # then takes what is still encrypted for the file.
            socket.socket.shutdown(self._connection.sock, socket.SHUT_RDWR)

    def _read(self, buffer: memoryview) -> int:
        """Read the socket once; the library by itself would wait until the buffer is full."""
        if self._left is None:
            data = self._answer.read1(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        if not self._left:
            return 0
        count = self._answer.fp.readinto1(buffer[: self._left])
        self._left -= count
        return count

    def _check_pace(self, count: int, seconds: float) -> None:
        """Give up a connection that drips: it is never silent, and would last for days.

        Raises TransientError.
        """
        self._came += count
        self._waited += seconds
        if self._waited < self._patience:
            return
        if count and self._came < _LEAST_BYTES:
            raise interrupted(f"{self.address.host} sends less than {human_size(_LEAST_BYTES)} in {self._patience:g} s")
        self._came, self._waited = 0, 0.0


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
    if isinstance(error, http.client.IncompleteRead):
        return "it broke off"
    return getattr(error, "strerror", None) or type(error).__name__
