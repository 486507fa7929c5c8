"""What the Hugging Face client keeps in its cache becomes entries, proven by the names of its blobs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from caches_of_others import (
    COMMIT,
    INDEX,
    MODEL,
    REPOSITORY,
    SERVED,
    SHARDS,
    blob_name,
    everything,
    hub_cache,
    put,
    tree,
)
from huggingface_hub import constants, hf_hub_download, snapshot_download
from huggingface_hub.utils._http import close_session, default_client_factory, set_client_factory
from test_adopt_in_place import adopt
from weights import gguf, safetensors, sha256

from fakehub import FakeHub, write_repository
from llmkube_downloader.adopt import entering
from llmkube_downloader.key import parse_source
from llmkube_downloader.store.entry import State, look
from llmkube_downloader.store.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from command_line import Run

WHOLE = "hf://acme/tiny"
PROJECTOR = {"mmproj-F16.gguf": gguf(5000, seed=3)}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The directory of a hub's cache."""
    return tmp_path / "hub"


def entry_of(root: Path, source: str) -> Path:
    return root / parse_source(source).key


def test_a_repository_becomes_an_entry_that_is_a_hit(run: Run, root: Path, cache: Path) -> None:
    hub_cache(cache, "acme/tiny", REPOSITORY)
    before = everything(cache)
    done = adopt(run, root, "--from", cache)
    assert done.code == 0, done.json
    (entry,) = done.json["adopted"]
    assert (entry["source"], entry["revision"], entry["files"]) == (WHOLE, COMMIT, len(SERVED))
    assert entry["bytesCopied"] == sum(map(len, SERVED.values()))
    assert tree(entry_of(root, WHOLE)) == SERVED
    assert not any(path.is_symlink() for path in root.rglob("*"))
    hit = run("fetch", WHOLE, "--root", root, "-o", "json").json
    assert (hit["result"], hit["requests"], hit["revision"]) == ("hit", 0, COMMIT)
    assert run("verify", "--root", root).code == 0
    assert everything(cache) == before


def test_hashes_that_the_hub_announced_count_as_verified(run: Run, root: Path, cache: Path) -> None:
    hub_cache(cache, "acme/tiny", REPOSITORY)
    adopt(run, root, "--from", cache)
    manifest = look(Layout(root), parse_source(WHOLE).key).manifest
    assert manifest
    verified = {file.path: file.verified for file in manifest.files}
    assert {path for path in verified if verified[path] == "sha256"} == set(SHARDS)
    assert verified["config.json"] == "size"


@pytest.mark.parametrize("damaged", ["model-00001-of-00002.safetensors", "config.json"])
def test_a_blob_that_is_not_what_its_name_says_is_left_with_the_reason(
    run: Run, root: Path, cache: Path, damaged: str
) -> None:
    folder = hub_cache(cache, "acme/tiny", REPOSITORY)
    blob = folder / "blobs" / blob_name(damaged, REPOSITORY[damaged])
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    before = everything(cache)
    for flags in ([], ["--move"]):
        done = adopt(run, root, "--from", cache, *flags)
        assert done.code == 13
        assert blob.name in done.json["left"][0]["cause"]
        assert everything(cache) == before
        assert [path.name for path in root.iterdir()] == [".llmkube"]
    assert list((root / ".llmkube" / "adopting").iterdir()) == []


def test_each_gguf_model_is_one_that_was_asked_for_by_its_name(run: Run, root: Path, cache: Path) -> None:
    shards = {f"q8/tiny-0000{number}-of-00002.gguf": gguf(9000, seed=number) for number in (1, 2)}
    hub_cache(cache, "acme/quants", {"q4/tiny.gguf": MODEL, **shards, **PROJECTOR, "README.md": b"#"})
    done = adopt(run, root, "--from", cache)
    assert done.code == 0, done.json
    sources = {entry["source"]: entry["files"] for entry in done.json["adopted"]}
    assert sources == {"hf://acme/quants/q4/tiny.gguf": 1, "hf://acme/quants/q8/tiny-00001-of-00002.gguf": 2}
    assert tree(entry_of(root, "hf://acme/quants/q4/tiny.gguf")) == {"model.gguf": MODEL}
    assert tree(entry_of(root, "hf://acme/quants/q8/tiny-00001-of-00002.gguf")) == shards
    hit = run("fetch", "hf://acme/quants/q4/tiny.gguf", "--root", root, "-o", "json").json
    assert hit["result"] == "hit"


def test_other_revisions_are_other_sources(run: Run, root: Path, cache: Path) -> None:
    hub_cache(cache, "acme/tiny", {"tiny.gguf": MODEL}, refs=("v1.0", "refs/pr/1"))
    done = adopt(run, root, "--from", cache)
    assert {entry["source"] for entry in done.json["adopted"]} == {
        "hf://acme/tiny@v1.0/tiny.gguf",
        "hf://acme/tiny@refs/pr/1/tiny.gguf",
    }
    assert run("fetch", "hf://acme/tiny@v1.0/tiny.gguf", "--root", root, "-o", "json").json["result"] == "hit"


def test_a_snapshot_that_no_ref_names_is_only_adopted_when_it_is_named(run: Run, root: Path, cache: Path) -> None:
    hub_cache(cache, "acme/tiny", {"tiny.gguf": MODEL}, refs=())
    assert adopt(run, root, "--from", cache).json["adopted"] == []
    source = f"hf://acme/tiny@{COMMIT}/tiny.gguf"
    assert adopt(run, root, "--from", cache, "--source", source).json["adopted"][0]["source"] == source


@pytest.mark.parametrize("place", ["hub", ".", "hub/models--acme--tiny"])
def test_the_cache_is_found_from_above_and_from_within(run: Run, root: Path, tmp_path: Path, place: str) -> None:
    hub_cache(tmp_path / "hub", "acme/tiny", {"tiny.gguf": MODEL})
    put(tmp_path / "hub" / "datasets--acme--texts" / "snapshots", {"a.json": b"{}"})
    assert len(adopt(run, root, "--from", tmp_path / place).json["adopted"]) == 1


def test_a_part_of_a_repository_is_adopted_where_it_is_named(run: Run, root: Path, cache: Path) -> None:
    hub_cache(cache, "acme/tiny", REPOSITORY)
    selection = ["--include", "*.json", "--include", "*00001*"]
    done = adopt(run, root, "--from", cache, "--source", WHOLE, *selection)
    assert done.code == 0, done.json
    (entry,) = done.json["adopted"]
    assert (entry["key"], entry["files"]) == (parse_source(WHOLE, include=("*.json", "*00001*")).key, 4)
    assert run("fetch", WHOLE, *selection, "--root", root, "-o", "json").json["result"] == "hit"


class TestWhatIsLeft:
    def test_a_source_that_the_cache_does_not_hold(self, run: Run, root: Path, cache: Path) -> None:
        hub_cache(cache, "acme/tiny", {"tiny.gguf": MODEL})
        for source in (
            "hf://acme/other",
            "hf://acme/tiny@v2",
            "ms://acme/tiny",
            "hf://acme/tiny/q.gguf",
        ):
            assert adopt(run, root, "--from", cache, "--source", source).code == 12

    def test_a_repository_whose_download_is_unfinished(self, run: Run, root: Path, cache: Path) -> None:
        folder = hub_cache(cache, "acme/tiny", REPOSITORY)
        put(folder / "blobs", {"0123.incomplete": b"1"})
        done = adopt(run, root, "--from", cache)
        assert done.code == 13
        assert "0123.incomplete" in done.json["left"][0]["cause"]

    def test_a_repository_without_its_configuration(self, run: Run, root: Path, cache: Path) -> None:
        hub_cache(cache, "acme/tiny", {**SHARDS, "model.safetensors.index.json": INDEX})
        assert "config.json" in adopt(run, root, "--from", cache).json["left"][0]["cause"]

    def test_a_repository_that_lacks_a_shard(self, run: Run, root: Path, cache: Path) -> None:
        hub_cache(cache, "acme/tiny", {name: data for name, data in REPOSITORY.items() if "00002-of" not in name})
        done = adopt(run, root, "--from", cache)
        assert done.code == 12
        assert "model-00002-of-00002.safetensors" in done.json["left"][0]["cause"]

    def test_a_blob_that_is_gone(self, run: Run, root: Path, cache: Path) -> None:
        folder = hub_cache(cache, "acme/tiny", REPOSITORY)
        (folder / "blobs" / blob_name("config.json", REPOSITORY["config.json"])).unlink()
        done = adopt(run, root, "--from", cache)
        assert done.code == 13
        assert "is gone" in done.json["left"][0]["cause"]

    def test_a_link_that_leads_out_of_the_repository(self, run: Run, root: Path, cache: Path, tmp_path: Path) -> None:
        folder = hub_cache(cache, "acme/tiny", {"tiny.gguf": MODEL})
        put(tmp_path, {"secret": MODEL})
        (folder / "snapshots" / COMMIT / "planted.gguf").symlink_to(tmp_path / "secret")
        done = adopt(run, root, "--from", cache)
        assert done.code == 21
        assert done.json["adopted"] == []

    def test_a_repository_that_no_source_can_name(self, run: Run, root: Path, cache: Path) -> None:
        hub_cache(cache, "gpt2", {"tiny.gguf": MODEL})
        hub_cache(cache, "acme/tiny", {"tiny.gguf": MODEL})
        done = adopt(run, root, "--from", cache)
        assert done.code == 10
        assert len(done.json["adopted"]) == 1

    def test_what_holds_no_model_is_no_failure(self, run: Run, root: Path, cache: Path) -> None:
        hub_cache(cache, "acme/old", {"pytorch_model.bin": b"pickle", "config.json": b"{}"})
        done = adopt(run, root, "--from", cache)
        assert (done.code, done.json["adopted"], done.json["left"]) == (0, [], [])
        assert "left alone" in done.err

    def test_a_key_whose_directory_is_of_others(self, run: Run, root: Path, cache: Path) -> None:
        hub_cache(cache, "acme/tiny", {"tiny.gguf": MODEL})
        put(entry_of(root, "hf://acme/tiny/tiny.gguf"), {"model.gguf": gguf(2000)})
        for flags in ([], ["--dry-run"]):
            assert adopt(run, root, "--from", cache, *flags).code == 21


class TestMoving:
    def test_nothing_is_copied_and_the_originals_are_gone(self, run: Run, root: Path, cache: Path) -> None:
        folder = hub_cache(cache, "acme/tiny", REPOSITORY)
        inodes = {path.stat().st_ino for path in (folder / "blobs").iterdir()}
        done = adopt(run, root, "--from", cache, "--move")
        assert done.code == 0, done.json
        assert done.json["adopted"][0]["bytesCopied"] == 0
        entry = entry_of(root, WHOLE)
        assert tree(entry) == SERVED
        assert {path.stat().st_ino for path in entry.rglob("*") if path.is_file() and path.name[0] != "."} < inodes
        assert tree(folder).keys() == {
            f"blobs/{blob_name('README.md', REPOSITORY['README.md'])}",
            f"snapshots/{COMMIT}/README.md",
            "refs/main",
        }
        assert run("fetch", WHOLE, "--root", root, "-o", "json").json["result"] == "hit"

    def test_moving_again_finds_everything_done(self, run: Run, root: Path, cache: Path) -> None:
        hub_cache(cache, "acme/tiny", REPOSITORY)
        adopt(run, root, "--from", cache, "--move")
        before = everything(root / parse_source(WHOLE).key)
        again = adopt(run, root, "--from", cache, "--move")
        assert (again.code, again.json["left"]) == (0, [])
        named = adopt(run, root, "--from", cache, "--source", WHOLE)
        assert named.json["adopted"][0]["result"] == "present"
        assert everything(root / parse_source(WHOLE).key) == before

    def test_what_another_snapshot_needs_stays(self, run: Run, root: Path, cache: Path) -> None:
        old = hub_cache(cache, "acme/tiny", {"tiny.gguf": MODEL, "old.gguf": gguf(7000)}, refs=(), commit="0" * 40)
        hub_cache(cache, "acme/tiny", {"tiny.gguf": MODEL})
        done = adopt(run, root, "--from", cache, "--move")
        assert done.json["adopted"][0]["bytesCopied"] == len(MODEL)
        assert tree(old / "snapshots" / ("0" * 40)) == {"tiny.gguf": MODEL, "old.gguf": gguf(7000)}
        assert tree(old / "snapshots" / COMMIT) == {"tiny.gguf": MODEL}

    def test_what_two_entries_need_is_copied(self, run: Run, root: Path, cache: Path) -> None:
        folder = hub_cache(cache, "acme/tiny", {"tiny.gguf": MODEL}, refs=("main", "v1.0"))
        done = adopt(run, root, "--from", cache, "--move")
        assert done.code == 0, done.json
        assert [entry["bytesCopied"] for entry in done.json["adopted"]] == [len(MODEL)] * 2
        assert tree(folder / "snapshots" / COMMIT) == {"tiny.gguf": MODEL}

    def test_a_file_with_a_second_name_is_copied(self, run: Run, root: Path, cache: Path, tmp_path: Path) -> None:
        folder = hub_cache(cache, "acme/tiny", {"tiny.gguf": MODEL})
        blob = folder / "blobs" / sha256(MODEL)
        (tmp_path / "second").hardlink_to(blob)
        inode = blob.stat().st_ino
        planned = adopt(run, root, "--from", cache, "--move", "--dry-run")
        assert planned.json["adopted"][0]["bytesCopied"] == len(MODEL)
        done = adopt(run, root, "--from", cache, "--move")
        assert done.json["adopted"][0]["bytesCopied"] == len(MODEL)
        assert (entry_of(root, "hf://acme/tiny/tiny.gguf") / "model.gguf").stat().st_ino != inode
        assert (tmp_path / "second").read_bytes() == MODEL
        assert not blob.exists()

    def test_a_cache_in_the_root_is_taken_over_where_it_lies(self, run: Run, root: Path) -> None:
        hub_cache(root, "acme/tiny", {"tiny.gguf": MODEL})
        done = adopt(run, root, "--from", root, "--move")
        assert (done.code, done.json["adopted"][0]["bytesCopied"]) == (0, 0)
        assert run("fetch", "hf://acme/tiny/tiny.gguf", "--root", root, "-o", "json").json["result"] == "hit"

    def test_an_original_that_can_not_be_removed_is_said_so(
        self, run: Run, root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = hub_cache(cache, "acme/tiny", {"tiny.gguf": MODEL})
        monkeypatch.setattr(entering, "is_movable", lambda *_: False)
        unlink = Path.unlink

        def refused(path: Path, *, missing_ok: bool = False) -> None:
            if folder in path.parents:
                raise PermissionError(13, "Permission denied")
            unlink(path, missing_ok=missing_ok)

        monkeypatch.setattr(Path, "unlink", refused)
        done = adopt(run, root, "--from", cache, "--move")
        assert done.code == 0
        assert "can not be removed: Permission denied" in done.err
        assert tree(folder / "snapshots" / COMMIT) == {"tiny.gguf": MODEL}


def test_a_dry_run_says_what_would_be_copied(run: Run, root: Path, cache: Path) -> None:
    hub_cache(cache, "acme/tiny", REPOSITORY)
    before = everything(cache)
    size = sum(map(len, SERVED.values()))
    copied = adopt(run, root, "--from", cache, "--dry-run").json["adopted"][0]
    moved = adopt(run, root, "--from", cache, "--dry-run", "--move").json["adopted"][0]
    assert (copied["result"], copied["bytes"], copied["bytesCopied"]) == ("planned", size, size)
    assert (moved["result"], moved["bytes"], moved["bytesCopied"]) == ("planned", size, 0)
    assert everything(cache) == before
    assert not root.exists()


class TestTheRealClient:
    """What the client of this project's pinned version leaves is understood."""

    @pytest.fixture
    def hub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
        set_client_factory(default_client_factory)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        write_repository(tmp_path / "served", "acme/tiny", {**REPOSITORY, ".gitattributes": b"*"})
        write_repository(tmp_path / "served", "acme/quants", {"q4.gguf": MODEL, "q8.gguf": gguf(7000, seed=8)})
        with FakeHub(tmp_path / "served") as hub:
            yield hub
        close_session()

    def test_its_cache_is_adopted(self, run: Run, root: Path, cache: Path, hub: FakeHub) -> None:
        snapshot = snapshot_download("acme/tiny", endpoint=hub.endpoint, cache_dir=cache)
        hf_hub_download("acme/quants", "q4.gguf", endpoint=hub.endpoint, cache_dir=cache)
        done = adopt(run, root, "--from", cache, "--move")
        assert done.code == 0, done.json
        assert {entry["source"] for entry in done.json["adopted"]} == {WHOLE, "hf://acme/quants/q4.gguf"}
        assert {entry["bytesCopied"] for entry in done.json["adopted"]} == {0}
        assert tree(entry_of(root, WHOLE)) == SERVED
        assert done.json["adopted"][1]["revision"] == os.path.basename(snapshot)  # noqa: PTH119 - it is a name
        assert run("fetch", WHOLE, "--root", root, "-o", "json").json["result"] == "hit"

    def test_a_folder_it_downloaded_to_is_proven_by_its_notes(
        self, run: Run, root: Path, tmp_path: Path, hub: FakeHub
    ) -> None:
        place = tmp_path / "folder"
        snapshot_download("acme/tiny", endpoint=hub.endpoint, local_dir=place)
        done = adopt(run, root, "--from", place, "--source", WHOLE)
        assert done.code == 0, done.json
        assert tree(entry_of(root, WHOLE)) == SERVED
        manifest = look(Layout(root), parse_source(WHOLE).key).manifest
        assert manifest
        assert manifest.revision
        assert {file.path for file in manifest.files if file.verified == "sha256"} == set(SHARDS)

    @pytest.mark.parametrize("changed", ["model-00001-of-00002.safetensors", "config.json"])
    def test_a_folder_that_was_changed_since_is_not_what_the_hub_gave(
        self, run: Run, root: Path, tmp_path: Path, hub: FakeHub, changed: str
    ) -> None:
        place = tmp_path / "folder"
        snapshot_download("acme/tiny", endpoint=hub.endpoint, local_dir=place)
        data = {"config.json": b"[]"}.get(changed, safetensors(200_000, seed=9))
        (place / changed).write_bytes(data)
        done = adopt(run, root, "--from", place, "--source", WHOLE)
        assert done.code == 13
        assert changed in done.json["left"][0]["cause"]
        assert look(Layout(root), parse_source(WHOLE).key).state is State.ABSENT
