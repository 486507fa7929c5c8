"""A copy on one volume takes no room where the file system lets files share their blocks, and is read all the same."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attempts import leave
from building import content
from origin_server import Reply
from transfers import announcing
from weights import gguf

from faults.place import Workers
from faults.sharing import SIZE
from llmkube_downloader.key import parse_source
from llmkube_downloader.store import volume

if TYPE_CHECKING:
    from collections.abc import Callable

    from command_line import Done, Run
    from origin_server import Origin

    from llmkube_downloader.store.layout import Layout

MODEL = gguf(700_000)
IDENTITY = content("model.gguf", MODEL)
_LITTLE = 4 * 2**20

pytestmark = pytest.mark.usefixtures("waits")


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Let a file system share blocks, or do something else when it is asked to; what was asked is returned."""

    def make(damage: Callable[[bytes], bytes] = bytes) -> list[int]:
        asked = []

        def share(writer: int, request: int, reader: int) -> int:
            asked.append(request)
            os.pwrite(writer, damage(os.pread(reader, 1 << 20, 0)), 0)
            return 0

        monkeypatch.setattr(fcntl, "ioctl", share)
        return asked

    return make


@pytest.fixture
def again(run: Run, root: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Done]:
    """Fetch a content that the volume has under another key."""
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", origin.host)
    first, second = (origin.serve(path, Reply(MODEL, headers=announcing(MODEL))) for path in ("/a.gguf", "/b.gguf"))
    assert run("fetch", first, "--root", root).code == 0
    return lambda: run("fetch", second, "--root", root, "-o", "json")


def whole(done: Done) -> bool:
    assert done.code == 0, done.err
    return (Path(done.json["entry"]) / "model.gguf").read_bytes() == MODEL


def test_blocks_are_shared_and_hashed(again: Callable[[], Done], shares: Callable[..., list[int]]) -> None:
    asked = shares()
    done = again()
    assert whole(done)
    assert asked == [0x40049409]
    assert (done.json["bytesFetched"], done.json["bytesReused"]) == (0, len(MODEL))
    assert done.json["verified"] == "sha256"


def test_no_room_is_needed_for_blocks_that_are_shared(
    again: Callable[[], Done], shares: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volume, "usage", lambda _: volume.Usage(10_000_000, 1_500_000))
    assert again().code == 14
    shares()
    assert whole(again())


def test_shared_blocks_that_are_damaged_are_fetched_instead(
    again: Callable[[], Done], shares: Callable[..., list[int]]
) -> None:
    shares(lambda data: data[:-1] + b"?")
    done = again()
    assert whole(done)
    assert done.json["bytesFetched"] == len(MODEL)
    assert "not using copies on the volume" in done.err


def test_what_an_earlier_fetch_received_is_gone_on_with(
    again: Callable[[], Done], shares: Callable[..., list[int]], layout: Layout, origin: Origin
) -> None:
    original = layout.entry(parse_source(origin.url("/a.gguf")).key) / "model.gguf"
    with original.open("r+b") as file:
        file.seek(100)
        file.write(b"?")
    leave(layout, key=parse_source(origin.url("/b.gguf")).key, synced=range(64), identity=IDENTITY, body=MODEL)
    asked = shares()
    done = again()
    assert whole(done)
    assert asked == []
    assert done.json["bytesFetched"] == 0


@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda data: data[:-1], lambda data: data + b"?"],
    ids=["nothing", "a part", "more"],
)
def test_a_file_system_that_shares_something_else_is_not_believed(
    again: Callable[[], Done], shares: Callable[..., list[int]], damage: Callable[[bytes], bytes]
) -> None:
    asked = shares(damage)
    done = again()
    assert whole(done)
    assert asked
    # It was copied then.
    assert (done.json["bytesFetched"], done.json["bytesReused"]) == (0, len(MODEL))


def test_shared_blocks_are_on_disk_before_a_journal_tells_of_them(
    again: Callable[[], Done], shares: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shares()
    synced: list[str] = []
    sync, write = os.fsync, os.write

    def log_sync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    def log_write(descriptor: int, data: Any) -> int:
        if bytes(data[:1024]).count(b" wrote 0 "):
            assert synced[-1] == "model.gguf"
            synced.append("journal")
        return write(descriptor, data)

    monkeypatch.setattr(os, "fsync", log_sync)
    monkeypatch.setattr(os, "write", log_write)
    assert whole(again())
    assert "journal" in synced


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_on_xfs_no_block_is_copied() -> None:
    with Workers() as workers:
        done = {copied["what"]: copied for copied in workers.start("sharing").result()}
    assert {what: copied["code"] for what, copied in done.items()} == dict.fromkeys(done, 0)
    assert done["bytes"]["room"] >= SIZE
    assert done["fetched"]["report"]["bytesReused"] >= SIZE
    assert done["adopted"]["report"]["adopted"][0]["bytesCopied"] == 0
    assert max(done[what]["room"] for what in ("fetched", "adopted")) < _LITTLE
