"""Fetching what is on a mounted file system already."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from weights import gguf, sha256

if TYPE_CHECKING:
    from command_line import Run, Start

MODEL = gguf(100_000)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a model, as a hub's local cache has it: links to blobs."""
    place = tmp_path / "a place#1"
    (place / "q4").mkdir(parents=True)
    (tmp_path / "blob").write_bytes(MODEL)
    (place / "q4" / "tiny.gguf").symlink_to(tmp_path / "blob")
    (place / "config.json").write_bytes(b"{}")
    (place / "README.md").write_bytes(b"# tiny")
    return place


def test_a_file_is_copied_and_hashed(run: Run, root: Path, place: Path) -> None:
    done = run("fetch", f"file://{place}/q4/tiny.gguf", "--root", root, "-o", "json")
    assert done.code == 0
    copy = Path(done.json["entry"]) / "model.gguf"
    assert copy.read_bytes() == MODEL
    assert not copy.is_symlink()
    assert done.json["files"][0]["sha256"] == sha256(MODEL)


def test_a_directory_is_copied_like_a_repository(run: Run, root: Path, place: Path) -> None:
    done = run("fetch", f"file://{place}", "--root", root, "-o", "json")
    assert [file["path"] for file in done.json["files"]] == ["config.json", "q4/tiny.gguf"]
    chosen = run("fetch", f"file://{place}", "--root", root, "--include", "*.json", "-o", "json")
    assert [file["path"] for file in chosen.json["files"]] == ["config.json"]


def test_a_copy_that_is_not_what_was_expected_is_not_published(run: Run, root: Path, place: Path) -> None:
    assert run("fetch", f"file://{place}/q4/tiny.gguf", "--root", root, "--sha256", "0" * 64).code == 13
    assert [path.name for path in root.iterdir()] == [".llmkube"]


def test_a_path_that_is_not_there_is_not_found(run: Run, root: Path, place: Path) -> None:
    assert run("fetch", f"file://{place}/q5.gguf", "--root", root).code == 12
    assert run("fetch", f"file://{place}", "--root", root, "--file", "q5.gguf").code == 12


def test_a_relative_path_or_another_host_is_a_usage_error(run: Run, root: Path) -> None:
    done = run("fetch", "file://models/tiny.gguf", "--root", root)
    assert done.code == 10
    assert "three slashes" in done.err


def test_a_pipe_in_the_place_of_a_file_is_refused(run: Run, root: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    assert run("fetch", f"file://{tmp_path}/pipe.gguf", "--root", root).code == 21


def test_a_file_that_may_not_be_read_is_an_auth_error(start: Start, root: Path, place: Path) -> None:
    (place / "config.json").chmod(0)
    # Root may read everything, unless it gives up the right to.
    within = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    process = start("fetch", f"file://{place}/config.json", "--root", root, within=within)
    _, said = process.communicate()
    assert process.returncode == 11, said


def test_a_scheme_of_a_later_version_is_named(run: Run, root: Path) -> None:
    for source in ("s3://b/m.gguf", "gs://b/m", "az://a/c/m", "oci://r.example/m:v1", "ms://org/repo"):
        done = run("fetch", source, "--root", root)
        assert done.code == 10
        assert "hf://" in done.err
    assert not root.exists()
