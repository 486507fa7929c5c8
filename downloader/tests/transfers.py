"""What the tests of the transfer share: small blocks, so that little is sent, and what was asked for and came of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from origin_server import Reply
from weights import gguf, sha256

from llmkube_downloader import sha256 as sha256_module
from llmkube_downloader.transfer import download

if TYPE_CHECKING:
    from command_line import Done
    from origin_server import Asked, Origin

BLOCK = 4096
CHECKPOINT = 4 * BLOCK
SLOTS = 16
PATH = "/model.bin"
ETAG = {"ETag": '"1"'}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, origin: Origin) -> None:
    """Receive blocks of 4 KiB in memory for 16 of them, with a state after every four; allow plain http."""
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", origin.host)
    for name in ("_SMALLEST_BLOCK", "_LARGEST_BLOCK"):
        monkeypatch.setattr(download, name, BLOCK)
    monkeypatch.setattr(download, "_RING_BYTES", SLOTS * BLOCK)
    monkeypatch.setattr(download, "_SMALLEST_SYNC", 2 * BLOCK)
    for module in (download, sha256_module):
        monkeypatch.setattr(module, "CHECKPOINT_BYTES", CHECKPOINT)


def announcing(body: bytes) -> dict[str, str]:
    """Return headers that promise the hash of a body, as the hub's do."""
    return {"X-Linked-Etag": f'"{sha256(body)}"', "X-Linked-Size": str(len(body))}


def received(done: Done, name: str = "model.bin") -> bytes:
    """Return a file of the entry that a fetch has made; its hash is the one that was published."""
    assert done.code == 0, done.err
    data = (Path(done.json["entry"]) / name).read_bytes()
    assert {"path": name, "size": len(data), "sha256": sha256(data)} in done.json["files"]
    return data


def spans(origin: Origin, path: str = PATH) -> list[tuple[int, int]]:
    """Return the stretches that were asked for, from the first byte to after the last one, in order."""
    asked = (re.fullmatch("bytes=([0-9]+)-([0-9]+)", each.range or "") for each in origin.asked if path in each.path)
    return sorted((int(match[1]), int(match[2]) + 1) for match in asked if match)


def partial(body: bytes, start: int, end: int, *headers: str, total: int | None = None) -> Reply:
    """Return an answer with these bytes, whatever was asked for, on a connection that ends without a word after it."""
    lines = [
        "HTTP/1.1 206 Partial Content",
        f"Content-Length: {end - start}",
        f"Content-Range: bytes {start}-{end - 1}/{len(body) if total is None else total}",
        *headers,
    ]
    return Reply(raw="\r\n".join([*lines, "", ""]).encode() + body[start:end])


def asked_span(asked: Asked) -> tuple[int, int]:
    """Return which bytes a request asks for, from the first to after the last one."""
    match = re.fullmatch("bytes=([0-9]+)-([0-9]+)", asked.range or "")
    return (int(match[1]), int(match[2]) + 1) if match else (0, 0)


def body_of(blocks: int, seed: int = 0, more: int = 0) -> bytes:
    """Return a body of so many blocks and bytes more."""
    return gguf(blocks * BLOCK + more, seed)
