"""Servers on the loopback that answer what a test tells them to, and remember what they were asked."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

CERTIFICATES = Path(__file__).parent / "certificates"


@dataclass
class Reply:
    """One answer.

    `framing` is how the body ends: `length`, `chunked`, or `close`. With `cut_at` the connection breaks before that
    byte. With `stall_at` the server waits there for `go_on`, and sets `stalled` once it does.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    framing: str = "length"
    cut_at: int | None = None
    stall_at: int | None = None
    stalled: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it."""

    method: str
    path: str
    headers: dict[str, str]


class Origin:
    """A web server; every path has a list of replies, of which the last one is repeated."""

    def __init__(self, host: str = "127.0.0.1", *, tls: bool = False) -> None:
        self.asked: list[Asked] = []
        self.refuse_head = 0  # the status that HEAD gets instead of an answer
        self._replies: dict[str, list[Reply]] = defaultdict(list)
        self._server = _Server((host, 0), _Handler)
        self._server.origin = self
        self.scheme = "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATES / "server.pem")
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self.scheme = "https"
        self.host = "localhost" if tls else host
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def url(self, path: str) -> str:
        """Return the address of a path."""
        return f"{self.scheme}://{self.host}:{self.port}{path}"

    def serve(self, path: str, *replies: Reply | bytes) -> str:
        """Answer a path with the replies one after the other, and return its address."""
        self._replies[path] = [reply if isinstance(reply, Reply) else Reply(reply) for reply in replies]
        return self.url(path)

    def redirect(self, path: str, target: str, status: int = 302, headers: dict[str, str] | None = None) -> str:
        """Answer a path with a redirect, and return its address."""
        return self.serve(path, Reply(status=status, headers={"Location": target, **(headers or {})}))

    def times(self, path: str, method: str = "GET") -> int:
        """Return how often a path was asked for."""
        return sum(1 for asked in self.asked if (asked.method, asked.path) == (method, path))

    def next_reply(self, asked: Asked) -> Reply:
        """Return the reply to a request; a HEAD does not use one up."""
        self.asked.append(asked)
        if asked.method == "HEAD" and self.refuse_head:
            return Reply(status=self.refuse_head)
        replies = self._replies.get(asked.path) or [Reply(b"nothing here", status=404)]
        return replies[0] if len(replies) == 1 or asked.method == "HEAD" else replies.pop(0)

    def close(self) -> None:
        """Let stalled answers go on, and end."""
        if not self._thread.is_alive():
            return
        for replies in self._replies.values():
            for reply in replies:
                reply.go_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    origin: Origin

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away in the middle are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        reply = cast(_Server, self.server).origin.next_reply(Asked(self.command, self.path, dict(self.headers.items())))
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.framing == "length" and "Content-Length" not in reply.headers:
            self.send_header("Content-Length", str(len(reply.body)))
        if reply.framing == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command == "GET":
            self._send_body(reply)
        self.close_connection = True

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def _send_body(self, reply: Reply) -> None:
        body = reply.body if reply.cut_at is None else reply.body[: reply.cut_at]
        stall_at = len(body) if reply.stall_at is None else reply.stall_at
        self._send(reply, body[:stall_at])
        if reply.stall_at is not None:
            self.wfile.flush()
            reply.stalled.set()
            reply.go_on.wait()
            self._send(reply, body[stall_at:])
        if reply.framing == "chunked" and reply.cut_at is None:
            self.wfile.write(b"0\r\n\r\n")

    def _send(self, reply: Reply, piece: bytes) -> None:
        if reply.framing == "chunked" and piece:
            piece = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
        self.wfile.write(piece)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Keep quiet."""


class Proxy:
    """A proxy that tunnels, and passes plain requests on; with a password it wants one."""

    def __init__(self, password: str = "") -> None:
        self.password = password
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Accept no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(65536)
            line = head.split(b"\r\n")[0].decode()
            self.asked.append(line)
            if self.password and b"Proxy-Authorization: Basic " + self.password.encode() not in head:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            method, target, _ = line.split()
            host, port = (target if method == "CONNECT" else target.split("/")[2]).rsplit(":", 1)
            with socket.create_connection((host, int(port))) as server:
                if method == "CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    server.sendall(head.replace(target.encode(), b"/" + target.split("/", 3)[3].encode(), 1))
                _pass_on(client, server)


def _pass_on(client: socket.socket, server: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([client, server], [], [])
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (server if source is client else client).sendall(data)
