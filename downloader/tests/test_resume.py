"""Going on where a fetch was cut off: what is here is not fetched again, and only what is proven is believed."""

from __future__ import annotations

import errno
import os
import resource
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attempts import leave, promised
from origin_server import Asked, Origin, Reply
from transfers import BLOCK, CHECKPOINT, ETAG, PATH, announcing, body_of, received, small
from weights import gguf, sha256

from llmkube_downloader import sha256 as sha256_module
from llmkube_downloader.key import parse_source
from llmkube_downloader.sources.file import FileOrigin
from llmkube_downloader.store import volume
from llmkube_downloader.store.beacon import read_record
from llmkube_downloader.store.journal import Identity
from llmkube_downloader.store.layout import OWNER, Layout
from llmkube_downloader.store.part import Part
from llmkube_downloader.store.staging import Attempt
from llmkube_downloader.transfer.ring import Ring

if TYPE_CHECKING:
    from command_line import Run, Start

__all__ = ["small"]

BODY = body_of(60)
TAGGED = Identity("model.bin", len(BODY), None, '"1"')


def left_at(layout: Layout, url: str, *, whole: bool = False, identity: Identity = TAGGED, **blocks: Any) -> Attempt:
    """Leave an attempt to fetch BODY from a URL; its blocks are two of the transfer's."""
    old = leave(layout, key=parse_source(url).key, identity=identity, body=BODY, **blocks)
    if whole:
        part = old.open(identity)
        part.finish(len(BODY), sha256(BODY))
        part.close()
    return old


def journal_of(root: Path) -> Path:
    (journal,) = root.glob(".llmkube/staging/*/*/received/journal/*")
    return journal


# In processes of their own.

LARGE = gguf(3 * 1024 * 1024)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("stall", [2_000_001, len(LARGE) - 1])
def test_a_fetch_that_was_ended_is_gone_on_with(
    run: Run, start: Start, root: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch, number: int, stall: int
) -> None:
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", origin.host)
    reply = Reply(LARGE, headers=ETAG, stall_at=stall, times=1)
    url = origin.serve(PATH, reply)
    process = start("fetch", url, "--root", root)
    reply.stalled.wait()
    while not root.exists() or sum(end - begin for begin, end in promised(journal_of(root))) < 1_000_000:
        pass
    process.send_signal(number)
    assert process.wait() == (143 if number == signal.SIGTERM else -number)
    owner = read_record(journal_of(root).parent.parent.parent / OWNER)
    assert owner.get("released", False) is (number == signal.SIGTERM)
    here = sum(end - begin for begin, end in promised(journal_of(root)))
    before = origin.sent(PATH)
    done = run("fetch", url, "--root", root, "-o", "json")
    assert received(done) == LARGE
    assert done.json["bytesFetched"] == origin.sent(PATH) - before == len(LARGE) - here
    assert done.json["bytesReused"] == here
    assert list((root / ".llmkube" / "staging").glob("*/*")) == []


def test_what_was_received_when_a_fetch_is_told_to_end_is_on_disk(
    start: Start, root: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", origin.host)
    reply = Reply(LARGE, headers=ETAG, stall_at=2_000_001)
    process = start("fetch", origin.serve(PATH, reply), "--root", root)
    reply.stalled.wait()
    while not root.exists() or not promised(journal_of(root)):
        pass
    process.terminate()
    assert process.wait() == 143
    journal = journal_of(root)
    assert promised(journal, same_boot=False) == promised(journal) != []


# Within this process, with small blocks.


@pytest.fixture
def url(origin: Origin) -> str:
    return origin.serve(PATH, Reply(BODY, headers=ETAG))


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The blocks that are written, by their number."""
    numbers: list[int] = []
    write = Part.write

    def note(part: Part, offset: int, data: memoryview) -> None:
        numbers.append(offset // BLOCK)
        write(part, offset, data)

    monkeypatch.setattr(Part, "write", note)
    return numbers


@pytest.mark.usefixtures("small", "waits")
class TestWithin:
    @pytest.mark.parametrize(
        ("synced", "written"), [([0], []), ([], [0, 1, 2]), ([5, 9], [1, 29]), (range(10), []), (range(30), [])]
    )
    @pytest.mark.parametrize("ranges", [True, False])
    def test_only_what_is_missing_is_received(
        self, run: Run, layout: Layout, origin: Origin, synced: Any, written: list[int], ranges: bool
    ) -> None:
        url = origin.serve(PATH, Reply(BODY, headers=ETAG, ranges=ranges))
        left_at(layout, url, synced=synced, written=written)
        done = run("fetch", url, "--root", layout.root, "-o", "json")
        assert received(done) == BODY
        here = 2 * BLOCK * len({*synced, *written})
        assert done.json["bytesFetched"] == len(BODY) - here
        assert done.json["bytesReused"] == here
        assert not ranges or origin.sent(PATH) == len(BODY) - here
        assert origin.times(PATH) > 0 or here == len(BODY)

    def test_of_a_file_that_is_sent_whole_what_is_here_is_not_written_again(
        self, run: Run, layout: Layout, origin: Origin, written: list[int]
    ) -> None:
        url = origin.serve(PATH, Reply(BODY, headers=ETAG, ranges=False))
        left_at(layout, url, synced=[2, 3, 20])
        written.clear()
        assert received(run("fetch", url, "--root", layout.root, "-o", "json")) == BODY
        # Their memory belongs to whoever hashes them, who reads them from disk.
        assert sorted(written) == [block for block in range(60) if block // 2 not in (2, 3, 20)]

    def test_what_was_hashed_is_not_read_again(
        self, run: Run, layout: Layout, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = left_at(layout, url, synced=range(6))
        part = old.open(TAGGED)
        digest = sha256_module.Sha256()
        for offset in (CHECKPOINT, 2 * CHECKPOINT):
            digest.update(memoryview(bytearray(BODY[offset - CHECKPOINT : offset])))
            part.reached(offset, digest.state() or b"")
        part.close()
        offsets, read = list[int](), Part.read

        def note(part: Part, offset: int, data: memoryview) -> None:
            offsets.append(offset)
            read(part, offset, data)

        monkeypatch.setattr(Part, "read", note)
        assert received(run("fetch", url, "--root", layout.root, "-o", "json")) == BODY
        assert offsets == list(range(2 * CHECKPOINT, 12 * BLOCK, BLOCK))

    def test_a_state_without_the_bytes_that_lead_to_it_is_not_used(self, run: Run, layout: Layout, url: str) -> None:
        old = left_at(layout, url, synced=[0])
        part = old.open(TAGGED)
        part.reached(CHECKPOINT, bytes(32))
        part.close()
        assert received(run("fetch", url, "--root", layout.root, "-o", "json")) == BODY

    def test_a_file_that_was_whole_is_neither_received_nor_read(
        self, run: Run, layout: Layout, origin: Origin, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left_at(layout, url, synced=range(30), whole=True)
        monkeypatch.delattr(Part, "read")
        assert received(run("fetch", url, "--root", layout.root, "-o", "json")) == BODY
        assert origin.times(PATH) == 0

    def test_a_file_that_was_whole_still_has_to_be_the_one_expected(
        self, run: Run, layout: Layout, origin: Origin, url: str
    ) -> None:
        left_at(layout, url, synced=range(30), whole=True)
        done = run("fetch", url, "--root", layout.root, "--sha256", "0" * 64)
        assert done.code == 13
        assert "0" * 64 in done.err
        assert not layout.entry(parse_source(url).key).exists()
        assert list(layout.all_staging.glob("*/*")) == []

    def test_states_are_published_for_all_files_or_none(self, run: Run, layout: Layout, tmp_path: Path) -> None:
        (tmp_path / "from").mkdir()
        for name in ("a.json", "b.json"):
            (tmp_path / "from" / name).write_bytes(BODY)
        source = f"file://{tmp_path}/from"
        first = FileOrigin().resolve(parse_source(source)).files[0]
        # It was received by a process that had no states.
        identity = Identity(first.path, first.size, None, first.validator)
        left_at(layout, source, synced=range(30), identity=identity, whole=True)
        done = run("fetch", source, "--root", layout.root, "-o", "json")
        assert received(done, "a.json") == received(done, "b.json") == BODY
        assert done.json["bytesReused"] == len(BODY)
        assert not (Path(done.json["entry"]) / ".llmkube.sha256").exists()

    @pytest.mark.parametrize(
        "headers", [{"ETag": '"2"'}, {}, announcing(body_of(60, seed=1))], ids=["other tag", "no tag", "other hash"]
    )
    def test_what_may_be_of_another_content_is_not_gone_on_with(
        self, run: Run, layout: Layout, origin: Origin, headers: dict[str, str]
    ) -> None:
        url = origin.serve(PATH, Reply(body_of(60, seed=1), headers=headers))
        left_at(layout, url, synced=range(15))
        done = run("fetch", url, "--root", layout.root, "-o", "json")
        assert received(done) == body_of(60, seed=1)
        assert done.json["bytesReused"] == 0

    def test_bytes_that_do_not_lead_to_the_hash_are_removed(self, run: Run, layout: Layout, origin: Origin) -> None:
        other = body_of(60, seed=1)
        url = origin.serve(PATH, Reply(other, headers=announcing(other)))
        left_at(layout, url, synced=range(15), identity=Identity("model.bin", len(BODY), sha256(other), None))
        assert run("fetch", url, "--root", layout.root).code == 13
        assert list(layout.all_staging.glob("*/*")) == []
        assert received(run("fetch", url, "--root", layout.root, "-o", "json")) == other

    def test_a_volume_with_just_enough_space_is_enough_to_go_on(
        self, run: Run, layout: Layout, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = left_at(layout, url, synced=[0])
        with (old.files / "model.bin").open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, len(BODY))
        monkeypatch.setattr(volume, "usage", lambda _: volume.Usage(total=10**9, free=2 * 1024 * 1024))
        monkeypatch.setattr(volume, "_RESERVE", 2 * 1024 * 1024)
        assert run("fetch", url, "--root", layout.root).code == 0

    def test_more_files_are_gone_on_with_than_a_process_can_open(
        self, run: Run, layout: Layout, tmp_path: Path
    ) -> None:
        (tmp_path / "from").mkdir()
        for number in range(200):
            (tmp_path / "from" / f"{number:03}.json").write_bytes(body_of(0, number, 100))
        (tmp_path / "from" / "last.gguf").write_bytes(b"no GGUF")
        source = f"file://{tmp_path}/from"
        assert run("fetch", source, "--root", layout.root).code == 13
        assert len(list(layout.all_staging.glob("*/*/received/files/*.json"))) > 180
        (tmp_path / "from" / "last.gguf").write_bytes(body_of(1))
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        open_now = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 80, limits[1]))
        try:
            done = run("fetch", source, "--root", layout.root, "-o", "json")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert {received(done, f"{number:03}.json") for number in range(200)} == {
            body_of(0, number, 100) for number in range(200)
        }

    def test_a_failure_while_what_is_here_is_read_is_told_as_it_is(
        self, run: Run, layout: Layout, origin: Origin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole, gone = Reply(BODY, headers=ETAG), Reply(status=404)
        url = origin.decide(PATH, lambda asked, _: gone if asked.method == "GET" else whole)
        left_at(layout, url, synced=range(4))
        failed, fail, read = threading.Event(), Ring.fail, Part.read

        def note(ring: Ring, failure: BaseException) -> None:
            fail(ring, failure)
            failed.set()

        def read_later(part: Part, offset: int, data: memoryview) -> None:
            failed.wait()
            read(part, offset, data)

        monkeypatch.setattr(Ring, "fail", note)
        monkeypatch.setattr(Part, "read", read_later)
        assert run("fetch", url, "--root", layout.root).code == 12
        assert len(list(layout.all_staging.glob("*/*"))) == 1

    def test_an_origin_that_fails_in_the_middle_costs_nothing_twice(
        self, run: Run, layout: Layout, origin: Origin
    ) -> None:
        whole, gone = Reply(BODY, headers=ETAG), Reply(status=403)

        def fail_later(asked: Asked, number: int) -> Reply:
            return gone if 4 <= number < 100 and asked.range else whole

        url = origin.decide(PATH, fail_later)
        assert run("fetch", url, "--root", layout.root, "--connections", "1").code == 11
        sent = origin.sent(PATH)
        assert 0 < sent < len(BODY)
        origin.serve(PATH, whole)
        origin.decide(PATH, lambda *_: whole)
        done = run("fetch", url, "--root", layout.root, "-o", "json")
        assert received(done) == BODY
        assert done.json["bytesFetched"] + sent == len(BODY)

    def test_a_disk_that_fails_takes_nothing_into_the_next_attempt(
        self, run: Run, layout: Layout, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        syncs: list[int] = []

        def fill_up(descriptor: int) -> None:
            syncs.append(descriptor)
            if len(syncs) > 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(os, "fdatasync", fill_up)
            assert run("fetch", url, "--root", layout.root, "--connections", "1").code == 14
        (file,) = layout.all_staging.glob("*/*/received/files/model.bin")
        here = promised(journal_of(layout.root))
        assert here
        # What the volume did not take may read as zeros now.
        kept = bytearray(file.stat().st_size)
        for start, end in here:
            kept[start:end] = file.read_bytes()[start:end]
        file.write_bytes(kept)
        assert received(run("fetch", url, "--root", layout.root, "-o", "json")) == BODY
