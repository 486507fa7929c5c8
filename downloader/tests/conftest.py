"""What all tests of the downloader share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from command_line import SOURCES, Done, Run, Start
from origin_server import CERTIFICATES, Origin

from llmkube_downloader import cli
from llmkube_downloader.store.layout import Layout
from llmkube_downloader.store.volume import prepare
from llmkube_downloader.transfer import retry, ring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave nothing of the developer's settings to the tests."""
    for name in os.environ:
        if name.lower().endswith("_proxy") or name.startswith(("LLMKUBE_", "HF_", "HUGGING")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "ca.pem"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of a cache that is not there yet."""
    return tmp_path / "models"


@pytest.fixture
def layout(root: Path) -> Layout:
    """A cache that is ready for writing."""
    layout = Layout(root)
    prepare(layout)
    return layout


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line within this process."""
    monkeypatch.setattr(cli, "install_handlers", lambda: None)

    def invoke(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["llmkube-downloader", *map(str, arguments)])
        capsys.readouterr()
        mask = os.umask(0o022)
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main()
        finally:
            os.umask(mask)
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return invoke


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the command line as a process of its own, which does not outlive the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str | Path, within: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        command = [*within, sys.executable, "-m", "llmkube_downloader", *map(str, arguments)]
        process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCES), os.environ.get("PYTHONPATH", "")])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A web server without encryption."""
    server = Origin()
    yield server
    server.close()


@pytest.fixture
def secure_origin() -> Iterator[Origin]:
    """A web server with encryption, whose authority SSL_CERT_FILE names."""
    server = Origin(tls=True)
    yield server
    server.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Do not wait between tries; return how long each wait would have been."""
    waited: list[float] = []
    monkeypatch.setattr(retry, "sleep", waited.append)
    monkeypatch.setattr(ring.Ring, "rest", lambda _, seconds: waited.append(seconds))
    return waited


@pytest.fixture
def examine(run: Run, root: Path) -> Callable[[], Done]:
    """Run the doctor on the root."""
    root.mkdir(exist_ok=True)
    return lambda: run("doctor", "--root", root, "-o", "json")
