"""A warm start: no network, no writing, and nothing imported that takes time or that only a fetch needs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import SOURCES
from weights import gguf

from llmkube_downloader.key import parse_source

if TYPE_CHECKING:
    from command_line import Run, Start

HEAVY = ("huggingface_hub", "httpx2", "http.client", "ssl", "socket", "urllib.request", "shutil", "asyncio")
PROBE = """
import json, sys
from llmkube_downloader import cli
try:
    cli.main()
except SystemExit as ended:
    print(json.dumps({"code": ended.code, "modules": sorted(sys.modules)}))
"""

# As in the image: without site-packages, nothing but the standard library and our own modules can be imported. And
# without writing compiled files, which the image has.
INTERPRETER = (sys.executable, "-I", "-S", "-B", "-c")
LAUNCH = f"""
import sys
sys.path.insert(0, {str(SOURCES)!r})
from llmkube_downloader.launch import main
main()
"""
# The same, with the modules that were imported meanwhile on standard error.
LAUNCH_AND_TELL = f"""
import posix, sys
before, leave = set(sys.modules), posix._exit
def tell(code):
    print(*set(sys.modules) - before, file=sys.stderr, flush=True)
    leave(code)
posix._exit = tell
{LAUNCH}
"""
# Each of them takes less than half a millisecond. One that takes others along (os, enum, re) takes several.
QUICK = {
    *("__future__", "_json", "_sha2" if sys.version_info >= (3, 12) else "_sha256"),
    *("llmkube_downloader", "llmkube_downloader.store", "llmkube_downloader.store.completeness"),
    *(f"llmkube_downloader.{name}" for name in ("key", "launch", "light", "report")),
}
QUICK_FOR_PEOPLE = {"llmkube_downloader.text", "llmkube_downloader.units"}
QUICK_FOR_PODS = {"errno", "llmkube_downloader.store.user"}
POD = "0f0e0d0c-1111-2222-3333-444444444444"

# The system calls that take a name and change nothing; open is one of them when its flags say so.
LOOKING = {
    *("execve", "getcwd", "chdir", "access", "faccessat", "faccessat2", "open", "openat", "openat2", "readlink"),
    *("readlinkat", "stat", "lstat", "newfstatat", "statx", "statfs"),
}
WRITING = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND", "O_TMPFILE")
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


@pytest.fixture
def source(run: Run, root: Path, tmp_path: Path) -> str:
    """A source whose entry is there and whose origin is not any more."""
    model = tmp_path / "tiny.gguf"
    model.write_bytes(gguf())
    assert run("fetch", f"file://{model}", "--root", root).code == 0
    model.unlink()
    return f"file://{model}"


def times(root: Path) -> dict[str, tuple[int, int]]:
    paths = [root, *root.rglob("*")]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in paths}


# The launcher, as a process of its own.


def imported(*arguments: str | Path) -> set[str]:
    """Return the modules that the launcher imports for a hit."""
    command = [*INTERPRETER, LAUNCH_AND_TELL, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout
    return set(done.stderr.split())


def test_a_warm_start_imports_a_handful_of_quick_modules(source: str, root: Path, tmp_path: Path) -> None:
    modules = imported("fetch", source, "--root", root)
    assert QUICK < modules <= QUICK | QUICK_FOR_PEOPLE
    (manifest,) = root.glob("*/.llmkube.json")
    (file,) = json.loads(manifest.read_text())["files"]
    in_pods = ("--sha256", file["sha256"], "--report", tmp_path / "report", "-o", "json")
    assert imported("fetch", source, "--root", root, *in_pods) == QUICK


def test_a_warm_start_of_a_pod_imports_little_more(source: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKUBE_POD_UID", POD)
    for _ in ("write the lease", "renew it"):
        assert imported("fetch", source, "--root", root, "-o", "json") == QUICK | QUICK_FOR_PODS
    lease = root / ".llmkube" / "leases" / parse_source(source).key / f"use.{POD}"
    # Whoever is of the volume's group may renew it.
    assert lease.stat().st_mode & 0o777 == 0o664


def traced(calls: str, tmp_path: Path, command: list[str], within: tuple[str, ...] = ()) -> list[str]:
    """Return the system calls of a class that a launcher makes for a hit, one to a line."""
    assert shutil.which("strace"), "strace is missing; python -m preflight tests installs it"
    log = tmp_path / "calls"
    trace = ["strace", "-f", "-qq", "-e", f"trace={calls}", "-e", "signal=none", "-o", str(log)]
    done = subprocess.run([*within, *trace, *INTERPRETER, LAUNCH, *command], capture_output=True, text=True, check=True)
    assert done.stdout.endswith(f"/{parse_source(command[1]).key}\n")
    return [line.partition(" ")[2].strip() for line in log.read_text().splitlines()]


def changes(lines: list[str]) -> list[str]:
    """Return the calls among them that are meant to change something, which all calls on files tell."""
    assert any("/.llmkube.json" in line for line in lines)
    return [line for line in lines if line.partition("(")[0] not in LOOKING or any(flag in line for flag in WRITING)]


@pytest.mark.slow
def test_a_warm_start_opens_no_socket_and_nothing_for_writing(source: str, root: Path, tmp_path: Path) -> None:
    lines = traced("%network,%file", tmp_path, ["fetch", source, "--root", str(root)])
    assert changes(lines) == []


@pytest.mark.slow
def test_a_warm_start_on_a_read_only_volume_tries_to_write_its_lease_and_starts_without(
    source: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)))
    within = (*namespace, "sh", "-c", READ_ONLY, str(root))
    command = ["fetch", source, "--root", str(root)]
    assert changes(traced("%network,%file", tmp_path, command, within)) == []
    monkeypatch.setenv("LLMKUBE_POD_UID", POD)
    tried = changes(traced("%network,%file", tmp_path, command, within))
    assert tried
    assert all(str(root / ".llmkube") in line and " = -1 E" in line for line in tried)
    assert any("EROFS" in line for line in tried)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_even_the_first_milliseconds(root: Path, number: signal.Signals) -> None:
    # The launcher waits for the manifest, which a writer has yet to come for: this test.
    source = "hf://org/repo"
    manifest = root / parse_source(source).key / ".llmkube.json"
    manifest.parent.mkdir(parents=True)
    os.mkfifo(manifest)
    with subprocess.Popen([*INTERPRETER, LAUNCH, "fetch", source, "--root", root]) as process:
        with manifest.open("wb"):
            process.send_signal(number)
        assert process.wait() == 143


def test_what_the_launcher_does_not_answer_the_full_command_line_does(
    start: Start, source: str, root: Path, tmp_path: Path
) -> None:
    out, error = start("fetch", source, "--root", root, "--report", tmp_path / "missing" / "report").communicate()
    assert out.splitlines()[1:] == [str(root / parse_source(source).key)]
    assert "the report can not be written" in error
    out, error = start("key", source).communicate()
    assert (out, error) == (parse_source(source).key + "\n", "")


# The full command line.


def test_a_hit_imports_nothing_that_only_a_fetch_needs(source: str, root: Path) -> None:
    # -S as in the image: site-packages bring imports of their own. What the dependencies are found by is set here.
    paths = [str(SOURCES), *(path for path in sys.path if path.endswith("site-packages"))]
    done = subprocess.run(
        [sys.executable, "-S", "-c", PROBE, "fetch", source, "--root", str(root), "-o", "json"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    )
    report, probe = map(json.loads, done.stdout.splitlines())
    assert report["result"] == "hit"
    assert set(probe["modules"]).isdisjoint(HEAVY)
    assert not [module for module in probe["modules"] if module.startswith("llmkube_downloader.sources")]


def test_a_hit_changes_nothing_on_the_volume(run: Run, source: str, root: Path) -> None:
    before = times(root)
    assert run("fetch", source, "--root", root).code == 0
    assert times(root) == before


def test_a_hit_needs_no_right_to_write(run: Run, source: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def read_only(path: str, flags: int, *rest: int, **named: int) -> int:
        assert not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return opened(path, flags, *rest, **named)

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a hit must not write")

    monkeypatch.setattr(os, "open", read_only)
    for name in ("mkdir", "rename", "unlink", "rmdir", "utime", "chmod"):
        monkeypatch.setattr(os, name, forbidden)
    assert run("fetch", source, "--root", root).code == 0


def test_listing_and_verifying_change_nothing_on_the_volume(run: Run, source: str, root: Path) -> None:
    assert source
    before = times(root)
    assert run("list", "--root", root).code == 0
    assert run("verify", "--root", root).code == 0
    assert times(root) == before


def test_a_hit_of_many_files_reads_none_of_them(
    run: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "many").mkdir()
    for number in range(20):
        (tmp_path / "many" / f"{number}.json").write_text("{}")
    run("fetch", f"file://{tmp_path}/many", "--root", root)
    read: list[str] = []
    read_bytes = Path.read_bytes

    def noted(path: Path) -> bytes:
        read.append(path.name)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    assert run("fetch", f"file://{tmp_path}/many", "--root", root, "-o", "json").json["result"] == "hit"
    assert read == [".llmkube.json"]
