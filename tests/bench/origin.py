"""The web server that all contenders are measured against: nginx on the loopback, as fast as it is and slowed down."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = "acme/bench"
FILE = "model.gguf"
# Each connection of the slow server gets so many bytes per second.
SLOW = 50 * 1024 * 1024
_FAST_PORT, _SLOW_PORT = 18081, 18082
_CONFIGURATION = """
worker_processes 2;
daemon off;
pid {state}/pid;
error_log {state}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path {state};
    proxy_temp_path {state};
    fastcgi_temp_path {state};
    uwsgi_temp_path {state};
    scgi_temp_path {state};
    server {{ listen 127.0.0.1:{fast}; root {files}; }}
    server {{ listen 127.0.0.1:{slow}; root {files}; limit_rate {rate}; }}
}}
"""


@dataclass(frozen=True)
class Site:
    """One way to the model: its plain address, and a hub that redirects to the same server."""

    url: str
    hub: str


@contextmanager
def serving(folder: Path) -> Iterator[tuple[Site, Site]]:
    """Serve `folder`/model.gguf until the block ends: as fast as the machine is, and slowly.

    The hub tells sizes and hashes; the bytes come from nginx, as those of the real one come from a CDN.
    """
    files, state = folder / "hub", folder / "nginx"
    snapshot, contents = files / REPOSITORY / "main", files / "repos" / REPOSITORY
    for directory in (snapshot, contents, state):
        directory.mkdir(parents=True)
    digest = hashlib.sha256()
    with (folder / FILE).open("rb") as model:
        while piece := model.read(1024 * 1024):
            digest.update(piece)
    for name in (snapshot / FILE, contents / digest.hexdigest()):
        name.hardlink_to(folder / FILE)
    configuration = state / "nginx.conf"
    ports = {"fast": _FAST_PORT, "slow": _SLOW_PORT, "rate": SLOW}
    configuration.write_text(_CONFIGURATION.format(state=state, files=files, **ports))
    path = f"{REPOSITORY}/main/{FILE}"
    with subprocess.Popen(["nginx", "-e", str(state / "error.log"), "-c", str(configuration)]) as server:
        try:
            with _in_front_of(files, _FAST_PORT) as fast, _in_front_of(files, _SLOW_PORT) as slow:
                yield (
                    Site(f"http://127.0.0.1:{_FAST_PORT}/{path}", fast),
                    Site(f"http://127.0.0.1:{_SLOW_PORT}/{path}", slow),
                )
        finally:
            server.terminate()


@contextmanager
def hub(files: Path, *flags: str) -> Iterator[str]:
    """Run a hub of the repositories below a folder until the block ends, and yield its endpoint."""
    command = [sys.executable, "-m", "fakehub", "--root", str(files), "--request-log", "/dev/null"]
    command += ["--listen", "127.0.0.1:0", "--cdn-listen", "127.0.0.1:0", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield str(json.loads(process.stdout.readline())["endpoint"])
        finally:
            process.terminate()


def _in_front_of(files: Path, port: int) -> AbstractContextManager[str]:
    """Run a hub whose files come from a port of nginx."""
    return hub(files, "--cdn-url", f"http://127.0.0.1:{port}")
