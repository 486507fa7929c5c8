"""Fetching from the Hugging Face hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from origin_server import Origin, Reply
from weights import gguf, safetensors, sha256

from fakehub import FakeHub, Fault, write_repository
from llmkube_downloader.key import parse_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from command_line import Done, Run

Q4, Q8 = gguf(500_000, seed=4), gguf(300_000, seed=8)
TINY = {
    ".gitattributes": b"*.gguf filter=lfs",
    "README.md": b"# tiny",
    "assets/plot.png": b"PNG",
    "config.json": b"{}",
    "q4/tiny.gguf": Q4,
    "q8/mmproj-tiny.gguf": Q8,
    "tokenizer/tokenizer.json": b"[]",
}

pytestmark = pytest.mark.usefixtures("waits")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub with the repository acme/tiny, which HF_ENDPOINT names."""
    write_repository(tmp_path / "hub", "acme/tiny", TINY)
    with FakeHub(tmp_path / "hub") as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


def fetched(done: Done) -> dict[str, bytes]:
    """Return the files of the entry that a fetch reports, without the manifest."""
    entry = Path(done.json["entry"])
    paths = [path for path in entry.rglob("*") if path.is_file() and path.name != ".llmkube.json"]
    return {str(path.relative_to(entry)): path.read_bytes() for path in paths}


@pytest.mark.usefixtures("hub")
def test_a_whole_repository_is_what_a_server_reads_of_it(run: Run, root: Path) -> None:
    done = run("fetch", "hf://acme/tiny", "--root", root, "-o", "json")
    assert done.code == 0
    assert fetched(done) == {
        path: TINY[path] for path in TINY if path not in (".gitattributes", "README.md", "assets/plot.png")
    }


def test_other_formats_of_the_same_weights_are_left_out(run: Run, root: Path, tmp_path: Path, hub: FakeHub) -> None:
    files = {"model.safetensors": safetensors(), "pytorch_model.bin": b"pickle", "original/consolidated.pth": b"pickle"}
    write_repository(tmp_path / "hub", "acme/both", files)
    assert set(fetched(run("fetch", "hf://acme/both", "--root", root, "-o", "json"))) == {"model.safetensors"}
    wanted = run("fetch", "hf://acme/both", "--root", root, "--include", "*.bin", "-o", "json")
    assert set(fetched(wanted)) == {"pytorch_model.bin"}
    assert hub.requests.of("cdn")


@pytest.mark.usefixtures("hub")
def test_a_single_file_is_named_as_servers_expect_it(run: Run, root: Path) -> None:
    done = run("fetch", "hf://acme/tiny/q4/tiny.gguf", "--root", root, "-o", "json")
    assert fetched(done) == {"model.gguf": Q4}
    assert done.json["source"] == "hf://acme/tiny/q4/tiny.gguf"
    assert done.json["verified"] == "sha256"


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("flags", "paths"),
    [
        (["--file", "config.json", "--file", "q4/tiny.gguf"], {"config.json", "q4/tiny.gguf"}),
        (["--include", "*.json"], {"config.json", "tokenizer/tokenizer.json"}),
        (["--include", "tokenizer/"], {"tokenizer/tokenizer.json"}),
        (["--include", "*.json", "--exclude", "tokenizer/*"], {"config.json"}),
        (["--include", "*.json", "--file", "README.md"], {"config.json", "tokenizer/tokenizer.json", "README.md"}),
        (["--exclude", "*.gguf"], {"config.json", "tokenizer/tokenizer.json"}),
        (["--file", "config.json", "--exclude", "*"], {"config.json"}),
    ],
)
def test_a_selection_fetches_what_it_names(run: Run, root: Path, flags: list[str], paths: set[str]) -> None:
    assert set(fetched(run("fetch", "hf://acme/tiny", "--root", root, *flags, "-o", "json"))) == paths


@pytest.mark.usefixtures("hub")
def test_a_selection_that_matches_nothing_is_not_found(run: Run, root: Path) -> None:
    done = run("fetch", "hf://acme/tiny", "--root", root, "--include", "*.safetensors")
    assert done.code == 12
    assert "config.json" in done.err


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("source", "code", "hint"),
    [
        ("hf://acme/tiny/q5/tiny.gguf", 12, "q4/tiny.gguf"),
        ("hf://acme/tiny/q4", 12, "--include 'q4/*'"),
        ("hf://acme/tiny@v9", 12, "'v9'"),
        ("hf://acme/nothing", 11, "HF_TOKEN"),
        ("hf://acme/..", 10, "Repo"),
    ],
)
def test_what_is_not_there_is_named(run: Run, root: Path, source: str, code: int, hint: str) -> None:
    done = run("fetch", source, "--root", root)
    assert done.code == code
    assert hint in done.err


@pytest.mark.usefixtures("hub")
def test_a_missing_repository_is_not_found_with_a_token(run: Run, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    assert run("fetch", "hf://acme/nothing", "--root", root).code == 12


def test_a_revision_is_fetched_by_its_commit(run: Run, root: Path, tmp_path: Path, hub: FakeHub) -> None:
    write_repository(tmp_path / "hub", "acme/tiny", {"tiny.gguf": Q8}, revision="refs/pr/1")
    done = run("fetch", "hf://acme/tiny@refs/pr/1", "--root", root, "-o", "json")
    assert fetched(done) == {"model.gguf": Q8}
    commit = done.json["revision"]
    assert len(commit) == 40
    assert f"/acme/tiny/resolve/{commit}/tiny.gguf" in {record.path for record in hub.requests.of("hub")}
    assert fetched(run("fetch", f"hf://acme/tiny@{commit}", "--root", root, "-o", "json")) == {"model.gguf": Q8}


def test_a_repository_costs_one_question_and_one_request_per_file(run: Run, root: Path, hub: FakeHub) -> None:
    done = run("fetch", "hf://acme/tiny", "--root", root, "-o", "json")
    assert len(hub.requests.of("hub")) == 1 + len(done.json["files"])
    assert hub.requests.bytes_sent("cdn") == len(Q4) + len(Q8)
    asked = len(hub.requests.of("hub")) + len(hub.requests.of("cdn"))
    assert done.json["requests"] == asked


def test_names_with_spaces_and_other_letters_are_fetched(run: Run, root: Path, tmp_path: Path, hub: FakeHub) -> None:
    files = {"a b#1?.json": b"{}", "mödel-模型.gguf": Q4}
    write_repository(tmp_path / "hub", "acme/odd", files)
    assert fetched(run("fetch", "hf://acme/odd", "--root", root, "-o", "json")) == files
    assert hub.requests.of("cdn")


@pytest.mark.parametrize("source", ["hf://acme/gated", "hf://acme/private"])
@pytest.mark.usefixtures("hub")
def test_a_closed_repository_opens_with_the_token_of_the_mounted_secret(
    run: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    write_repository(tmp_path / "hub", "acme/gated", {"tiny.gguf": Q4}, gated="manual", token="hf_right")
    write_repository(tmp_path / "hub", "acme/private", {"tiny.gguf": Q4}, private=True, token="hf_right")
    without = run("fetch", source, "--root", root)
    assert without.code == 11
    assert "no token was sent" in without.err
    assert "existingSecret" in without.err

    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    refused = run("fetch", source, "--root", root)
    assert refused.code == (11 if "gated" in source else 12)
    assert "hf_wrong" not in refused.err

    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "HF_TOKEN").write_text("hf_right\n")
    monkeypatch.setenv("LLMKUBE_CREDENTIALS", str(tmp_path / "secret"))
    assert run("fetch", source, "--root", root).code == 0


@pytest.mark.usefixtures("hub")
def test_a_token_may_come_from_the_file_that_the_client_library_reads(
    run: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_repository(tmp_path / "hub", "acme/private", {"tiny.gguf": Q4}, private=True, token="hf_right")
    (tmp_path / "token").write_text("hf_right")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("LLMKUBE_CREDENTIALS", str(tmp_path / "empty"))
    assert run("fetch", "hf://acme/private", "--root", root).code == 0


def test_a_token_that_is_not_valid_is_said_so(
    run: Run, root: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "canary")
    done = run("fetch", "hf://acme/tiny", "--root", root)
    assert done.code == 11
    assert "token that was sent" in done.err
    assert "canary" not in done.err
    assert hub.requests.of("cdn") == []


@pytest.mark.parametrize("token", ["two words", "line\nfeed", "hf_ümlaut"])
def test_what_can_be_no_token_is_refused_unseen(
    run: Run, root: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    done = run("fetch", "hf://acme/tiny", "--root", root)
    assert done.code == 11
    assert token not in done.err
    assert hub.requests.of("hub") == []


def test_the_content_network_never_sees_the_token(
    run: Run, root: Path, tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_repository(tmp_path / "hub", "acme/private", {"tiny.gguf": Q4}, private=True, token="hf_right")
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    # The hub's stand-in for a content network answers 400 to a request that brings credentials.
    assert run("fetch", "hf://acme/private", "--root", root).code == 0
    assert hub.requests.of("cdn")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(listener="cdn", corrupt_at=400_000), 13),
        (Fault(listener="cdn", truncate_at=400_000), 16),
        (Fault(listener="cdn", reset_at=400_000), 16),
        (Fault(listener="cdn", html=True), 13),
        (Fault(listener="cdn", status=403), 11),
        (Fault(listener="hub", path="^/api/", status=503), 16),
        (Fault(listener="hub", path="^/api/", status=429), 17),
        (Fault(listener="hub", path="^/api/", html=True), 16),
        (Fault(listener="hub", path="resolve", status=404), 12),
    ],
)
def test_a_fault_of_the_hub_has_its_exit_code_and_publishes_nothing(
    run: Run, root: Path, hub: FakeHub, fault: Fault, code: int
) -> None:
    hub.faults.add(fault)
    assert run("fetch", "hf://acme/tiny/q4/tiny.gguf", "--root", root).code == code
    assert [path.name for path in root.iterdir()] == [".llmkube"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(listener="cdn", nth=1, truncate_at=400_000),
        Fault(listener="cdn", nth=1, reset_at=400_000),
        Fault(listener="cdn", nth=1, status=503),
        Fault(listener="hub", path="^/api/", times=2, status=503, headers={"Retry-After": "3"}),
        Fault(listener="hub", path="^/api/", times=2, status=429),
    ],
)
def test_a_fault_that_passes_is_outlived(run: Run, root: Path, hub: FakeHub, fault: Fault) -> None:
    hub.faults.add(fault)
    assert fetched(run("fetch", "hf://acme/tiny/q4/tiny.gguf", "--root", root, "-o", "json")) == {"model.gguf": Q4}


@pytest.mark.usefixtures("hub")
def test_offline_mode_forbids_to_ask_the_hub(run: Run, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    done = run("fetch", "hf://acme/tiny", "--root", root)
    assert done.code == 21
    assert "HF_HUB_OFFLINE" in done.err


def test_a_hub_that_is_not_there_is_unavailable(run: Run, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert run("fetch", "hf://acme/tiny", "--root", root).code == 16


def test_a_hub_that_is_not_trusted_is_refused(
    run: Run, root: Path, secure_origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", secure_origin.url(""))
    monkeypatch.delenv("SSL_CERT_FILE")
    assert run("fetch", "hf://acme/tiny", "--root", root).code == 18
    assert secure_origin.asked == []


def test_the_library_too_may_not_follow_the_hub_to_plain_http(
    run: Run, root: Path, secure_origin: Origin, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", secure_origin.url(""))
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    secure_origin.redirect("/api/models/acme/tiny?blobs=true", origin.url("/api/models/acme/tiny"))
    assert run("fetch", "hf://acme/tiny", "--root", root).code == 21
    assert origin.asked == []


def test_the_library_too_may_not_follow_a_public_hub_to_a_private_address(
    run: Run, root: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", origin.url(""))
    monkeypatch.setattr("llmkube_downloader.transfer.connection.is_public", lambda ip: ip == "127.0.0.1")
    origin.redirect("/api/models/acme/tiny?blobs=true", "http://127.0.0.2:1/api")
    done = run("fetch", "hf://acme/tiny", "--root", root, "--allow-http", "*")
    assert done.code == 21
    assert "not on the public internet" in done.err


def test_a_hub_that_does_not_speak_tls_is_no_https_hub(
    run: Run, root: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", origin.url("").replace("http:", "https:"))
    assert run("fetch", "hf://acme/tiny", "--root", root).code == 18


@pytest.mark.parametrize(
    "name",
    ["../evil.gguf", "/etc/evil.gguf", "a/../../evil.gguf", "a\\..\\evil.gguf", "a//b.gguf", "e\x00vil", "e\nvil"],
)
def test_a_hub_can_not_write_outside_of_the_entry(
    run: Run, root: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", origin.url(""))
    sibling = {"rfilename": name, "size": len(Q4), "lfs": {"sha256": sha256(Q4), "size": len(Q4), "pointerSize": 1}}
    info = {"id": "acme/tiny", "sha": "0" * 40, "siblings": [sibling]}
    origin.serve("/api/models/acme/tiny?blobs=true", Reply(json.dumps(info).encode()))
    done = run("fetch", "hf://acme/tiny", "--root", root)
    assert done.code == 21
    assert len(origin.asked) == 1


@pytest.mark.usefixtures("hub")
def test_the_revision_decides_the_key_and_the_commit_is_recorded(run: Run, root: Path) -> None:
    report = run("fetch", "hf://acme/tiny@main/config.json", "--root", root, "-o", "json").json
    assert report["key"] == parse_source("hf://acme/tiny/config.json").key
    manifest = json.loads((Path(report["entry"]) / ".llmkube.json").read_text())
    assert manifest["revision"] == report["revision"]
    assert manifest["selection"] == {"files": ["config.json"], "include": [], "exclude": []}
