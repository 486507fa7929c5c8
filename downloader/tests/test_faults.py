"""The table of faults: whatever goes wrong, a fetch ends as documented, harms nothing, asks little, tells no secret."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from all_faults import DOCUMENT, FAULTS
from building import KEY, build
from fault_causes import HERE, answers, sends
from fault_places import PASSWORD, TOKEN, Place, WebPlace, place_of, secrets_in
from fault_table import PHASES, SOURCES, Cell, cells, documented
from weights import sha256

from llmkube_downloader.errors import ExitCode
from llmkube_downloader.store.part import Part
from llmkube_downloader.transfer import download
from llmkube_downloader.transfer.ring import Ring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from command_line import Done, Run

    from llmkube_downloader.store.layout import Layout

CELLS = cells(FAULTS)
# What a process is started with can be read by everybody on its machine.
_STARTS = ("subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system")
_THREADS = ("receiver", "sync", "heartbeat")
NOBODY = "https://nobody.example.com"
_started: list[str] = []

sys.addaudithook(lambda event, _: _started.append(event) if event in _STARTS else None)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide a small model as a large one is, into several stretches; power cuts are the subject of other tests."""
    _started.clear()  # of what tests of other modules started
    monkeypatch.setattr(download, "_SMALLEST_BLOCK", 64 * 1024)
    monkeypatch.setattr(download, "_RING_BYTES", 8 * 64 * 1024)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "fdatasync", lambda _: None)


@pytest.fixture
def place(
    request: pytest.FixtureRequest,
    root: Path,
    layout: Layout,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Place]:
    """The place of a cell, and a volume with the entry of another model."""
    build(layout)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", "127.0.0.1")
    # As many as every fetch begins with; how soon there would be more depends on the machine.
    monkeypatch.setenv("LLMKUBE_CONNECTIONS", "2")
    with pytest.MonkeyPatch.context() as trouble:
        made = place_of(request.param, root, trouble)
        if isinstance(made, WebPlace) and made.scheme == "hf":
            monkeypatch.setenv("HF_ENDPOINT", made.front.url(""))
        for_it = made.front.url("") if isinstance(made, WebPlace) and made.scheme == "https" else NOBODY
        monkeypatch.setenv("LLMKUBE_CREDENTIALS", str(mounted(tmp_path_factory, for_it)))
        yield made
        made.close()


def mounted(factory: pytest.TempPathFactory, origin: str) -> Path:
    """Return a directory with the credentials for an origin, away from what a fetch may write to."""
    directory = factory.mktemp("secret")
    for name, text in {"USERNAME": "me", "PASSWORD": PASSWORD, "ORIGIN": origin}.items():
        (directory / name).write_text(text)
    return directory


@pytest.mark.parametrize(
    ("place", "cell"),
    [pytest.param(cell.source, cell, id=cell.name) for cell in CELLS],
    indirect=["place"],
)
@pytest.mark.usefixtures("waits")
def test_a_fault_ends_as_documented_and_harms_nothing(
    run: Run, root: Path, tmp_path: Path, place: Place, cell: Cell
) -> None:
    fault, report = cell.fault, tmp_path / "report"
    fault.arrange(place, cell.phase)
    before, innocent = names_of_others(root), content(root / KEY)
    done = run("fetch", place.address, "--root", root, "--report", report, *fault.flags)
    assert done.code == fault.code, done.err
    assert place.requests <= fault.requests
    assert names_of_others(root) == before | ({place.key} if done.code == 0 else set())
    assert content(root / KEY) == innocent
    if done.code == 0:
        assert json.loads(report.read_text())["bytesFetched"] <= len(fault.body) + fault.twice
    else:
        assert_said(done, json.loads(report.read_text())["error"], fault.says.format(**place.names))
    assert_nothing_told(done, place, tmp_path)
    assert [thread.name for thread in threading.enumerate() if thread.name in _THREADS] == []

    place.mend()
    asked = place.requests
    assert run("fetch", place.address, "--root", root).code == 0
    assert (place.requests == asked) == (done.code == 0 or cell.source == "file")
    assert (root / place.key / "model.gguf").read_bytes() == (place.model if done.code else fault.body)
    assert names_of_others(root) == {KEY, place.key}
    assert [path for path in (root / ".llmkube").rglob("*") if path.is_file()] == [root / ".llmkube" / "format.json"]
    assert place.was_told()


@pytest.mark.parametrize("place", ["http"], indirect=True)
@pytest.mark.usefixtures("waits")
def test_a_fault_is_told_also_while_what_is_here_is_read_again(
    run: Run, root: Path, place: WebPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    sends(cut_at=HERE)(place, "middle")
    assert run("fetch", place.address, "--root", root).code == 16
    answers("sends", status=404)(place, "headers")
    failed = threading.Event()
    fail, read = Ring.fail, Part.read

    def failing(ring: Ring, failure: BaseException) -> None:
        fail(ring, failure)
        failed.set()

    def reading(part: Part, offset: int, data: memoryview) -> None:
        assert failed.wait(30)
        read(part, offset, data)

    monkeypatch.setattr(Ring, "fail", failing)
    monkeypatch.setattr(Part, "read", reading)
    assert run("fetch", place.address, "--root", root).code == 12


def test_the_table_is_whole() -> None:
    assert len({cell.name for cell in CELLS}) == len(CELLS) > 120
    assert {cell.phase for cell in CELLS} == set(PHASES)
    assert {cell.source for cell in CELLS} == set(SOURCES)
    assert {cell.fault.code for cell in CELLS} == set(ExitCode) - {ExitCode.TERMINATED}


def test_the_table_is_documented_as_it_is() -> None:
    """``make docs`` writes it anew."""
    assert DOCUMENT.read_text() == documented(DOCUMENT.read_text(), FAULTS)


def names_of_others(root: Path) -> set[str]:
    """Return the names of entries, and what is below the leases: nobody may take what another one holds."""
    leases = root / ".llmkube" / "leases"
    return {path.name for path in root.iterdir()} - {".llmkube"} | {
        str(path) for path in leases.rglob("*") if path.is_file()
    }


def content(directory: Path) -> dict[str, tuple[int, int, str]]:
    """Return what is below a directory: modes, times and hashes by path."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        body = sha256(path.read_bytes()) if path.is_file() else ""
        found[str(path.relative_to(directory))] = (status.st_mode, status.st_mtime_ns, body)
    return found


def assert_said(done: Done, error: dict[str, str | int], named: str) -> None:
    """Check that a failure ends with a line of cause, which names its object, and one that says what to do."""
    cause, action = done.err.strip("\n").splitlines()[-2:]
    assert (cause, action) == (f"error: {error['cause']}", f"  {error['action']}")
    assert named in cause
    assert len(action.split()) > 3
    assert error["code"] == done.code
    assert error["name"] == ExitCode(done.code).label


def assert_nothing_told(done: Done, place: Place, directory: Path) -> None:
    """Check that no secret is anywhere but in its header or address to the server that it belongs to."""
    assert secrets_in(done.out + done.err) == []
    assert place.leaks() == []
    for path in directory.rglob("*"):
        told = str(path.relative_to(directory)) + (path.read_bytes().decode("latin-1") if path.is_file() else "")
        assert secrets_in(told) == [], path
    assert [name for name, value in os.environ.items() if secrets_in(value)] == ["HF_TOKEN"]
    assert _started == []
