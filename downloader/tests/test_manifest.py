"""The manifest: it is read as it was written, and nothing else is taken for one."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from building import MODEL, manifest_of

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.completeness import DamagedManifestError, seal
from llmkube_downloader.store.manifest import parse_manifest


def test_a_manifest_is_read_as_it_was_written() -> None:
    manifest = manifest_of({"a/b.json": b"{}", "c.gguf": MODEL})
    assert parse_manifest(manifest.dump()) == manifest


def test_no_change_of_a_manifest_goes_unnoticed() -> None:
    data = manifest_of({"model.gguf": MODEL}).dump()
    for position in range(len(data)):
        for bit in range(8):
            changed = data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1 :]
            with pytest.raises((DamagedManifestError, DownloaderError)):
                parse_manifest(changed)


def test_a_manifest_that_was_cut_or_added_to_is_damaged() -> None:
    data = manifest_of({"model.gguf": MODEL}).dump()
    for changed in [*(data[:end] for end in range(len(data))), data + b"\n", b"\n" + data, data + data]:
        with pytest.raises(DamagedManifestError):
            parse_manifest(changed)


def test_a_manifest_is_json_with_one_line_per_file_and_seals_the_bytes_before_its_last_line() -> None:
    data = manifest_of({"a.json": b"{}", "b.gguf": MODEL}).dump()
    lines = data.splitlines(keepends=True)
    assert [json.loads(line.strip(b" ,\n"))["path"] for line in lines if b'"path"' in line] == ["a.json", "b.gguf"]
    assert json.loads(data)["selfSha256"] == hashlib.sha256(b"".join(lines[:-2])).hexdigest()
    assert json.loads(b"{" + lines[-2] + lines[-1]) == {"selfSha256": json.loads(data)["selfSha256"]}


NO_MANIFESTS = [b"", b"{}", b"[]", b"null", b'"text"', b"\xff", b"[" * 100_000, b'{"formatVersion": 1}', b"{} {}"]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"{", "can not be parsed"),
        (b'{"formatVersion": 1}', "does not have its own checksum"),
        (seal(b'{\n"formatVersion": 1,\n'), "lacks a field"),
    ],
)
def test_who_has_to_mend_a_manifest_is_told_what_is_wrong_with_it(data: bytes, what: str) -> None:
    with pytest.raises(DamagedManifestError, match=f"^the manifest {what}$"):
        parse_manifest(data)


@pytest.mark.parametrize("data", NO_MANIFESTS, ids=lambda data: repr(data[:20]).replace("\\", "/"))
@pytest.mark.parametrize("accelerated", [True, False])
def test_what_is_no_manifest_is_damage(data: bytes, accelerated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not accelerated:
        monkeypatch.setitem(sys.modules, "_json", None)
    for changed in (data, seal(data)):
        with pytest.raises(DamagedManifestError):
            parse_manifest(changed)


def resealed(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a manifest with other fields and the checksum that belongs to them."""
    body = json.loads(manifest_of({"model.gguf": MODEL}).dump())
    body.pop("selfSha256")
    change(body)
    return seal(json.dumps(body, indent=1).encode("ascii").removesuffix(b"\n}") + b",\n")


@pytest.mark.parametrize("accelerated", [True, False])
def test_a_manifest_is_read_the_same_without_the_parts_that_are_in_c(
    accelerated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not accelerated:
        for name in ("_json", "_sha256", "_sha2"):
            monkeypatch.setitem(sys.modules, name, None)
    assert parse_manifest(resealed(lambda _: None)) == manifest_of({"model.gguf": MODEL})


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "no key": lambda body: body.pop("key"),
    "no checkpoints": lambda body: body.pop("checkpoints"),
    "format 0": lambda body: body.update(formatVersion=0),
    "format in quotes": lambda body: body.update(formatVersion="1"),
    "format true": lambda body: body.update(formatVersion=True),
    "a field too many": lambda body: body.update(surprise=1),
    "revision as number": lambda body: body.update(revision=7),
    "files as object": lambda body: body.update(files={}),
    "selection as list": lambda body: body.update(selection=[]),
    "half a selection": lambda body: body["selection"].pop("include"),
    "pattern without list": lambda body: body["selection"].update(include="*"),
    "pattern as number": lambda body: body["selection"].update(include=[1]),
    "file as text": lambda body: body["files"].append("model.gguf"),
    "no validator": lambda body: body["files"][0].pop("validator"),
    "size in quotes": lambda body: body["files"][0].update(size="1"),
    "size as fraction": lambda body: body["files"][0].update(size=1.0),
    "size as no number": lambda body: body["files"][0].update(size=float("nan")),
    "size as true": lambda body: body["files"][0].update(size=True),
    "no path": lambda body: body["files"][0].update(path=None),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("accelerated", [True, False])
def test_a_manifest_whose_fields_are_not_those_that_are_written_is_damaged(
    change: Callable[[dict[str, Any]], object], accelerated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not accelerated:
        monkeypatch.setitem(sys.modules, "_json", None)
    with pytest.raises(DamagedManifestError):
        parse_manifest(resealed(change))


def test_a_manifest_of_a_newer_version_is_not_damage() -> None:
    body = json.loads(manifest_of({}).dump())
    for newer in (json.dumps({**body, "formatVersion": 2}), json.dumps({"formatVersion": 99})):
        with pytest.raises(DownloaderError) as refused:
            parse_manifest(newer.encode())
        assert refused.value.code is ExitCode.USAGE
