"""A fetch and its volume: space, failures of writing, damaged entries, others that fetch the same."""

from __future__ import annotations

import errno
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from origin_server import Origin, Reply
from weights import gguf

from llmkube_downloader.fetch import fetch
from llmkube_downloader.key import parse_source
from llmkube_downloader.request import Request
from llmkube_downloader.store import part, volume
from llmkube_downloader.store.beacon import Beacon
from llmkube_downloader.transfer.progress import Meter

if TYPE_CHECKING:
    from command_line import Run, Start

MODEL = gguf(700_000)


@pytest.fixture
def url(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a model that may be fetched."""
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", origin.host)
    return origin.serve("/tiny.gguf", MODEL)


def model_of(root: Path, url: str) -> Path:
    return root / parse_source(url).key / "model.gguf"


def staged(root: Path) -> list[Path]:
    return [path for path in (root / ".llmkube").rglob("*") if path.is_file() and path.name != "format.json"]


def test_a_model_that_does_not_fit_costs_no_byte(
    run: Run, root: Path, origin: Origin, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volume, "usage", lambda _: volume.Usage(total=10**6, free=5 * 10**5))
    done = run("fetch", url, "--root", root)
    assert done.code == 14
    assert "needed are 683.6 KiB" in done.err
    assert origin.times("/tiny.gguf") == 0


def test_the_expected_size_counts_where_the_origin_tells_none(
    run: Run, root: Path, origin: Origin, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.serve("/tiny.gguf", Reply(MODEL, framing="chunked"))
    monkeypatch.setattr(volume, "usage", lambda _: volume.Usage(total=10**9, free=10**8))
    assert run("fetch", url, "--root", root, "--expect-size", "1G").code == 14
    assert origin.times("/tiny.gguf") == 0


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, 14), (errno.EDQUOT, 14), (errno.EIO, 15), (errno.EROFS, 15)]
)
def test_a_write_that_fails_leaves_nothing_behind(
    run: Run, root: Path, url: str, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    writes: list[int] = []

    def write(_: int, __: int, data: memoryview) -> None:
        writes.append(len(data))
        if len(writes) == 2:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(part, "_write_at", write)
    done = run("fetch", url, "--root", root)
    assert done.code == code
    assert "tiny.gguf" in done.err
    assert staged(root) == []


def test_a_short_write_is_continued(run: Run, root: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, place: write(descriptor, data[:1000], place))
    assert run("fetch", url, "--root", root).code == 0
    assert model_of(root, url).read_bytes() == MODEL


def test_a_sync_that_fails_is_no_success(run: Run, root: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == "model.gguf":
            raise OSError(errno.EIO, "lost")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert run("fetch", url, "--root", root).code == 15
    assert not model_of(root, url).exists()


def test_a_damaged_entry_is_fetched_anew(run: Run, root: Path, url: str) -> None:
    run("fetch", url, "--root", root)
    model_of(root, url).write_bytes(MODEL[:-1])
    done = run("fetch", url, "--root", root)
    assert done.code == 0
    assert "damaged" in done.err
    assert model_of(root, url).read_bytes() == MODEL


def test_a_damaged_entry_stays_where_it_is_while_the_origin_is_away(
    run: Run, root: Path, origin: Origin, url: str
) -> None:
    run("fetch", url, "--root", root)
    model_of(root, url).write_bytes(MODEL[:-1])
    origin.serve("/tiny.gguf", Reply(status=404))
    assert run("fetch", url, "--root", root).code == 12
    assert model_of(root, url).read_bytes() == MODEL[:-1]


def test_a_directory_of_another_tool_is_never_touched(run: Run, root: Path, origin: Origin, url: str) -> None:
    model_of(root, url).parent.mkdir(parents=True)
    model_of(root, url).write_bytes(b"from another tool")
    done = run("fetch", url, "--root", root)
    assert done.code == 21
    assert f"remove --root {root} {parse_source(url).key} --force" in done.err
    assert model_of(root, url).read_bytes() == b"from another tool"
    assert origin.asked == []


def test_many_starters_cost_one_download(start: Start, root: Path, origin: Origin, url: str) -> None:
    reply = Reply(MODEL, stall_at=1000)
    origin.serve("/tiny.gguf", reply)
    first = start("fetch", url, "--root", root, "-o", "json")
    assert reply.stalled.wait(30)
    others = [start("fetch", url, "--root", root, "-o", "json") for _ in range(3)]
    for other in others:
        assert other.stderr
        assert "fetches the same" in other.stderr.readline()
    reply.go_on.set()
    results = [process.communicate()[0].count('"result":"hit"') for process in (first, *others)]
    assert [process.returncode for process in (first, *others)] == [0, 0, 0, 0]
    assert results == [0, 1, 1, 1]
    assert origin.times("/tiny.gguf") == 1


def test_with_broken_leases_two_starters_cost_two_downloads_and_never_a_wrong_byte(
    root: Path, origin: Origin, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = [Reply(MODEL, stall_at=1000), Reply(MODEL, stall_at=1000)]
    origin.serve("/tiny.gguf", *replies)
    monkeypatch.setattr("llmkube_downloader.store.lease.try_take", unlocked)
    request = Request(parse_source(url), root, allow_http=frozenset({"*"}))
    with ThreadPoolExecutor() as threads, Path(os.devnull).open("w") as nowhere:
        fetches = [threads.submit(fetch, request, Meter(nowhere)) for _ in replies]
        assert all(reply.stalled.wait(30) for reply in replies)
        for reply in replies:
            reply.go_on.set()
        assert {done.result().manifest.size for done in fetches} == {len(MODEL)}
    assert origin.times("/tiny.gguf") == 2
    assert model_of(root, url).read_bytes() == MODEL
    assert staged(root) == []


def unlocked(layout: Any, key: str) -> Beacon:
    """Give everybody a lease, as a file system without working locks would."""
    layout.leases(key).mkdir(parents=True, exist_ok=True)
    return Beacon(layout.leases(key) / os.urandom(8).hex())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_fetch_at_once_and_leaves_nothing_behind(
    start: Start, root: Path, tmp_path: Path, origin: Origin, url: str, number: signal.Signals
) -> None:
    reply = Reply(MODEL, stall_at=300_000)
    origin.serve("/tiny.gguf", reply)
    process = start("fetch", url, "--root", root, "--report", tmp_path / "report", "-o", "json")
    assert reply.stalled.wait(30)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "asked to end" in err
    assert (tmp_path / "report").read_text() == out
    assert '"code":143,"name":"terminated"' in out
    assert [path.name for path in root.iterdir()] == [".llmkube"]
    assert staged(root) == []


def test_a_signal_ends_waiting_for_another_fetch(start: Start, root: Path, origin: Origin, url: str) -> None:
    reply = Reply(MODEL, stall_at=1000)
    origin.serve("/tiny.gguf", reply)
    first = start("fetch", url, "--root", root)
    assert reply.stalled.wait(30)
    second = start("fetch", url, "--root", root)
    assert second.stderr
    assert "fetches the same" in second.stderr.readline()
    second.terminate()
    assert second.wait(30) == 143
    reply.go_on.set()
    assert first.wait(30) == 0


def test_what_a_killed_fetch_left_is_removed_by_the_next_one(
    start: Start, run: Run, root: Path, origin: Origin, url: str
) -> None:
    reply = Reply(MODEL, stall_at=300_000)
    origin.serve("/tiny.gguf", reply, MODEL)
    process = start("fetch", url, "--root", root)
    assert reply.stalled.wait(30)
    process.kill()
    process.wait()
    assert len(staged(root)) == 4
    for path in staged(root):
        os.utime(path, (path.stat().st_mtime - 61,) * 2)
    assert run("fetch", url, "--root", root).code == 0
    assert model_of(root, url).read_bytes() == MODEL
    assert staged(root) == []


def test_an_attempt_removed_by_force_ends_its_fetch(
    start: Start, run: Run, root: Path, origin: Origin, url: str
) -> None:
    reply = Reply(MODEL, stall_at=300_000)
    origin.serve("/tiny.gguf", reply)
    process = start("fetch", url, "--root", root)
    assert reply.stalled.wait(30)
    key = parse_source(url).key
    refused = run("remove", key, "--root", root)
    assert refused.code == 21
    assert os.uname().nodename in refused.err
    assert run("remove", key, "--root", root, "--force").code == 0
    reply.go_on.set()
    assert process.wait(30) == 20
    assert [path.name for path in root.iterdir()] == [".llmkube"]
    assert staged(root) == []
