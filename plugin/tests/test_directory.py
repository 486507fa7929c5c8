"""With --dir the plugin runs the real llmkube-downloader on a directory, and needs no cluster."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from click.testing import CliRunner, Result

from llmkube_plugin import local
from llmkube_plugin.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator


class RunHere(Protocol):
    def __call__(self, *arguments: str, root: Path | None = None) -> Result: ...


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Write a file to fetch."""
    path = tmp_path / "origin" / "weights.bin"
    path.parent.mkdir()
    path.write_bytes(bytes(range(256)) * 8192)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "models"
    path.mkdir()
    return path


@pytest.fixture
def here(root: Path, monkeypatch: pytest.MonkeyPatch) -> RunHere:
    """Run a cache verb on the directory, with a kubeconfig that would fail if anything looked at it."""
    monkeypatch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    given = root

    def invoke(*arguments: str, root: Path | None = None) -> Result:
        verb, *rest = arguments
        return CliRunner().invoke(cli, ["cache", verb, "--dir", str(root or given), *rest], catch_exceptions=False)

    return invoke


def test_a_file_is_downloaded_listed_verified_and_removed(here: RunHere, weights: Path, root: Path) -> None:
    source = weights.as_uri()

    fetched = here("preload", source)
    again = here("preload", source)
    listed = json.loads(here("list", "-o", "json").stdout)
    verified = here("verify")
    cleared = here("clear", "--all", "--yes")
    after = here("list")

    assert fetched.stdout.startswith(f"{source}: fetched 2.0Mi in ")
    assert again.stdout == f"{source}: complete already (2.0Mi), nothing downloaded\n"
    [entry] = listed["entries"]
    assert (entry["source"], entry["bytes"], entry["state"], entry["orphan"]) == (source, 2 << 20, "complete", False)
    assert listed["volume"]["total"] > listed["volume"]["free"] > 0
    assert verified.exit_code == 0
    assert cleared.stdout.endswith("Removed 1 entry, freed 2.0Mi.\n")
    assert f"No entries found in {root}." in after.stderr


def test_an_http_origin_works_the_same(here: RunHere, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", "127.0.0.1")
    with _serving(weights.parent) as url:
        result = here("preload", f"{url}/weights.bin", "-o", "json")

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["bytesFetched"] == 2 << 20


def test_damage_is_found_and_is_exit_code_13(here: RunHere, weights: Path, root: Path) -> None:
    here("preload", weights.as_uri())
    [file] = [path for path in root.glob("*/*") if path.name == "weights.bin"]
    file.chmod(0o644)
    file.write_bytes(bytes(2 << 20))

    result = here("verify")

    assert result.exit_code == 13
    assert "weights.bin has sha256" in result.stderr


def test_status_tells_space_entries_and_what_is_wrong(here: RunHere, weights: Path, root: Path) -> None:
    here("preload", weights.as_uri())
    [file] = [path for path in root.glob("*/*") if path.name == "weights.bin"]
    whole = here("status").stdout
    file.unlink()

    broken, document = here("status").stdout, json.loads(here("status", "-o", "json").stdout)

    assert whole.startswith(f"{root}: ")
    assert whole.endswith("\n  entries: 1, 2.0Mi\n")
    assert f"  damaged: {file.parent.name}, " in broken
    assert broken.endswith(": weights.bin is missing\n")
    assert document["entries"][0]["state"] == "damaged"


def test_a_failure_to_verify_is_not_taken_for_damage(
    here: RunHere, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report = '{"schema":1,"error":{"code":13,"name":"integrity","cause":"the manifest lies","action":"Fetch again."}}'
    monkeypatch.setenv(local.VARIABLE, str(_program(tmp_path / "own", f"echo '{report}'; exit 13")))

    result = here("verify", "-q")

    assert result.exit_code == 13
    assert "failed (integrity): the manifest lies\nFetch again." in result.stderr


def test_the_selection_reaches_the_downloader(here: RunHere, weights: Path) -> None:
    result = here("preload", weights.as_uri(), "--sha256", "0" * 64)

    assert result.exit_code == 13


def test_a_failed_download_has_the_downloaders_exit_code(here: RunHere, tmp_path: Path) -> None:
    result = here("preload", (tmp_path / "nothing.bin").as_uri(), "-q")

    assert result.exit_code == 12
    assert "failed (not-found)" in result.stderr


def test_why_it_failed_is_told_once(here: RunHere, tmp_path: Path) -> None:
    result = here("preload", (tmp_path / "nothing.bin").as_uri())

    assert result.exit_code == 12
    assert result.stderr.count("nothing.bin can not be read") == 1


def test_a_mistyped_directory_is_not_taken_for_an_empty_cache(here: RunHere, tmp_path: Path) -> None:
    result = here("list", root=tmp_path / "modles")

    assert result.exit_code == 1
    assert f"there is no directory {tmp_path / 'modles'}" in result.stderr


@pytest.mark.parametrize("verb", ["clear", "verify", "pin"])
def test_what_is_not_there_is_named_with_the_command_that_shows_what_is(here: RunHere, root: Path, verb: str) -> None:
    result = here(verb, "beefbeefbeefbeef")

    assert result.exit_code == 1
    assert f"See `helm llmkube cache list --dir {root}` for what is there. Nothing was" in result.stderr


def test_removing_needs_yes_off_a_terminal(here: RunHere, weights: Path, root: Path) -> None:
    here("preload", weights.as_uri())

    result = here("clear", "--all")

    assert result.exit_code == 1
    assert "--yes" in result.stderr
    assert list(root.glob("*/weights.bin"))


def test_what_a_pod_said_of_an_entry_keeps_it_where_no_pods_are_known(
    here: RunHere, weights: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMKUBE_POD_UID", "uid-7")
    here("preload", weights.as_uri())

    refused, planned = here("clear", "--all", "--yes"), here("clear", "--all", "--dry-run")

    assert (refused.exit_code, planned.exit_code) == (1, 1)
    assert "is used by the pod with UID uid-7" in refused.stderr
    assert list(root.glob("*/weights.bin"))
    assert here("clear", "--all", "--yes", "--force").exit_code == 0
    assert not list(root.glob("*/weights.bin"))


def test_a_release_means_nothing_in_a_directory(here: RunHere) -> None:
    result = here("preload", "web")

    assert result.exit_code == 2
    assert "'web' is neither" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "-A"],
        ["list", "--scan"],
        ["list", "--orphans"],
        ["status", "-A"],
        ["status", "web"],
        ["preload", "hf://a/b", "--cache", "c"],
        ["preload", "hf://a/b", "--no-wait"],
        ["preload", "hf://a/b", "--dry-run"],
        ["clear", "--all", "--claim", "c"],
        ["verify", "--claim", "c"],
    ],
    ids=" ".join,
)
def test_options_for_a_cluster_are_refused(here: RunHere, arguments: list[str]) -> None:
    result = here(*arguments)

    assert result.exit_code == 2
    assert "is for a cluster and means nothing together with --dir" in result.stderr


class TestFindingTheDownloader:
    @pytest.fixture(autouse=True)
    def nowhere(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Take away every place where a downloader could be found."""
        monkeypatch.delenv(local.VARIABLE, raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr("sys.executable", str(tmp_path / "venv" / "python"))
        monkeypatch.setattr(local, "DOWNLOADER", tmp_path / "source")

    def test_nowhere_is_an_error_that_says_how_to_get_it(self, here: RunHere) -> None:
        result = here("list")

        assert result.exit_code == 1
        assert "llmkube-downloader is not installed, and --dir needs it" in result.stderr
        assert "LLMKUBE_DOWNLOADER" in result.stderr

    def test_the_nearest_one_is_taken(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        on_path = _program(tmp_path / local.PROGRAM)
        assert local.find_downloader().command == (str(on_path),)
        (tmp_path / "source" / "llmkube_downloader").mkdir(parents=True)
        assert local.find_downloader().command[1:] == ("-m", "llmkube_downloader")
        beside = _program(tmp_path / "venv" / local.PROGRAM)
        assert local.find_downloader().command == (str(beside),)
        monkeypatch.setenv(local.VARIABLE, "/opt/own")
        assert local.find_downloader().command == ("/opt/own",)

    def test_one_that_can_not_be_run_is_named(self, here: RunHere, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(local.VARIABLE, "/nonexistent/downloader")

        result = here("list")

        assert result.exit_code == 1
        assert "/nonexistent/downloader can not be run: No such file or directory" in result.stderr

    def test_one_that_says_nothing_useful_is_reported(
        self, here: RunHere, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv(local.VARIABLE, str(_program(tmp_path / "own", "exit 3")))

        result = here("list")

        assert result.exit_code == 3
        assert "(exit-3): it ended with exit code 3 and left no report" in result.stderr


def test_an_interrupted_downloader_has_the_time_to_tidy_up(tmp_path: Path) -> None:
    tidied = tmp_path / "tidied"
    # Longer than Python waits by itself before it kills an interrupted program.
    script = f"trap 'sleep 1; touch {tidied}; exit 130' INT; echo ready >&2; read -r line"
    program = _program(tmp_path / "own", script)
    line = [sys.executable, "-c", "from llmkube_plugin.cli import main; main()", "cache", "preload", "file:///x"]
    environment = {**os.environ, local.VARIABLE: str(program)}
    with subprocess.Popen(
        [*line, "--dir", str(tmp_path)],
        stdin=subprocess.PIPE,  # for the script to wait on
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
        text=True,
    ) as process:
        assert process.stderr
        assert process.stderr.readline() == "x: ready\n"
        os.killpg(process.pid, signal.SIGINT)
        told = process.stderr.read()
        assert told.endswith("Interrupted. What has come is kept, and the same command goes on with it.\n")

    assert tidied.exists()


def _program(path: Path, script: str = "exit 0") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@contextlib.contextmanager
def _serving(directory: Path) -> Iterator[str]:
    """Serve a directory over HTTP, and give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(directory)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Write nothing."""
