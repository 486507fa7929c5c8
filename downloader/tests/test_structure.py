"""Headers of model files: what they promise has to fit what arrived."""

from __future__ import annotations

import io
import json
import struct

import pytest
from weights import gguf, safetensors

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.transfer.structure import check_start, check_whole


def check(path: str, data: bytes) -> None:
    check_start(path, data[:512])
    check_whole(path, io.BytesIO(data), len(data))


def header(tensors: int, pairs: int, version: int = 3) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", version, tensors, pairs)


def tensor_file(description: object, data: bytes = b"") -> bytes:
    text = description if isinstance(description, bytes) else json.dumps(description).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("a.gguf", gguf()),
        ("A.GGUF", gguf()),
        ("a.gguf", header(1, 1, version=2) + bytes(37)),
        ("a.safetensors", safetensors()),
        ("a.safetensors", tensor_file({})),
        ("a.safetensors", tensor_file({"__metadata__": {"format": "pt"}})),
        ("index.html", b"<!DOCTYPE html>"),
        ("README.md", b"# <html>"),
        ("config.json", b""),
        ("model.bin", b"anything"),
    ],
)
def test_a_file_that_is_what_its_name_says_is_accepted(path: str, data: bytes) -> None:
    check(path, data)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("a.gguf", b""),
        ("a.gguf", b"GGUF"),
        ("a.gguf", b"GGML" + bytes(100)),
        ("a.gguf", header(0, 0, version=1)),
        ("a.gguf", header(0, 0, version=2**31)),
        ("a.gguf", header(1, 0)),
        ("a.gguf", header(0, 2**63)),
        ("a.safetensors", b""),
        ("a.safetensors", bytes(8)),
        ("a.safetensors", struct.pack("<Q", 2**63) + b"{}"),
        ("a.safetensors", tensor_file(b"{nonsense")),
        ("a.safetensors", tensor_file(b"[" * 100_000)),
        ("a.safetensors", tensor_file([1])),
        ("a.safetensors", tensor_file({"weight": {}})),
        ("a.safetensors", tensor_file({"weight": {"data_offsets": [0, 10]}}, bytes(9))),
        ("a.safetensors", safetensors() + b"x"),
        ("model.bin", b"\n <!doctype HTML><title>Log in</title>"),
        ("model.bin", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"),
    ],
)
def test_a_file_that_is_not_is_refused(path: str, data: bytes) -> None:
    with pytest.raises(DownloaderError) as refused:
        check(path, data)
    assert refused.value.code is ExitCode.INTEGRITY
    assert path in refused.value.cause
