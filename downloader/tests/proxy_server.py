"""A proxy on the loopback."""

from __future__ import annotations

import select
import socket
import threading


class Proxy:
    """A proxy that tunnels, and passes plain requests on, each over a connection of its own.

    - password: wanted in Proxy-Authorization, in base64; empty for none.
    - status: answered to everything; 0 to do what was asked.
    - asked: the request lines it got.
    - heads: these with their headers; what goes through a tunnel it does not see.
    """

    def __init__(self, password: str = "", status: int = 0) -> None:
        self.password = password
        self.status = status
        self.heads: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def asked(self) -> list[str]:
        """The request lines, one after the other."""
        return [_request_line(head) for head in self.heads]

    def close(self) -> None:
        """Accept no more."""
        if not self._thread.is_alive():
            return
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
                received = client.recv(65536)
                if not received:
                    return
                head += received
            self.heads.append(head)
            if refusal := self._refusal(head):
                client.sendall(b"HTTP/1.1 %d Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % refusal)
                return
            method, target, _ = _request_line(head).split()
            host, port = (target if method == "CONNECT" else target.split("/")[2]).rsplit(":", 1)
            with socket.create_connection((host, int(port))) as server:
                if method == "CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    server.sendall(_passed_on(head, target))
                _exchange(client, server)

    def _refusal(self, head: bytes) -> int:
        if self.password and b"Proxy-Authorization: Basic " + self.password.encode() not in head:
            return 407
        return self.status


def _request_line(head: bytes) -> str:
    return head.split(b"\r\n")[0].decode()


def _passed_on(head: bytes, target: str) -> bytes:
    """Return a plain request as its server gets it; that ends the connection after it, and the client's with it."""
    path = "/" + target.split("/", 3)[3]
    return head.replace(target.encode(), path.encode(), 1).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


def _exchange(client: socket.socket, server: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([client, server], [], [])
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (server if source is client else client).sendall(data)
