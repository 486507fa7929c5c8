"""With --verify-origin, only what the origin confirms becomes an entry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from caches_of_others import MODEL, REPOSITORY, SERVED, SHARDS, hub_cache, put
from test_adopt_in_place import WHOLE, adopt
from weights import safetensors

from fakehub import FakeHub, write_repository
from llmkube_downloader.key import parse_source
from llmkube_downloader.store.entry import look
from llmkube_downloader.store.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from command_line import Run


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The directory of a hub's cache."""
    return tmp_path / "hub"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    write_repository(tmp_path / "served", "acme/tiny", REPOSITORY)
    with FakeHub(tmp_path / "served") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        yield hub


@pytest.fixture
def commit(hub: FakeHub, tmp_path: Path, run: Run) -> str:
    """The commit that the hub gives the repository."""
    assert hub
    report = run("fetch", f"{WHOLE}/config.json", "--root", tmp_path / "asked", "-o", "json").json
    return str(report["revision"])


def test_it_confirms_what_it_has(run: Run, root: Path, cache: Path, commit: str) -> None:
    hub_cache(cache, "acme/tiny", REPOSITORY, commit=commit)
    done = adopt(run, root, "--from", cache, "--verify-origin")
    assert done.code == 0, done.json
    assert done.json["adopted"][0]["revision"] == commit


def test_it_is_asked_for_the_commit_and_not_for_what_the_branch_is_now(
    run: Run, root: Path, cache: Path, tmp_path: Path, commit: str
) -> None:
    hub_cache(cache, "acme/tiny", REPOSITORY, commit=commit)
    write_repository(tmp_path / "served", "acme/tiny", {"tiny.gguf": MODEL}, revision="next")
    write_repository(tmp_path / "served", "acme/tiny", REPOSITORY, branches={"main": "next", "old": "main"})
    done = adopt(run, root, "--from", cache, "--verify-origin")
    assert done.code == 0, done.json


def test_what_it_has_and_the_cache_lacks_is_named(run: Run, root: Path, cache: Path, commit: str) -> None:
    files = {name: data for name, data in REPOSITORY.items() if name != "tokenizer/tokenizer.json"}
    hub_cache(cache, "acme/tiny", files, commit=commit)
    assert adopt(run, root, "--from", cache, "--dry-run").code == 0
    for flags in ([], ["--dry-run"]):
        done = adopt(run, root, "--from", cache, "--verify-origin", *flags)
        assert done.code == 13
        assert "lacks tokenizer/tokenizer.json" in done.json["left"][0]["cause"]


def test_another_size_and_another_hash_are_named(
    run: Run, root: Path, cache: Path, tmp_path: Path, commit: str
) -> None:
    hub_cache(cache, "acme/tiny", {**REPOSITORY, "config.json": b"{ }"}, commit=commit)
    done = adopt(run, root, "--from", cache, "--verify-origin")
    assert "has 3 bytes, its origin says 2" in done.json["left"][0]["cause"]
    other = {**REPOSITORY, "model-00001-of-00002.safetensors": safetensors(200_000, seed=5)}
    hub_cache(tmp_path / "other", "acme/tiny", other, commit=commit)
    done = adopt(run, root, "--from", tmp_path / "other", "--verify-origin")
    assert done.code == 13
    assert "its origin says" in done.json["left"][0]["cause"]


def test_hashes_of_a_directory_in_the_root_are_those_of_the_origin(run: Run, root: Path, commit: str) -> None:
    place = put(root / parse_source(WHOLE).key, SERVED)
    bad = {**SERVED, "model-00001-of-00002.safetensors": safetensors(200_000, seed=5)}
    put(place, bad)
    refused = adopt(run, root, "--source", WHOLE, "--verify-origin")
    assert refused.code == 13
    put(place, SERVED)
    done = adopt(run, root, "--source", WHOLE, "--verify-origin")
    assert done.code == 0, done.json
    manifest = look(Layout(root), parse_source(WHOLE).key).manifest
    assert manifest
    assert manifest.revision == commit
    assert {file.path for file in manifest.files if file.verified == "sha256"} == set(SHARDS)


@pytest.mark.usefixtures("hub")
def test_a_directory_in_the_root_with_more_than_the_origin_has(run: Run, root: Path) -> None:
    put(root / parse_source(WHOLE).key, {**SERVED, "more.json": b"{}"})
    done = adopt(run, root, "--source", WHOLE, "--verify-origin")
    assert "more.json" in done.json["left"][0]["cause"]


def test_an_origin_that_is_not_there_confirms_nothing(
    run: Run, root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    hub_cache(cache, "acme/tiny", REPOSITORY)
    assert adopt(run, root, "--from", cache, "--verify-origin").code == 16
    assert waits
    assert adopt(run, root, "--from", cache).code == 0


def test_a_source_that_nobody_named_can_not_be_asked(run: Run, root: Path) -> None:
    put(root / parse_source(WHOLE).key, {"model.gguf": MODEL})
    done = adopt(run, root, "--verify-origin")
    assert done.code == 21
    assert "--source" in done.json["left"][0]["action"]
