"""What other programs read: JSON that fits its schema, short where Kubernetes keeps it, without secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml
from origin_server import Origin, Reply
from repository import CONTRACT
from weights import gguf

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.report import REPORT_BYTES, dump_short, error_json

if TYPE_CHECKING:
    from command_line import Run

SCHEMA: dict[str, Any] = json.loads((CONTRACT / "report.schema.json").read_text())
MODEL = gguf(10_000)
TOKEN = "hf_canary-token"
SIGNATURE = "canary-signature"


def valid(report: Any, kind: str | None = None) -> bool:
    """Check a report against the schema, or against one of its definitions."""
    jsonschema.validate(report, {**SCHEMA, "oneOf": [{"$ref": f"#/$defs/{kind}"}]} if kind else SCHEMA)
    return True


def test_the_exit_codes_are_those_of_the_contract() -> None:
    contract = yaml.safe_load((CONTRACT / "exit-codes.yaml").read_text())
    assert [(code.value, code.label) for code in ExitCode] == [(line["code"], line["name"]) for line in contract]


def test_every_command_answers_in_the_schema(run: Run, root: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(MODEL)
    source = f"file://{tmp_path}/tiny.gguf"
    for _ in ("fetched", "hit"):
        assert valid(run("fetch", source, "--root", root, "-o", "json").json, "fetch")
    assert valid(run("key", source, "-o", "json").json, "keyOf")
    assert valid(run("list", "--root", root, "-o", "json").json, "list")
    assert valid(run("verify", "--root", root, "-o", "json").json, "verify")
    (key,) = (entry["key"] for entry in run("list", "--root", root, "-o", "json").json["entries"])
    (root / key / "model.gguf").write_bytes(b"damaged")
    assert valid(run("verify", "--root", root, "-o", "json").json, "verify")
    assert valid(run("list", "--root", root, "-o", "json").json, "list")
    assert valid(run("pin", key, "--root", root, "-o", "json").json, "pin")
    assert valid(run("unpin", key, "--root", root, "-o", "json").json, "pin")
    assert valid(run("prune", "--root", root, "--unused", "--dry-run", "-o", "json").json, "prune")
    assert valid(run("remove", key, "--root", root, "-o", "json").json, "remove")
    for command in (["fetch", "s3://b/k", "--root", root], ["remove", key, "--root", root], ["key", "nothing"]):
        failed = run(*command, "-o", "json")
        assert valid(failed.json, "error")
        assert failed.json["error"]["code"] == failed.code


def test_a_report_file_holds_what_standard_output_says(run: Run, root: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(MODEL)
    (tmp_path / "report").write_text("left over " * 1000)
    done = run("fetch", f"file://{tmp_path}/tiny.gguf", "--root", root, "--report", tmp_path / "report", "-o", "json")
    assert (tmp_path / "report").read_text() == done.out


def test_a_report_of_many_files_fits_a_termination_message(run: Run, root: Path, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(200):
        (tmp_path / "many" / f"file-{number:03}.json").write_text("{}")
    done = run("fetch", f"file://{tmp_path}/many", "--root", root, "--report", tmp_path / "report", "-o", "json")
    assert len(done.json["files"]) == 200
    text = (tmp_path / "report").read_text()
    report = json.loads(text)
    assert REPORT_BYTES * 0.9 < len(text) <= REPORT_BYTES
    assert len(report["files"]) + report["filesOmitted"] == 200
    assert report["files"] == done.json["files"][: len(report["files"])]
    assert valid(report, "fetch")


def test_a_long_error_fits_a_termination_message() -> None:
    for letter in ("u", "ü", "😀"):
        text = dump_short(error_json(DownloaderError(ExitCode.POLICY, letter * 10_000, letter * 10_000)))
        assert REPORT_BYTES * 0.2 < len(text) < REPORT_BYTES
        assert valid(json.loads(text), "error")


def test_a_report_that_can_not_be_written_does_not_undo_a_fetch(run: Run, root: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(MODEL)
    done = run("fetch", f"file://{tmp_path}/tiny.gguf", "--root", root, "--report", tmp_path / "missing" / "report")
    assert done.code == 0
    assert "warning" in done.err


def test_usage_errors_of_the_command_line_have_the_usage_code(run: Run, root: Path) -> None:
    for arguments in (
        ["fetch"],
        ["fetch", "hf://a/b"],
        ["fetch", "hf://a/b", "--root", root, "--nonsense"],
        ["fetch", "hf://a/b", "--root", root, "--sha256", "123"],
        ["fetch", "hf://a/b", "--root", root, "--lock-wait", "soon"],
        ["fetch", "hf://a/b", "--root", root, "--stall-timeout", "0"],
        ["fetch", "hf://a/b", "--root", root, "--expect-size", "much"],
        ["prune", "--root", root],
        ["prune", "--root", root, "--older-than", "0"],
        ["prune", "--root", root, "--max-bytes", "much"],
        ["nonsense"],
    ):
        assert run(*arguments).code == 10


def test_the_version_is_printed(run: Run) -> None:
    assert run("--version").out == "llmkube-downloader 0.1.0\n"


@pytest.mark.parametrize("status", [200, 401, 404, 500])
@pytest.mark.usefixtures("waits")
def test_secrets_appear_nowhere(
    run: Run, root: Path, tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", origin.url(""))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    signed = origin.serve(f"/tiny.gguf?X-Amz-Signature={SIGNATURE}&id=7", Reply(MODEL, status=status))
    through = origin.redirect("/through.gguf", signed)
    unsigned = origin.serve(f"/get/tiny.gguf?token={SIGNATURE}", Reply(MODEL, status=status))
    origin.serve("/api/models/acme/tiny?blobs=true", Reply(b"{}", status=status))
    said = ""
    for source in (signed, through, unsigned, "hf://acme/tiny"):
        for output in ("text", "json"):
            done = run("fetch", source, "--root", root, "-o", output, "--report", tmp_path / "report")
            said += done.out + done.err + (tmp_path / "report").read_text()
    said += run("list", "--root", root, "-o", "json").out
    for path in root.rglob("*"):
        said += str(path) + (path.read_bytes().decode("latin-1") if path.is_file() else "")
    assert any(TOKEN in asked.headers.get("Authorization", "") for asked in origin.asked)
    assert TOKEN not in said
    assert SIGNATURE not in said
