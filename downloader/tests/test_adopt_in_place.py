"""Directories that LLMKube left in the root become entries where they lie."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
from building import failing
from caches_of_others import MODEL, REPOSITORY, everything, foreign, put, tree
from repository import CONTRACT
from weights import gguf, safetensors, sha256

from llmkube_downloader.adopt import reading
from llmkube_downloader.adopt.candidate import Original
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.key import parse_source
from llmkube_downloader.sha256 import CHECKPOINT_BYTES, STATE_BYTES, Sha256
from llmkube_downloader.store.entry import State, look
from llmkube_downloader.store.layout import Layout
from llmkube_downloader.store.lease import try_take

if TYPE_CHECKING:
    from command_line import Done, Run

URL = "https://example.com/llama-q4.gguf"
KEY = parse_source(URL).key
WHOLE = "hf://acme/tiny"
SCHEMA = json.loads((CONTRACT / "report.schema.json").read_text())


def adopt(run: Run, root: Path, *flags: str | Path) -> Done:
    done = run("adopt", "--root", root, *flags, "-o", "json")
    kind = "error" if "error" in done.json else "adopt"
    jsonschema.validate(done.json, {**SCHEMA, "oneOf": [{"$ref": f"#/$defs/{kind}"}]})
    return done


def test_a_directory_of_a_key_becomes_an_entry_without_moving_a_byte(run: Run, root: Path) -> None:
    place = foreign(root, URL, {"model.gguf": MODEL})
    inode = (place / "model.gguf").stat().st_ino
    done = adopt(run, root)
    assert done.code == 0
    (entry,) = done.json["adopted"]
    assert (entry["result"], entry["key"], entry["bytes"], entry["bytesCopied"]) == ("adopted", KEY, len(MODEL), 0)
    assert (place / "model.gguf").stat().st_ino == inode
    found = look(Layout(root), KEY)
    assert found.state is State.COMPLETE
    assert found.manifest
    assert [(file.path, file.sha256, file.verified) for file in found.manifest.files] == [
        ("model.gguf", sha256(MODEL), "size")
    ]


def test_what_was_adopted_is_a_hit_without_a_question_to_anybody(run: Run, root: Path) -> None:
    foreign(root, URL, {"model.gguf": MODEL})
    adopt(run, root)
    hit = run("fetch", URL, "--root", root, "-o", "json").json
    assert (hit["result"], hit["requests"]) == ("hit", 0)
    assert run("fetch", URL, "--root", root, "--sha256", sha256(MODEL)).code == 0
    assert run("fetch", URL, "--root", root, "--sha256", "0" * 64).code == 13


def test_what_was_adopted_can_be_verified_listed_and_removed(run: Run, root: Path) -> None:
    place = foreign(root, URL, {"model.gguf": MODEL})
    adopt(run, root)
    assert run("verify", "--root", root).code == 0
    (listed,) = run("list", "--root", root, "-o", "json").json["entries"]
    assert (listed["state"], listed["source"]) == ("complete", "unknown")
    with (place / "model.gguf").open("r+b") as file:
        file.seek(1000)
        file.write(b"?")
    assert run("verify", "--root", root).code == 13
    assert run("remove", KEY, "--root", root).code == 0


def test_a_source_that_is_named_is_recorded(run: Run, root: Path) -> None:
    foreign(root, URL, {"model.gguf": MODEL})
    done = adopt(run, root, "--source", URL)
    assert done.json["adopted"][0]["source"] == URL
    manifest = look(Layout(root), KEY).manifest
    assert manifest
    assert (manifest.source, manifest.files[0].origin) == (URL, "llama-q4.gguf")


def test_a_source_that_is_not_that_of_the_key_adopts_nothing(run: Run, root: Path) -> None:
    foreign(root, URL, {"model.gguf": MODEL})
    before = everything(root)
    done = adopt(run, root, "--source", "https://example.com/other.gguf")
    assert done.code == 12
    assert "is the key of https://example.com/other.gguf" in done.json["error"]["cause"]
    assert {path: state for path, state in everything(root).items() if ".llmkube" not in path} == before


def test_adopting_again_changes_nothing(run: Run, root: Path) -> None:
    foreign(root, URL, {"model.gguf": MODEL})
    adopt(run, root)
    before = everything(root / KEY)
    again = adopt(run, root)
    assert (again.code, again.json["adopted"]) == (0, [])
    named = adopt(run, root, "--source", URL)
    assert (named.code, named.json["adopted"][0]["result"]) == (0, "present")
    assert everything(root / KEY) == before


def test_several_directories_are_adopted_and_bad_ones_left_with_the_reason(run: Run, root: Path) -> None:
    foreign(root, "https://example.com/a.gguf", {"model.gguf": MODEL})
    bad = foreign(root, "https://example.com/b.gguf", {"model.gguf": b"<html>log in</html>"})
    foreign(root, "https://example.com/c.gguf", {"model.gguf": gguf(2000)})
    before = everything(bad)
    done = adopt(run, root)
    assert done.code == 13
    assert len(done.json["adopted"]) == 2
    (left,) = done.json["left"]
    assert left["from"] == str(bad)
    assert "no GGUF file" in left["cause"]
    assert everything(bad) == before
    assert "left: " in run("adopt", "--root", root).out


def test_a_repository_is_adopted_with_all_its_files(run: Run, root: Path) -> None:
    place = foreign(root, "hf://acme/tiny", REPOSITORY)
    done = adopt(run, root, "--source", "hf://acme/tiny")
    assert done.code == 0, done.json
    assert tree(place) == REPOSITORY
    assert run("fetch", "hf://acme/tiny", "--root", root, "-o", "json").json["result"] == "hit"
    assert run("verify", "--root", root).code == 0


def test_states_for_a_quick_verification_lie_beside_the_manifest(
    run: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PIECE_BYTES", 3 * 1024 * 1024)
    model = gguf(40 * 1024 * 1024)
    place = foreign(root, URL, {"model.gguf": model, ".llmkube.sha256": b"of an adoption that was cut off"})
    adopt(run, root)
    states = (place / ".llmkube.sha256").read_bytes()
    assert len(states) == 2 * STATE_BYTES
    manifest = look(Layout(root), KEY).manifest
    assert manifest
    assert manifest.checkpoints == sha256(states)
    after_first = Sha256()
    after_first.update(memoryview(bytearray(model[:CHECKPOINT_BYTES])))
    assert states[:STATE_BYTES] == after_first.state()
    assert run("verify", "--root", root).code == 0


class TestWhatIsLeftWhereItIs:
    @pytest.mark.parametrize(
        ("files", "word"),
        [
            ({"model.gguf": MODEL, "model.gguf.tmp": b"1"}, "unfinished"),
            ({"model.safetensors": safetensors()[:-1]}, "header promises"),
            ({"model-00001-of-00002.safetensors": safetensors()}, "model-00002-of-00002.safetensors"),
            ({"x-00001-of-00002.gguf": MODEL}, "x-00002-of-00002.gguf"),
            ({name: data for name, data in REPOSITORY.items() if "00002-of" not in name}, "00002-of-00002"),
            ({"config.json": b"{}"}, "no safetensors or GGUF weights"),
            ({"model.safetensors": safetensors(), "model.safetensors.index.json": b"[]"}, "no index of shards"),
            (
                {
                    "a.safetensors": safetensors(),
                    "x/model.safetensors.index.json": b'{"weight_map": {"w": "part.safetensors"}}',
                },
                "lacks part.safetensors",
            ),
        ],
        ids=["temporary file", "cut off", "shard", "GGUF shard", "shard of an index", "no weights", "index", "named"],
    )
    def test_what_is_no_whole_model(self, run: Run, root: Path, files: dict[str, bytes], word: str) -> None:
        place = foreign(root, "hf://acme/tiny", files)
        before = everything(place)
        done = adopt(run, root)
        assert done.code in (12, 13)
        assert word in done.json["left"][0]["cause"]
        assert done.json["adopted"] == []
        assert everything(place) == before
        assert adopt(run, root, "--dry-run").json["left"] == done.json["left"]

    @pytest.mark.parametrize("target", ["outside", "inside"])
    def test_a_link_among_the_files(self, run: Run, root: Path, tmp_path: Path, target: str) -> None:
        place = foreign(root, URL, {"real.gguf": MODEL})
        put(tmp_path, {"elsewhere.gguf": MODEL})
        (place / "model.gguf").symlink_to(tmp_path / "elsewhere.gguf" if target == "outside" else "real.gguf")
        done = adopt(run, root)
        assert done.code == 21
        assert "is a link" in done.json["left"][0]["cause"]

    def test_a_link_to_a_folder_and_a_pipe(self, run: Run, root: Path, tmp_path: Path) -> None:
        (foreign(root, URL, {"model.gguf": MODEL}) / "folder").symlink_to(tmp_path)
        os.mkfifo(foreign(root, "https://example.com/b.gguf", {"model.gguf": MODEL}) / "pipe")
        done = adopt(run, root)
        assert done.code == 21
        assert len(done.json["left"]) == 2

    def test_what_is_no_part_of_the_source(self, run: Run, root: Path) -> None:
        place = foreign(root, URL, {"model.gguf": MODEL, "other.gguf": MODEL})
        done = adopt(run, root, "--source", URL)
        assert done.code == 21
        assert "other.gguf" in done.json["left"][0]["cause"]
        (place / "other.gguf").rename(place / "config.json")
        assert "config.json" in adopt(run, root, "--source", URL).json["left"][0]["cause"]

    def test_a_file_of_another_kind_than_the_source(self, run: Run, root: Path) -> None:
        foreign(root, "https://example.com/a.safetensors", {"model.gguf": MODEL})
        done = adopt(run, root, "--source", "https://example.com/a.safetensors")
        assert done.code == 21

    def test_files_that_the_selection_does_not_name(self, run: Run, root: Path) -> None:
        files = {"config.json": b"{}", "model.safetensors": safetensors()}
        place = put(root / parse_source("hf://acme/tiny", files=tuple(files)).key, {**files, "more.json": b"{}"})
        flags = ["--source", "hf://acme/tiny", "--file", "config.json", "--file", "model.safetensors"]
        assert "more.json" in adopt(run, root, *flags).json["left"][0]["cause"]
        (place / "more.json").unlink()
        assert adopt(run, root, *flags).code == 0

    def test_a_damaged_entry(self, run: Run, root: Path) -> None:
        place = foreign(root, URL, {"model.gguf": MODEL})
        adopt(run, root)
        (place / "model.gguf").unlink()
        assert adopt(run, root, "--source", URL).code == 13

    def test_what_is_being_fetched(self, run: Run, root: Path, layout: Layout) -> None:
        place = foreign(root, URL, {"model.gguf": MODEL})
        lease = try_take(layout, KEY)
        assert lease
        before = everything(place)
        done = adopt(run, root)
        assert done.code == 21
        assert "being fetched" in done.json["left"][0]["cause"]
        assert everything(place) == before
        lease.withdraw()

    def test_a_file_that_somebody_writes_to(self, run: Run, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        place = foreign(root, URL, {"model.gguf": MODEL})
        read = os.preadv

        def growing(descriptor: int, buffers: list[memoryview], offset: int) -> int:
            with (place / "model.gguf").open("ab") as file:
                file.write(b"")
                os.utime(place / "model.gguf", ns=(1, 1))
            return read(descriptor, buffers, offset)

        monkeypatch.setattr(os, "preadv", growing)
        done = adopt(run, root)
        assert done.code == 13
        assert "changed while it was read" in done.json["left"][0]["cause"]
        assert not (place / ".llmkube.json").exists()

    def test_a_directory_that_got_a_manifest_meanwhile(
        self, run: Run, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = foreign(root, URL, {"model.gguf": MODEL})

        def taken(_: Path) -> None:
            (place / ".llmkube.json").write_bytes(b"of somebody else")

        monkeypatch.setattr("llmkube_downloader.adopt.entering.sync_directory", taken)
        assert adopt(run, root).code == 21
        assert (place / ".llmkube.json").read_bytes() == b"of somebody else"


class TestAnotherName:
    """LLMKube calls a file by the name that it gives its model; servers of this cache look for model.gguf."""

    def test_a_file_is_only_renamed_when_that_is_allowed(self, run: Run, root: Path) -> None:
        place = foreign(root, URL, {"Llama-3.gguf": MODEL})
        before = everything(place)
        for flags in ([], ["--source", URL], ["--dry-run"]):
            done = adopt(run, root, *flags)
            assert done.code == 21
            assert "--move" in done.json["left"][0]["action"]
            assert everything(place) == before
        assert adopt(run, root, "--move", "--source", URL).code == 0
        assert tree(place) == {"model.gguf": MODEL}
        assert run("fetch", URL, "--root", root, "-o", "json").json["result"] == "hit"

    def test_it_keeps_its_name_when_the_adoption_fails(
        self, run: Run, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = foreign(root, URL, {"Llama-3.gguf": MODEL})
        monkeypatch.setattr("llmkube_downloader.adopt.entering.sync_directory", failing(5))
        assert adopt(run, root, "--move").code == 15
        assert tree(place) == {"Llama-3.gguf": MODEL}


def test_nobody_ever_reads_half_a_manifest(run: Run, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = foreign(root, URL, {"model.gguf": MODEL})
    seen = []
    rename = Path.rename

    def watched(path: Path, target: Path) -> Path:
        seen.append(look(Layout(root), KEY).state)
        renamed = rename(path, target)
        seen.append(look(Layout(root), KEY).state)
        return renamed

    monkeypatch.setattr(Path, "rename", watched)
    adopt(run, root)
    assert (place / ".llmkube.json").exists()
    assert set(seen) == {State.FOREIGN, State.COMPLETE}


def test_files_and_directories_are_durable_before_the_manifest_is_there(
    run: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = foreign(root, "hf://acme/tiny", REPOSITORY)
    synced: set[int] = set()
    sync, rename = os.fsync, Path.rename

    def fsync(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        sync(descriptor)

    def watched(path: Path, target: Path) -> Path:
        if target.name == ".llmkube.json":
            wanted = {each.stat().st_ino for each in [place, path, *place.rglob("*")]}
            assert wanted - synced == set()
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", watched)
    assert adopt(run, root, "--source", "hf://acme/tiny").code == 0


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(run: Run, root: Path) -> None:
    foreign(root, URL, {"model.gguf": MODEL})
    foreign(root, "https://example.com/b.gguf", {"model.gguf": b"nonsense"})
    before = everything(root)
    done = adopt(run, root, "--dry-run")
    assert done.code == 13
    assert done.json["dryRun"] is True
    (entry,) = done.json["adopted"]
    assert (entry["result"], entry["bytes"], entry["bytesCopied"]) == ("planned", len(MODEL), 0)
    assert everything(root) == before
    assert "to be adopted" in run("adopt", "--root", root, "--dry-run").out


@pytest.mark.parametrize("flags", [[], ["--dry-run"]])
def test_a_volume_of_a_newer_version_is_left_alone(run: Run, layout: Layout, flags: list[str]) -> None:
    layout.format.write_text('{"formatVersion": 99}')
    place = foreign(layout.root, URL, {"model.gguf": MODEL})
    assert adopt(run, layout.root, *flags).code == 10
    assert adopt(run, layout.root, *flags, "--from", place, "--source", URL).code == 10


def test_renames_that_do_not_replace_are_enough(run: Run, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = foreign(root, URL, {"model.gguf": gguf(20 * 1024 * 1024), ".llmkube.sha256": b"left behind"})
    rename = Path.rename

    def careful(path: Path, target: Path) -> Path:
        if target.exists():
            raise FileExistsError(17, "File exists")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", careful)
    assert adopt(run, root).code == 0
    assert len((place / ".llmkube.sha256").read_bytes()) == STATE_BYTES


def test_an_index_in_a_folder_names_what_lies_beside_it(run: Run, root: Path) -> None:
    index = b'{"weight_map": {"w": "part.safetensors"}}'
    foreign(root, WHOLE, {"x/model.safetensors.index.json": index, "x/part.safetensors": safetensors()})
    assert adopt(run, root).code == 0


def test_a_file_that_became_another_one_is_not_adopted(tmp_path: Path) -> None:
    put(tmp_path, {"model.gguf": MODEL})
    original = Original(tmp_path / "model.gguf", "model.gguf", len(MODEL) - 1)
    with pytest.raises(DownloaderError) as refused:
        reading.prove(original, original.path, lambda _: None)
    assert refused.value.code is ExitCode.INTEGRITY


def test_a_cache_without_foreign_directories_has_nothing_to_adopt(run: Run, root: Path) -> None:
    root.mkdir()
    (root / "of another tool").mkdir()
    assert run("adopt", "--root", root).out == "nothing to adopt\n"
    assert adopt(run, root / "missing").code == 12


def test_only_the_name_of_a_key_alone_is_that_of_a_first_generation(run: Run, root: Path) -> None:
    place = put(root / f"{KEY}-01234567", {"model.gguf": MODEL})
    before = everything(root)
    done = adopt(run, root, "--move")
    assert (done.code, done.json["adopted"], done.json["left"]) == (0, [], [])
    assert everything(place).items() <= before.items()


def test_a_selection_without_a_source_is_a_usage_error(run: Run, root: Path) -> None:
    assert adopt(run, root, "--file", "model.gguf").code == 10


def test_leftovers_of_an_nfs_client_are_no_part_of_the_model(run: Run, root: Path) -> None:
    foreign(root, URL, {"model.gguf": MODEL, ".nfs0001": b"still open"})
    assert adopt(run, root, "--source", URL).code == 0
