"""One listening HTTP server: reads requests, lets the faults act, sends answers."""

import socket
import struct
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from fakehub.exchange import Request, Response
from fakehub.faults import Fault, FaultTable
from fakehub.record import Record, RequestLog
from fakehub.sabotage import answer, pieces

Application = Callable[[Request], Response]

_BODILESS = frozenset({204, 304})
# A socket closed with this option sends RST instead of FIN and throws away what was not delivered.
_LINGER_RESET = struct.pack("ii", 1, 0)


class Listener(ThreadingHTTPServer):
    """A server with one thread per connection, whose connections all end when it is closed.

    `control`, when given, answers the paths below `/_fakehub/`; those requests are neither recorded nor hit by faults.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        name: str,
        address: tuple[str, int],
        application: Application,
        faults: FaultTable,
        log: RequestLog,
        control: Application | None = None,
    ) -> None:
        self.name = name
        self.application = application
        self.faults = faults
        self.log = log
        self.control = control
        self._connections: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(address, _Handler)

    @property
    def url(self) -> str:
        """The URL of the address it is bound to; a wildcard address is reached as 127.0.0.1."""
        host, port = self.server_address[:2]
        return f"http://{'127.0.0.1' if host in ('', '0.0.0.0') else host!s}:{port}"

    def start(self) -> None:
        """Serve in a thread until `close`."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        """Stop listening, break every open connection and wait for their threads."""
        self.shutdown()
        with self._changed:
            for connection in self._connections:
                _break(connection)
            self._changed.wait_for(lambda: not self._connections)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, then hand it to its thread."""
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection: in good order, or by a reset where a fault asked for one."""
        linger = request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_LINGER_RESET))
        if linger == _LINGER_RESET:
            self.close_request(request)
        else:
            super().shutdown_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report errors, except that the peer went away, which tests make happen on purpose."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _break(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended by itself


class _Handler(BaseHTTPRequestHandler):
    """Reads and answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "fakehub"
    sys_version = ""

    def handle_request(self) -> None:
        """Answer one request, of any method."""
        server = cast(Listener, self.server)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request.parse(server.name, self.command, self.path, self.headers, body)
        if server.control is not None and request.path.startswith("/_fakehub/"):
            self._send(request, server.control(request), Fault(), Record.of(request))
            return
        record = server.log.begin(request)
        try:
            self._serve(server, request, record)
        finally:
            server.log.end(record)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_request  # noqa: N815

    def _serve(self, server: Listener, request: Request, record: Record) -> None:
        normal = server.application(request)
        fault = Fault.merged(server.faults.strike(request, normal))
        if fault.delay:
            server.faults.pause(fault.delay)
        self._send(request, answer(request, server.application, normal, fault), fault, record)

    def _send(self, request: Request, response: Response, fault: Fault, record: Record) -> None:
        bodiless = request.method == "HEAD" or response.status in _BODILESS
        if response.headers.get("Content-Length") != str(response.length) and not bodiless:
            self.close_connection = True  # only the end of the connection tells where this body ends
        record.status = response.status
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if not bodiless:
            self._send_body(response, fault, record)

    def _send_body(self, response: Response, fault: Fault, record: Record) -> None:
        faults = cast(Listener, self.server).faults
        for offset, piece in pieces(response, fault):
            if offset == fault.stall_at:
                faults.stall()
            if offset in (fault.truncate_at, fault.reset_at):
                self._break_off(reset=offset == fault.reset_at)
                return
            record.bytes += len(piece)
            self.wfile.write(piece)
            if fault.bytes_per_second:
                faults.pause(len(piece) / fault.bytes_per_second)

    def _break_off(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: the request log has it."""
