"""With --sha256, only what has the hashes that the user knows becomes an entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from caches_of_others import MODEL, REPOSITORY, SHARDS, everything, foreign, hub_cache, put
from test_adopt_in_place import URL, WHOLE, adopt
from weights import sha256

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Run

WRONG = "0" * 64


@pytest.mark.parametrize("path", ["", "llama-q4.gguf=", "model.gguf="])
def test_the_only_file_has_to_have_it(run: Run, root: Path, path: str) -> None:
    place = foreign(root, URL, {"model.gguf": MODEL})
    before = everything(place)
    refused = adopt(run, root, "--source", URL, "--sha256", f"{path}{WRONG}")
    assert refused.code == 13
    assert f"has sha256 {sha256(MODEL)} instead of {WRONG}" in refused.json["left"][0]["cause"]
    assert everything(place) == before
    done = adopt(run, root, "--source", URL, "--sha256", f"{path}{sha256(MODEL).upper()}")
    assert done.code == 0, done.json
    assert done.json["adopted"][0]["verified"] == "sha256"


def test_what_is_an_entry_already_has_to_have_it_too(run: Run, root: Path) -> None:
    foreign(root, URL, {"model.gguf": MODEL})
    adopt(run, root, "--source", URL)
    assert adopt(run, root, "--source", URL, "--sha256", WRONG).code == 13
    assert adopt(run, root, "--source", URL, "--sha256", sha256(MODEL)).json["adopted"][0]["result"] == "present"


def test_files_from_elsewhere_have_to_have_theirs(run: Run, root: Path, tmp_path: Path) -> None:
    folder = put(tmp_path / "folder", REPOSITORY)
    name, data = next(iter(SHARDS.items()))
    flags = ("--from", folder, "--source", WHOLE, "--sha256")
    assert adopt(run, root, *flags, f"{name}={WRONG}").code == 13
    assert adopt(run, root, *flags, WRONG).code == 10
    assert adopt(run, root, *flags, f"other.gguf={WRONG}").code == 10
    assert adopt(run, root, *flags, f"{name}={sha256(data)}").code == 0


def test_a_hash_that_a_cache_contradicts_is_found_without_reading(run: Run, root: Path, tmp_path: Path) -> None:
    hub_cache(tmp_path / "hub", "acme/tiny", REPOSITORY)
    flags = ("--from", tmp_path / "hub", "--source", WHOLE, "--dry-run", "--sha256")
    done = adopt(run, root, *flags, f"{next(iter(SHARDS))}={WRONG}")
    assert done.code == 13
    assert "its origin announces" in done.json["left"][0]["cause"]


def test_a_hash_without_a_source_is_a_usage_error(run: Run, root: Path) -> None:
    foreign(root, URL, {"model.gguf": MODEL})
    done = adopt(run, root, "--sha256", sha256(MODEL))
    assert done.code == 10
    assert "--source" in done.json["error"]["action"]


def test_its_environment_name_holds_one_to_a_line(
    run: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(tmp_path / "folder", REPOSITORY)
    first, second = SHARDS
    lines = [f"{first}={sha256(SHARDS[first])}", f"{second}={WRONG}"]
    monkeypatch.setenv("LLMKUBE_SHA256", "\n".join(lines))
    assert adopt(run, root, "--from", folder, "--source", WHOLE).code == 13
