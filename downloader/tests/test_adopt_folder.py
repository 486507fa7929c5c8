"""A plain folder or file becomes the entry of the source that the user names."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from caches_of_others import MODEL, REPOSITORY, SERVED, SHARDS, everything, put, tree
from test_adopt_in_place import adopt
from weights import gguf, sha256

from llmkube_downloader.adopt import entering, reading
from llmkube_downloader.key import parse_source
from llmkube_downloader.store import volume
from llmkube_downloader.store.layout import Layout
from llmkube_downloader.store.publish import publish

if TYPE_CHECKING:
    from command_line import Run

    from llmkube_downloader.store.manifest import Manifest

WHOLE = "hf://acme/tiny"
URL = "https://example.com/llama-q4.gguf"
PARTS = {f"q8/tiny-0000{number}-of-00002.gguf": gguf(9000, seed=number) for number in (1, 2)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a repository."""
    return put(tmp_path / "a folder", REPOSITORY)


def entry_of(root: Path, source: str) -> Path:
    return root / parse_source(source).key


def test_a_folder_becomes_the_entry_of_a_repository(run: Run, root: Path, folder: Path) -> None:
    before = everything(folder)
    done = adopt(run, root, "--from", folder, "--source", WHOLE)
    assert done.code == 0, done.json
    assert tree(entry_of(root, WHOLE)) == SERVED
    assert run("fetch", WHOLE, "--root", root, "-o", "json").json["result"] == "hit"
    assert everything(folder) == before


@pytest.mark.parametrize("place", ["", "Some-name.gguf", "llama-q4.gguf"])
def test_a_file_becomes_the_entry_of_a_file(run: Run, root: Path, folder: Path, place: str) -> None:
    put(folder, {place or "llama-q4.gguf": MODEL})
    done = adopt(run, root, "--from", folder / place, "--source", URL)
    assert done.code == 0, done.json
    assert tree(entry_of(root, URL)) == {"model.gguf": MODEL}
    assert run("fetch", URL, "--root", root, "--sha256", sha256(MODEL), "-o", "json").json["result"] == "hit"


@pytest.mark.parametrize("place", ["", "q8", "q8/tiny-00001-of-00002.gguf"])
def test_the_first_shard_stands_for_all(run: Run, root: Path, tmp_path: Path, place: str) -> None:
    put(tmp_path / "parts", PARTS)
    source = "hf://acme/tiny/q8/tiny-00001-of-00002.gguf"
    done = adopt(run, root, "--from", tmp_path / "parts" / place, "--source", source)
    assert done.code == 0, done.json
    assert tree(entry_of(root, source)) == PARTS


def test_a_selection_takes_what_it_names(run: Run, root: Path, folder: Path) -> None:
    selection = ["--include", "*.json", "--exclude", "tokenizer/*"]
    done = adopt(run, root, "--from", folder, "--source", WHOLE, *selection)
    assert done.code == 0, done.json
    (entry,) = done.json["adopted"]
    assert tree(Path(entry["entry"])).keys() == {"config.json", "model.safetensors.index.json"}
    assert run("fetch", WHOLE, *selection, "--root", root, "-o", "json").json["result"] == "hit"


class TestWhatIsLeft:
    def test_a_folder_of_which_nobody_says_what_it_is(self, run: Run, root: Path, folder: Path) -> None:
        done = adopt(run, root, "--from", folder)
        assert done.code == 10
        assert "--source" in done.json["error"]["action"]

    def test_a_place_that_is_not_there(self, run: Run, root: Path, tmp_path: Path) -> None:
        done = adopt(run, root, "--from", tmp_path / "missing")
        assert done.code == 12
        assert done.json["error"]["cause"] == f"there is no {tmp_path}/missing"

    @pytest.mark.parametrize(
        ("place", "source"),
        [
            ("", "https://example.com/other.gguf"),
            ("config.json", URL),
            ("config.json", WHOLE),
            ("tokenizer/tokenizer.json", "hf://acme/tiny/q8/tiny-00001-of-00002.gguf"),
            ("whole/llama.gguf", "hf://acme/tiny/q8/tiny-00001-of-00002.gguf"),
            ("q8/tiny-00001-of-00002.gguf", URL),
            ("q8", URL),
            ("two", URL),
        ],
    )
    def test_what_is_not_what_the_source_says(
        self, run: Run, root: Path, folder: Path, place: str, source: str
    ) -> None:
        put(folder, {**PARTS, "whole/llama.gguf": MODEL, "two/a.gguf": MODEL, "two/b.gguf": MODEL})
        assert adopt(run, root, "--from", folder / place, "--source", source).code == 12

    def test_a_repository_that_lacks_a_shard_or_is_unfinished(self, run: Run, root: Path, folder: Path) -> None:
        put(folder, {"model.safetensors.part": b"1"})
        assert adopt(run, root, "--from", folder, "--source", WHOLE).code == 13
        (folder / "model.safetensors.part").unlink()
        (folder / next(iter(SHARDS))).unlink()
        assert adopt(run, root, "--from", folder, "--source", WHOLE).code == 12

    def test_first_shards_without_the_others(self, run: Run, root: Path, tmp_path: Path) -> None:
        put(tmp_path / "parts", {name: data for name, data in PARTS.items() if "00001-of" in name})
        source = "hf://acme/tiny/q8/tiny-00001-of-00002.gguf"
        assert adopt(run, root, "--from", tmp_path / "parts", "--source", source).code == 12

    def test_a_name_that_can_not_be_stored(self, run: Run, root: Path, folder: Path) -> None:
        put(folder, {"a\\b.json": b"{}"})
        assert adopt(run, root, "--from", folder, "--source", WHOLE).code == 21

    def test_a_link_that_leads_out_of_the_folder(self, run: Run, root: Path, folder: Path, tmp_path: Path) -> None:
        put(tmp_path, {"secret": b"{}"})
        (folder / "planted.json").symlink_to(tmp_path / "secret")
        assert adopt(run, root, "--from", folder, "--source", WHOLE).code == 21

    def test_an_entry_and_the_cache_itself(self, run: Run, root: Path, folder: Path) -> None:
        adopt(run, root, "--from", folder, "--source", WHOLE)
        before = everything(entry_of(root, WHOLE))
        for place in (entry_of(root, WHOLE), entry_of(root, WHOLE) / "tokenizer", root, root / ".llmkube", root.parent):
            done = adopt(run, root, "--from", place, "--source", "hf://acme/other", "--move")
            assert done.code == 21, place
            assert "belongs to the cache" in done.json["error"]["cause"]
        assert everything(entry_of(root, WHOLE)) == before

    def test_what_does_not_fit_on_the_volume(
        self, run: Run, root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(volume, "usage", lambda _: volume.Usage(10_000, 10_000))
        before = everything(folder)
        done = adopt(run, root, "--from", folder, "--source", WHOLE)
        assert done.code == 14
        assert "needed are" in done.json["left"][0]["cause"]
        assert everything(folder) == before
        assert list((root / ".llmkube" / "adopting").iterdir()) == []


class TestMoving:
    def test_a_folder_is_taken_without_copying(self, run: Run, root: Path, folder: Path) -> None:
        inodes = {path.stat().st_ino for path in folder.rglob("*") if path.is_file()}
        done = adopt(run, root, "--from", folder, "--source", WHOLE, "--move")
        assert (done.code, done.json["adopted"][0]["bytesCopied"]) == (0, 0)
        entry = entry_of(root, WHOLE)
        assert tree(entry) == SERVED
        assert {path.stat().st_ino for path in entry.rglob("*") if path.is_file() and path.name[0] != "."} < inodes
        assert tree(folder) == {"README.md": REPOSITORY["README.md"]}
        assert not (folder / "tokenizer").exists()
        again = adopt(run, root, "--from", folder, "--source", WHOLE, "--move")
        assert (again.code, again.json["adopted"][0]["result"]) == (0, "present")

    def test_a_foreign_directory_of_the_root_can_be_given_its_source(self, run: Run, root: Path) -> None:
        place = put(root / "0123456789abcdef", {"model.gguf": MODEL})
        done = adopt(run, root, "--from", place, "--source", URL, "--move")
        assert (done.code, done.json["adopted"][0]["bytesCopied"]) == (0, 0)
        assert tree(entry_of(root, URL)) == {"model.gguf": MODEL}

    def test_between_file_systems_files_are_copied_and_then_removed(
        self, run: Run, root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rename = Path.rename

        def across(path: Path, target: Path) -> Path:
            if folder in path.parents:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", across)
        done = adopt(run, root, "--from", folder, "--source", WHOLE, "--move")
        assert done.code == 0, done.json
        assert done.json["adopted"][0]["bytesCopied"] == sum(map(len, SERVED.values()))
        assert tree(entry_of(root, WHOLE)) == SERVED
        assert tree(folder) == {"README.md": REPOSITORY["README.md"]}

    def test_between_file_systems_the_room_for_a_copy_is_needed(
        self, run: Run, root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rename, before = Path.rename, tree(folder)

        def across(path: Path, target: Path) -> Path:
            if path.name == "model-00002-of-00002.safetensors" and folder in path.parents:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", across)
        monkeypatch.setattr(volume, "usage", lambda _: volume.Usage(2_000_000, 1_100_000))
        assert adopt(run, root, "--from", folder, "--source", WHOLE, "--move").code == 14
        assert tree(folder) == before

    @pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
    def test_what_was_taken_is_put_back_when_the_rest_can_not_be(
        self, run: Run, root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        rename, before = Path.rename, tree(folder)

        def refused(path: Path, target: Path) -> Path:
            if path.name == "tokenizer.json" and folder in path.parents:
                raise OSError(number, os.strerror(number))
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", refused)
        assert adopt(run, root, "--from", folder, "--source", WHOLE, "--move").code == 15
        assert tree(folder) == before
        assert list((root / ".llmkube" / "adopting").iterdir()) == []

    def test_what_was_taken_is_put_back_when_somebody_else_was_faster(
        self, run: Run, root: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other, before = put(tmp_path / "other", {**SERVED, "config.json": b"{ }"}), tree(folder)
        adopt(run, tmp_path / "models of another", "--from", other, "--source", WHOLE)

        def overtaken(layout: Layout, files: Path, manifest: Manifest, states: bytes) -> Manifest:
            (tmp_path / "models of another" / manifest.key).rename(layout.entry(manifest.key))
            return publish(layout, files, manifest, states)

        monkeypatch.setattr(entering, "publish", overtaken)
        done = adopt(run, root, "--from", folder, "--source", WHOLE, "--move")
        assert done.code == 0, done.json
        assert tree(folder) == before
        assert tree(entry_of(root, WHOLE))["config.json"] == b"{ }"


def test_a_large_copy_becomes_durable_on_its_way(
    run: Run, root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, {"llama-q4.gguf": gguf(4 * 1024 * 1024)})
    monkeypatch.setattr(reading, "_SYNC_BYTES", 1024 * 1024)
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    assert adopt(run, root, "--from", folder, "--source", URL).code == 0
    assert len(synced) == 4


def test_blocks_are_shared_where_the_file_system_can(
    run: Run, root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def share(writer: int, request: int, reader: Any) -> int:
        asked.append(request)
        os.pwrite(writer, os.pread(reader, 1 << 20, 0), 0)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", share)
    monkeypatch.setattr(volume, "usage", lambda _: volume.Usage(10_000_000, 2_000_000))
    done = adopt(run, root, "--from", folder, "--source", WHOLE)
    assert (done.code, done.json["adopted"][0]["bytesCopied"]) == (0, 0)
    assert set(asked) == {0x40049409}
    assert tree(entry_of(root, WHOLE)) == SERVED


def test_a_clone_that_is_not_the_original_is_no_entry(
    run: Run, root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", lambda *_: 0)
    assert adopt(run, root, "--from", folder, "--source", WHOLE).code == 13
    assert not entry_of(root, WHOLE).exists()
