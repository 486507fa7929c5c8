"""Fetching what lies on another claim, mounted beside the cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from weights import gguf, sha256

if TYPE_CHECKING:
    from command_line import Run

MODEL = gguf(100_000)


@pytest.fixture
def claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The mounted claim `weights`, with a model in a folder."""
    claim = tmp_path / "pvc" / "weights"
    (claim / "llama").mkdir(parents=True)
    (claim / "llama" / "tiny.gguf").write_bytes(MODEL)
    (claim / "llama" / "config.json").write_bytes(b"{}")
    monkeypatch.setenv("LLMKUBE_PVC_DIR", str(tmp_path / "pvc"))
    return claim


@pytest.mark.usefixtures("claim")
def test_a_file_of_a_claim_is_copied_and_hashed(run: Run, root: Path) -> None:
    done = run("fetch", "pvc://weights/llama/tiny.gguf", "--root", root, "-o", "json")
    assert done.code == 0, done.err
    assert (Path(done.json["entry"]) / "model.gguf").read_bytes() == MODEL
    assert done.json["files"] == [{"path": "model.gguf", "size": len(MODEL), "sha256": sha256(MODEL)}]
    assert done.json["source"] == "pvc://weights/llama/tiny.gguf"


@pytest.mark.usefixtures("claim")
@pytest.mark.parametrize("source", ["pvc://weights/llama", "pvc://weights/llama/"])
def test_a_folder_of_a_claim_is_copied_like_a_repository(run: Run, root: Path, source: str) -> None:
    done = run("fetch", source, "--root", root, "-o", "json")
    assert [file["path"] for file in done.json["files"]] == ["config.json", "tiny.gguf"]


@pytest.mark.usefixtures("claim")
def test_a_whole_claim_is_copied_like_a_repository(run: Run, root: Path) -> None:
    done = run("fetch", "pvc://weights", "--root", root, "--include", "*.json", "-o", "json")
    assert [file["path"] for file in done.json["files"]] == ["llama/config.json"]


@pytest.mark.usefixtures("claim")
def test_a_copy_that_is_not_what_was_expected_is_not_published(run: Run, root: Path) -> None:
    assert run("fetch", "pvc://weights/llama/tiny.gguf", "--root", root, "--sha256", "0" * 64).code == 13
    assert [path.name for path in root.iterdir()] == [".llmkube"]


@pytest.mark.usefixtures("claim")
def test_a_claim_that_is_not_mounted_is_named_with_where_it_belongs(run: Run, root: Path, tmp_path: Path) -> None:
    done = run("fetch", "pvc://other/llama/tiny.gguf", "--root", root)
    assert done.code == 12
    assert "claim other" in done.err
    assert "pvc://other/llama/tiny.gguf" in done.err
    assert f"Mount the claim read-only at {tmp_path}/pvc/other" in done.err


def test_claims_are_looked_for_below_slash_pvc(run: Run, root: Path) -> None:
    assert "/pvc/no-such-claim" in run("fetch", "pvc://no-such-claim/m.gguf", "--root", root).err


@pytest.mark.usefixtures("claim")
def test_a_path_that_a_claim_does_not_hold_is_named_with_the_claim(run: Run, root: Path) -> None:
    done = run("fetch", "pvc://weights/llama/q5.gguf", "--root", root)
    assert done.code == 12
    assert "claim weights, path /llama/q5.gguf" in done.err


@pytest.mark.usefixtures("claim")
@pytest.mark.parametrize(
    "source",
    ["pvc://weights/../weights/llama/tiny.gguf", "pvc://../weights", "pvc:///tiny.gguf", "pvc://We/m", "pvc://.."],
)
def test_a_source_can_not_lead_out_of_its_claim(run: Run, root: Path, source: str) -> None:
    done = run("fetch", source, "--root", root)
    assert done.code == 10
    assert "pvc://<claim>/<path>" in done.err


@pytest.mark.parametrize("source", ["pvc://weights/planted.gguf", "pvc://weights", "pvc://weights/away/secret.gguf"])
def test_links_can_not_lead_out_of_the_claim(run: Run, root: Path, claim: Path, tmp_path: Path, source: str) -> None:
    (tmp_path / "secret.gguf").write_bytes(MODEL)
    (claim / "planted.gguf").symlink_to(tmp_path / "secret.gguf")
    (claim / "away").symlink_to(tmp_path)
    done = run("fetch", source, "--root", root, *(["--include", "*"] if source == "pvc://weights" else []))
    assert done.code == 21
    assert "leads out of" in done.err
    assert [path.name for path in root.iterdir()] == [".llmkube"]


def test_links_within_the_claim_are_what_they_lead_to(run: Run, root: Path, claim: Path) -> None:
    (claim / "link.gguf").symlink_to("llama/tiny.gguf")
    done = run("fetch", "pvc://weights/link.gguf", "--root", root, "-o", "json")
    assert (Path(done.json["entry"]) / "model.gguf").read_bytes() == MODEL
