"""A web server for chart repositories: files as they are, and Git repositories through Git's own server side."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit


@contextmanager
def serve(root: Path, host: str) -> Iterator[str]:
    """Serves a folder and yields its URL: what is below `git/` are bare repositories, the rest are files."""
    server = ThreadingHTTPServer((host, 0), partial(_Handler, directory=str(root)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(SimpleHTTPRequestHandler):
    """One request. Git's clients ask for more than files, so what is below /git/ is answered by `git http-backend`."""

    def do_GET(self) -> None:
        """Answers a GET."""
        if self.path.startswith("/git/"):
            self._git()
        else:
            super().do_GET()

    def do_POST(self) -> None:
        """Answers a POST, which only Git sends."""
        self._git()

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _git(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=os.environ | self._cgi(), capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _cgi(self) -> dict[str, str]:
        """The request, as the programs that answer for web servers expect it."""
        address = urlsplit(self.path)
        return {
            "GIT_PROJECT_ROOT": self.directory,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": address.path,
            "QUERY_STRING": address.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
