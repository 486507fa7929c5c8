"""A web server in a process of its own that sends one model at a limited rate, and remembers which bytes it sent.

What a client that is killed had not read yet counts as sent. Small socket buffers and a rate below what clients can
take keep that to what such a client really loses.
"""

from __future__ import annotations

import argparse
import json
import re
import select
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

from faults.content import Content, weights

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_PIECE = 16 * 1024
_SEND_BUFFER = 8 * 1024
_BURST_SECONDS = 0.002
_RANGE = re.compile(r"bytes=(?P<first>[0-9]+)-(?P<last>[0-9]*)")


class Origin:
    """The server as its user sees it. Use it as a context manager.

    - url: its address without a path; it answers every path with the same bytes.
    - content: these bytes.
    """

    def __init__(self, size: int, rate: int) -> None:
        """Send weights of `size` bytes at `rate` bytes per second, over all connections together."""
        self.content = weights(size)
        arguments = ["--size", str(size), "--rate", str(rate)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.origin", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = str(self._answer())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The server ends with its standard input.
        self._process.communicate()

    def settle(self) -> list[tuple[int, int]]:
        """Wait until nothing is being sent, and return what was since the last call: ranges, each up to its end."""
        return [(start, end) for start, end in self._ask("settle")]

    def hold_after(self, count: int) -> None:
        """Send `count` bytes more, and then nothing until `go_on`."""
        self._ask(f"hold {count}")

    def await_held(self) -> None:
        """Wait until all was sent that `hold_after` allowed."""
        self._ask("held")

    def go_on(self) -> None:
        """Hold no more."""
        self._ask("go")

    def _ask(self, command: str) -> Any:
        assert self._process.stdin
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


class _Valve:
    """Lets so many bytes pass per second, and none beyond a mark when there is one."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._free_at = time.monotonic()
        self._changed = threading.Condition()
        self._left: int | None = None

    def pass_on(self, count: int) -> int:
        """Wait until bytes may pass, and return how many: `count`, or fewer in front of the mark."""
        with self._changed:
            self._changed.wait_for(lambda: self._left != 0)
            if self._left is not None:
                count = min(count, self._left)
                self._left -= count
                self._changed.notify_all()
            self._free_at = max(self._free_at, time.monotonic() - _BURST_SECONDS) + count / self._rate
            wait = self._free_at - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        return count

    def mark(self, left: int | None) -> None:
        """Let only so many bytes pass from now on; None for all."""
        with self._changed:
            self._left = left
            self._changed.notify_all()

    def await_mark(self) -> None:
        """Wait until the mark is reached."""
        with self._changed:
            self._changed.wait_for(lambda: self._left == 0)


@dataclass
class _Ledger:
    """What was sent, and how many answers are under way."""

    sent: list[list[int]] = field(default_factory=list)
    busy: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def begin(self, start: int) -> list[int]:
        with self.changed:
            self.busy += 1
            self.sent.append([start, start])
            return self.sent[-1]

    def end(self) -> None:
        with self.changed:
            self.busy -= 1
            self.changed.notify_all()

    def settle(self) -> list[list[int]]:
        with self.changed:
            self.changed.wait_for(lambda: not self.busy)
            sent, self.sent = self.sent, []
            return [each for each in sent if each[0] < each[1]]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, content: Content, rate: int) -> None:
        self.content = content
        self.valve = _Valve(rate)
        self.ledger = _Ledger()
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Keep little of what was sent and not yet read."""
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self._poller = select.poll()
        self._poller.register(self.request, select.POLLOUT | select.POLLRDHUP)
        super().setup()

    def do_GET(self) -> None:
        server = cast(_Server, self.server)
        etag = f'"{server.content.size}"'
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        start, end = 0, server.content.size
        if wanted and self.headers.get("If-Range", etag) == etag:
            start = int(wanted["first"])
            end = min(end, int(wanted["last"]) + 1) if wanted["last"] else end
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{server.content.size}")
        else:
            self.send_response(200)
        self.send_header("ETag", etag)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(end - start))
        if self.command == "HEAD":
            self.end_headers()
        else:
            self._send(server, start, end)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def _send(self, server: _Server, start: int, end: int) -> None:
        sent = server.ledger.begin(start)
        try:
            self.end_headers()
            while sent[1] < end:
                piece = server.content.piece(sent[1], server.valve.pass_on(min(_PIECE, end - sent[1])))
                while piece:
                    count = self._send_some(piece)
                    sent[1] += count
                    piece = piece[count:]
        finally:
            server.ledger.end()

    def _send_some(self, piece: memoryview) -> int:
        """Send what there is room for, and return how much that is, unless the client is gone.

        Who closes a connection after shutting it down would otherwise be waited for a minute, its window being shut.
        """
        ready = self._poller.poll()
        if ready[0][1] & select.POLLRDHUP:
            raise ConnectionResetError
        return int(self.connection.send(piece, socket.MSG_DONTWAIT))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Keep quiet."""


def main() -> None:
    """Serve, and obey what comes on standard input until it ends."""
    parser = argparse.ArgumentParser()
    for name in ("--size", "--rate"):
        parser.add_argument(name, type=int, required=True)
    arguments = parser.parse_args()
    server = _Server(weights(arguments.size), arguments.rate)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _say(f"http://127.0.0.1:{server.server_address[1]}")
    for line in sys.stdin:
        _say(_obey(server, *line.split()))


def _obey(server: _Server, command: str, *numbers: str) -> Any:
    if command == "settle":
        return server.ledger.settle()
    if command == "held":
        return server.valve.await_mark()
    return server.valve.mark(int(numbers[0]) if numbers else None)


def _say(answer: Any) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
