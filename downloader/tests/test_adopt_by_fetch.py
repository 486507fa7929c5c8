"""Who comes from LLMKube downloads nothing again: what a fetch finds under its key becomes the entry, if it is that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
from building import failing
from caches_of_others import MODEL, SERVED, everything, foreign, tree
from origin_server import Origin, Reply
from transfers import announcing
from weights import gguf, safetensors, sha256

from fakehub import FakeHub, write_repository
from llmkube_downloader.key import parse_source
from llmkube_downloader.store.entry import State, look
from llmkube_downloader.store.layout import Layout

if TYPE_CHECKING:
    from command_line import Done, Run

SCHEMA = json.loads((Path(__file__).parents[2] / "tests" / "contract" / "report.schema.json").read_text())
OTHER = gguf(len(MODEL), seed=7)
FILES = {"model.gguf": MODEL}


@pytest.fixture
def url(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a model whose hash its origin does not say."""
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", origin.host)
    return origin.serve("/llama-q4.gguf", MODEL)


pytestmark = pytest.mark.usefixtures("waits")


def fetch(run: Run, root: Path, source: str, *flags: str | Path) -> Done:
    done = run("fetch", source, "--root", root, *flags, "-o", "json")
    kind = "error" if "error" in done.json else "fetch"
    jsonschema.validate(done.json, {**SCHEMA, "oneOf": [{"$ref": f"#/$defs/{kind}"}]})
    return done


def assert_refused(done: Done, cause: str, place: Path, before: dict[str, str]) -> None:
    """Check that a fetch ended as it does with any files of others, said why, and left them as they were."""
    assert done.code == 21, done.json
    assert "did not write" in done.json["error"]["cause"]
    assert cause in done.json["error"]["cause"]
    assert "--force" in done.json["error"]["action"]
    assert everything(place) == before


def test_nothing_is_received_of_what_is_there(run: Run, root: Path, origin: Origin, url: str) -> None:
    origin.serve("/llama-q4.gguf", Reply(MODEL, headers=announcing(MODEL)))
    place = foreign(root, url, FILES)
    inode = (place / "model.gguf").stat().st_ino
    done = fetch(run, root, url)
    assert done.code == 0, done.json
    report = done.json
    assert (report["result"], report["bytesFetched"], report["bytesReused"]) == ("adopted", 0, len(MODEL))
    assert (report["verified"], report["requests"], report["entry"]) == ("sha256", 1, str(place))
    assert [asked.method for asked in origin.asked] == ["HEAD"]
    assert (place / "model.gguf").stat().st_ino == inode
    assert fetch(run, root, url).json["result"] == "hit"
    assert len(origin.asked) == 1


def test_the_lines_for_people_say_so(run: Run, root: Path, url: str) -> None:
    place = foreign(root, url, FILES)
    done = run("fetch", url, "--root", root)
    summary, path = done.out.splitlines()
    assert summary == f"{place.name} was there and is adopted: 1 file, 293.0 KiB, verified by size"
    assert path == str(place)
    assert f"adopting {place} as {url}: 293.0 KiB" in done.err


def test_without_a_hash_the_size_counts(run: Run, root: Path, url: str) -> None:
    foreign(root, url, FILES)
    report = fetch(run, root, url).json
    assert (report["result"], report["verified"]) == ("adopted", "size")
    assert report["files"][0]["sha256"] == sha256(MODEL)


def test_the_hash_that_the_user_knows_counts(run: Run, root: Path, origin: Origin, url: str) -> None:
    place = foreign(root, url, FILES)
    # It even stands for a size that the origin does not say.
    origin.serve("/llama-q4.gguf", Reply(MODEL, framing="chunked"))
    before = everything(place)
    refused = fetch(run, root, url, "--sha256", sha256(OTHER))
    assert_refused(refused, f"has sha256 {sha256(MODEL)} instead of {sha256(OTHER)}", place, before)
    done = fetch(run, root, url, "--sha256", sha256(MODEL))
    assert (done.json["result"], done.json["verified"]) == ("adopted", "sha256")


def test_another_hash_than_that_of_the_origin_is_refused(run: Run, root: Path, origin: Origin, url: str) -> None:
    origin.serve("/llama-q4.gguf", Reply(OTHER, headers=announcing(OTHER)))
    place = foreign(root, url, FILES)
    before = everything(place)
    assert_refused(fetch(run, root, url), f"instead of {sha256(OTHER)}", place, before)
    assert_refused(fetch(run, root, url, "--sha256", sha256(MODEL)), "its origin announces", place, before)
    assert {asked.method for asked in origin.asked} == {"HEAD"}


def test_another_size_than_that_of_the_origin_is_refused(run: Run, root: Path, url: str) -> None:
    place = foreign(root, url, {"model.gguf": MODEL[:-1]})
    before = everything(place)
    cause = f"has {len(MODEL) - 1} bytes, its origin says {len(MODEL)}"
    assert_refused(fetch(run, root, url), cause, place, before)


def test_right_size_and_no_model_is_refused(run: Run, root: Path, origin: Origin, url: str) -> None:
    place = foreign(root, url, {"model.gguf": bytes(len(MODEL))})
    before = everything(place)
    assert_refused(fetch(run, root, url), "is no GGUF file", place, before)
    assert not origin.asked


def test_what_can_not_be_that_model_is_refused_without_asking(run: Run, root: Path, origin: Origin, url: str) -> None:
    place = foreign(root, url, {**FILES, "more.gguf": OTHER})
    before = everything(place)
    assert_refused(fetch(run, root, url), "holds more.gguf", place, before)
    assert not origin.asked


def test_an_origin_that_says_neither_size_nor_hash_confirms_nothing(
    run: Run, root: Path, origin: Origin, url: str
) -> None:
    origin.serve("/llama-q4.gguf", Reply(MODEL, framing="chunked"))
    place = foreign(root, url, FILES)
    before = everything(place)
    assert_refused(fetch(run, root, url), "nobody says which hash", place, before)


def test_who_wants_the_newest_content_gets_no_old_one_of_its_size(
    run: Run, root: Path, origin: Origin, url: str
) -> None:
    place = foreign(root, url, FILES)
    before = everything(place)
    assert_refused(fetch(run, root, url, "--refresh", "always"), "nobody says which hash", place, before)
    origin.serve("/llama-q4.gguf", Reply(MODEL, headers=announcing(MODEL)))
    assert fetch(run, root, url, "--refresh", "always").json["result"] == "adopted"


def test_a_model_larger_than_expected_is_refused(run: Run, root: Path, url: str) -> None:
    place = foreign(root, url, FILES)
    before = everything(place)
    assert_refused(fetch(run, root, url, "--expect-size", "290000"), "are expected", place, before)
    assert fetch(run, root, url, "--expect-size", str(len(MODEL))).code == 0


def test_an_origin_that_can_not_be_asked_is_the_error(run: Run, root: Path, origin: Origin, url: str) -> None:
    origin.serve("/llama-q4.gguf", Reply(status=503))
    place = foreign(root, url, FILES)
    before = everything(place)
    assert fetch(run, root, url).code == 16
    assert everything(place) == before


def test_a_hash_for_a_file_that_is_not_there_is_a_usage_error(run: Run, root: Path, url: str) -> None:
    place = foreign(root, url, FILES)
    before = everything(place)
    assert fetch(run, root, url, "--sha256", f"other.gguf={sha256(MODEL)}").code == 10
    assert everything(place) == before


def test_trouble_of_the_volume_is_not_taken_for_another_model(
    run: Run, root: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = foreign(root, url, FILES)
    monkeypatch.setattr("llmkube_downloader.adopt.entering.sync_directory", failing(5))
    assert fetch(run, root, url).code == 15
    assert tree(place) == FILES
    monkeypatch.setattr("llmkube_downloader.adopt.in_root.files_below", failing(5))
    assert fetch(run, root, url).code == 15


def test_a_file_of_another_name_is_not_renamed(run: Run, root: Path, url: str) -> None:
    place = foreign(root, url, {"Llama-3.gguf": MODEL})
    before = everything(place)
    done = fetch(run, root, url)
    assert done.code == 21
    assert "adopt --move" in done.json["error"]["action"]
    assert everything(place) == before


def test_a_mirror_and_another_cache_confirm_as_well(run: Run, root: Path, origin: Origin, url: str) -> None:
    mirror = origin.serve("/mirror.gguf", Reply(MODEL, headers=announcing(MODEL)))
    foreign(root, url, FILES)
    assert fetch(run, root, url, "--mirror", mirror).json["verified"] == "sha256"
    foreign(root.with_name("third"), url, FILES)
    asked = len(origin.asked)
    assert fetch(run, root.with_name("third"), url, "--upstream", root).json["result"] == "adopted"
    assert len(origin.asked) == asked


def test_a_mirror_with_another_content_does_not_decide(run: Run, root: Path, origin: Origin, url: str) -> None:
    mirror = origin.serve("/mirror.gguf", gguf(len(MODEL) + 1))
    foreign(root, url, FILES)
    assert fetch(run, root, url, "--mirror", mirror).json["result"] == "adopted"


class TestRepository:
    @pytest.fixture(autouse=True)
    def _hub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
        write_repository(tmp_path / "served", "acme/tiny", {**SERVED, "q4/tiny.gguf": MODEL})
        with FakeHub(tmp_path / "served") as hub:
            monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
            yield hub

    def test_its_files_are_of_the_commit_that_the_hub_names(self, run: Run, root: Path) -> None:
        source = "hf://acme/tiny/q4/tiny.gguf"
        foreign(root, source, FILES)
        report = fetch(run, root, source).json
        assert (report["result"], report["verified"], report["bytesFetched"]) == ("adopted", "sha256", 0)
        manifest = look(Layout(root), parse_source(source).key).manifest
        assert manifest
        assert manifest.revision
        assert manifest.revision == report["revision"]
        assert [(file.path, file.origin) for file in manifest.files] == [("model.gguf", "q4/tiny.gguf")]

    def test_a_file_that_is_missing_is_named(self, run: Run, root: Path) -> None:
        kept = {name: data for name, data in SERVED.items() if "tokenizer" not in name}
        place = foreign(root, "hf://acme/tiny", kept)
        before = everything(place)
        done = fetch(run, root, "hf://acme/tiny")
        assert_refused(done, "lacks tokenizer/tokenizer.json", place, before)
        assert look(Layout(root), place.name).state is State.FOREIGN

    def test_one_wrong_shard_is_enough(self, run: Run, root: Path) -> None:
        name = next(name for name in SERVED if name.endswith(".safetensors"))
        place = foreign(root, "hf://acme/tiny", {**SERVED, name: safetensors(200_000, seed=9)})
        before = everything(place)
        assert_refused(fetch(run, root, "hf://acme/tiny"), f"{name} has sha256", place, before)
