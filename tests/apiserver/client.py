"""Asking the API server over connections that stay open: a thousand times in seconds, where kubectl takes minutes."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chart.rendering import Object
from cluster.local.bringup import LocalCluster


class Api:
    """The API server, as its administrator; every thread has a connection of its own."""

    def __init__(self, running: LocalCluster) -> None:
        self.running = running
        pki: Path = running.layout.state / "pki"
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self._own = threading.local()
        self._opened: list[http.client.HTTPSConnection] = []

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in self._opened:
            connection.close()

    def ask(self, method: str, path: str, body: Object | None = None) -> tuple[int, Any]:
        """Return the status and what was answered. A body that is to be merged into an object goes with PATCH."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        connection = self._connection()
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": kind})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def done(self, method: str, path: str, body: Object | None = None) -> Any:
        """Return what was answered; it has to have been done."""
        status, answer = self.ask(method, path, body)
        assert status < 300, f"{method} {path}: {status}: {answer.get('message')}"
        return answer

    def watch(self, path: str) -> Changes:
        """Return the changes of a kind of object, from what exists on."""
        return Changes(self._connect(), path)

    def items(self, path: str) -> list[Object]:
        """Return the objects of a list."""
        return list(self.done("GET", path)["items"])

    def _connection(self) -> http.client.HTTPSConnection:
        if not hasattr(self._own, "connection"):
            self._own.connection = self._connect()
            self._opened.append(self._own.connection)
        connection: http.client.HTTPSConnection = self._own.connection
        if connection.sock and select.select([connection.sock], [], [], 0)[0]:
            # What can be read before anything was asked is the end: the server closes what was idle for long.
            connection.close()
        return connection

    def _connect(self) -> http.client.HTTPSConnection:
        server = urlsplit(self.running.layout.server)
        return http.client.HTTPSConnection(str(server.hostname), server.port, context=self._context, timeout=60)


class Changes:
    """What a watch sees, until it is closed."""

    def __init__(self, connection: http.client.HTTPSConnection, path: str) -> None:
        connection.connect()
        connection.sock.settimeout(None)  # nothing may happen for long
        connection.request("GET", f"{path}?watch=true")
        self._connection = connection
        self._answer = connection.getresponse()
        self._is_closed = False

    def close(self) -> None:
        """End the watch, also while another thread waits for a change, or is about to."""
        self._is_closed = True
        with contextlib.suppress(OSError):  # it has ended
            # Not by the method of TLS sockets: after it the other thread would take what is encrypted for an answer.
            socket.socket.shutdown(self._connection.sock, socket.SHUT_RDWR)

    def __iter__(self) -> Iterator[Object]:
        with contextlib.closing(self._connection):
            while line := self._next_line():
                yield json.loads(line)

    def _next_line(self) -> bytes:
        """Return the next change; nothing when the watch was closed, which may cut a change in two."""
        try:
            line = self._answer.readline()
        except (OSError, http.client.HTTPException):
            if not self._is_closed:
                raise
        return b"" if self._is_closed else line
