"""A web server on the loopback that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import sys
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CERTIFICATES = Path(__file__).parent / "certificates"
_RANGE = re.compile(r"bytes=(?P<first>[0-9]*)-(?P<last>[0-9]*)")
# A socket closed with this option sends RST instead of FIN, and throws away what was not delivered.
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Generated:
    """A body of any size that takes no memory; ``make`` returns its bytes from the first to before the second place."""

    size: int
    make: Callable[[int, int], bytes]

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self.size)
        return self.make(start, stop)


@dataclass
class Reply:
    """One answer.

    - headers: set, or left out where the value is None, after those that follow from the rest. An ``ETag`` or a
      ``Last-Modified`` is also what If-Range is compared with.
    - framing: how the body ends: ``length``, ``chunked``, or ``close``.
    - ranges: whether a Range is answered with a part of the body; without, the whole body is sent.
    - raw: bytes that are sent in the place of status, headers and body, before the connection ends.
    - cut_at: before this byte the connection is closed; ``reset_at``: it is reset; ``garble_at``: it brings what is no
      TLS; ``stall_at``: the server waits there for ``go_on``, and sets ``stalled`` once it does. Bytes are those of the
      body, however ranges divide it, or of ``raw``; an answer that does not come by that byte has no such fault.
    - times: how many answers have these faults; None for all.
    - piece: bytes sent at once, with ``pause`` seconds after each piece.
    - hang_up: whether the connection is closed after the answer, which does not say so.
    """

    body: bytes | Generated = b""
    status: int = 200
    headers: Mapping[str, str | None] = field(default_factory=dict)
    framing: str = "length"
    ranges: bool = True
    raw: bytes | None = None
    cut_at: int | None = None
    reset_at: int | None = None
    garble_at: int | None = None
    stall_at: int | None = None
    times: int | None = None
    piece: int = 256 * 1024
    pause: float = 0
    hang_up: bool = False
    stalled: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def faults(self, start: int, end: int) -> dict[int, str]:
        """Return what happens to an answer with these bytes, by the byte before which it does."""
        planned = {"cut": self.cut_at, "reset": self.reset_at, "garble": self.garble_at, "stall": self.stall_at}
        size = len(self.body if self.raw is None else self.raw)
        met = {at: name for name, at in planned.items() if at is not None and (start <= at < end or at == end == size)}
        with self._lock:
            if not met or self.times == 0:
                return {}
            self.times = None if self.times is None else self.times - 1
            return met


@dataclass
class Asked:
    """One request as the server saw it, and the bytes of body that it sent, counted before the network has them."""

    method: str
    path: str
    headers: dict[str, str]
    sent: int = 0

    @property
    def range(self) -> str | None:
        """The Range header."""
        return self.headers.get("Range")


class Origin:
    """A web server; every path has a list of replies, of which the last one is repeated."""

    def __init__(
        self, host: str = "127.0.0.1", *, port: int = 0, tls: bool = False, certificate: str = "server.pem"
    ) -> None:
        self.asked: list[Asked] = []
        self.connections = 0  # that were made to it
        self.refuse_head = 0  # the status that HEAD gets instead of an answer
        self._replies: dict[str, list[Reply]] = defaultdict(list)
        self._deciders: dict[str, Callable[[Asked, int], Reply]] = {}
        self._given: list[Reply] = []
        self._lock = threading.Lock()
        self._server = _Server((host, port), _Handler)
        self._server.origin = self
        self.scheme = "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATES / certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self.scheme = "https"
        self.host = "localhost" if tls else host
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.002}, daemon=True)
        self._thread.start()

    def url(self, path: str) -> str:
        """Return the address of a path."""
        return f"{self.scheme}://{self.host}:{self.port}{path}"

    def serve(self, path: str, *replies: Reply | bytes) -> str:
        """Answer a path with the replies one after the other, and return its address."""
        self._replies[path] = [reply if isinstance(reply, Reply) else Reply(reply) for reply in replies]
        return self.url(path)

    def decide(self, path: str, decider: Callable[[Asked, int], Reply]) -> str:
        """Answer a path, with any query, by what a function makes of a GET and its number, from 1; return its address.

        A HEAD gets what the first GET would.
        """
        self._deciders[path] = decider
        return self.url(path)

    def redirect(self, path: str, target: str, status: int = 302, headers: dict[str, str] | None = None) -> str:
        """Answer a path with a redirect, and return its address."""
        return self.serve(path, Reply(status=status, headers={"Location": target, **(headers or {})}))

    def times(self, path: str, method: str = "GET") -> int:
        """Return how often a path was asked for, with any query where it has none."""
        return sum(1 for asked in self._of(path) if asked.method == method)

    def sent(self, path: str) -> int:
        """Return the bytes of bodies sent for a path, with any query where it has none."""
        return sum(asked.sent for asked in self._of(path))

    def next_reply(self, asked: Asked) -> Reply:
        """Return the reply to a request; a HEAD does not use one up."""
        with self._lock:
            self.asked.append(asked)
            reply = self._choose(asked)
            self._given.append(reply)
            return reply

    def close(self) -> None:
        """Let stalled answers go on, break all connections, and end."""
        if not self._thread.is_alive():
            return
        self._server.shutdown()
        with self._lock:
            for reply in self._given:
                reply.go_on.set()
        self._server.end_connections()
        self._server.server_close()
        self._thread.join()

    def _of(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if path in (asked.path, asked.path.partition("?")[0])]

    def _choose(self, asked: Asked) -> Reply:
        if asked.method == "HEAD" and self.refuse_head:
            return Reply(status=self.refuse_head)
        path = asked.path.partition("?")[0]
        if path in self._deciders:
            return self._deciders[path](asked, max(1, self.times(path)))
        replies = self._replies.get(asked.path) or [Reply(b"nothing here", status=404)]
        return replies[0] if len(replies) == 1 or asked.method == "HEAD" else replies.pop(0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    origin: Origin

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(address, handler)

    def end_connections(self) -> None:
        """Break every connection and wait for its thread."""
        with self._changed:
            for connection in self._open:
                _shut(connection)
            self._changed.wait_for(lambda: not self._open)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, then hand it to its thread."""
        with self._changed:
            self.origin.connections += 1
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection: in good order, or by a reset where a reply wants one."""
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_RESET)) != _RESET:
            _shut(request)
        self.close_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away in the middle are what these tests are about; all else is a mistake here."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def _shut(connection: socket.socket) -> None:
    try:
        # Not the method of a TLS socket, which makes it a plain one under the hands of the thread that uses it.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        return  # it has ended by itself


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        asked = Asked(self.command, self.path, dict(self.headers.items()))
        reply = cast(_Server, self.server).origin.next_reply(asked)
        if reply.raw is not None:
            self.close_connection = True
            self._send(asked, reply, 0, len(reply.raw))
            return
        status, start, end = _part(asked, reply)
        self.close_connection |= reply.framing == "close"
        self.send_response(status)
        for name, value in self._headers(reply, status, start, end).items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection |= reply.hang_up
        if self.command == "GET":
            self._send(asked, reply, start, end)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def _headers(self, reply: Reply, status: int, start: int, end: int) -> dict[str, str]:
        headers: dict[str, str | None] = {"Connection": "close"} if self.close_connection else {}
        if reply.ranges and reply.status == 200:
            headers["Accept-Ranges"] = "bytes"
        if reply.framing == "length":
            headers["Content-Length"] = str(end - start)
        if reply.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(reply.body)}"
        if status == 416:
            headers["Content-Range"] = f"bytes */{len(reply.body)}"
        kept = {name: value for name, value in {**headers, **reply.headers}.items() if value is not None}
        # A client that was promised more than comes would wait for the rest for ever.
        promised = kept.get("Content-Length", "")
        self.close_connection |= promised.isdigit() and int(promised) > end - start
        return kept

    def _send(self, asked: Asked, reply: Reply, start: int, end: int) -> None:
        faults = reply.faults(start, end)
        while True:
            fault = faults.pop(start, "")
            if fault == "stall":
                reply.stalled.set()
                reply.go_on.wait()
            if fault == "garble":
                # Past the TLS socket, which would encrypt it.
                socket.socket.sendall(self.connection, b"\x15\x03\x03\x00\x02\x02\x50")
            if fault in ("cut", "reset"):
                self._break_off(reset=fault == "reset")
                return
            if start == end:
                break
            stop = min([start + reply.piece, end, *(at for at in faults if at > start)])
            self._send_piece(asked, reply, start, stop)
            start = stop
        if reply.framing == "chunked" and reply.raw is None:
            self.wfile.write(b"0\r\n\r\n")

    def _send_piece(self, asked: Asked, reply: Reply, start: int, stop: int) -> None:
        piece = (reply.body if reply.raw is None else reply.raw)[start:stop]
        asked.sent += len(piece) if reply.raw is None else 0
        if reply.framing == "chunked" and reply.raw is None:
            piece = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
        self.wfile.write(piece)
        if reply.pause:
            reply.go_on.wait(reply.pause)

    def _break_off(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Keep quiet."""


def _part(asked: Asked, reply: Reply) -> tuple[int, int, int]:
    """Return the status of an answer, and from where to where of the body it sends."""
    size = len(reply.body)
    wanted = _RANGE.fullmatch(asked.range or "")
    if asked.method != "GET" or wanted is None or not reply.ranges or reply.status != 200 or not _holds(asked, reply):
        return reply.status, 0, size
    first, last = wanted["first"], wanted["last"]
    if not first:
        start, end = max(0, size - int(last or 0)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    return (206, start, end) if start < end else (416, 0, 0)


def _holds(asked: Asked, reply: Reply) -> bool:
    """Whether If-Range, where there is one, names what is there: by a strong tag, or by the very date."""
    condition = asked.headers.get("If-Range")
    if condition is None or condition.startswith(('"', "W/")):
        return condition is None or (condition == reply.headers.get("ETag") and not condition.startswith("W/"))
    modified = reply.headers.get("Last-Modified")
    try:
        return modified is not None and parsedate_to_datetime(condition) == parsedate_to_datetime(modified)
    except ValueError:
        return False
