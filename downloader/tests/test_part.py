"""The files of an attempt while they grow: what is journaled is there, and what is there can be gone on with."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attempts import BLOCK, BODY, promised, room, write
from building import content, failing
from weights import gguf

from llmkube_downloader.errors import DownloaderError
from llmkube_downloader.store import part as part_module
from llmkube_downloader.store.part import ALIGNMENT, Part

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Part]:
    """Open the file of an attempt once more."""

    def begin(*, same_boot: bool = True, **changes: Any) -> Part:
        identity = content("model.gguf", BODY, **changes)
        return Part(tmp_path / "file", tmp_path / "journal", identity, same_boot=same_boot)

    return begin


@pytest.fixture
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Go past the page cache with files of any size, where the file system can."""
    monkeypatch.setattr(part_module, "_DIRECT_BYTES", 1)


@pytest.mark.parametrize("direct", [True, False])
def test_a_file_is_gone_on_with(
    opened: Callable[..., Part], tmp_path: Path, request: pytest.FixtureRequest, direct: bool
) -> None:
    if direct:
        request.getfixturevalue("_direct")
    first = opened()
    write(first, 3, 1)
    first.close()
    second = opened()
    assert list(second.kept.ranges) == [(BLOCK, 2 * BLOCK), (3 * BLOCK, 4 * BLOCK)]
    write(second, 0, 2, *range(4, 10))
    second.finish(len(BODY), "f" * 64)
    second.close()
    assert (tmp_path / "file").read_bytes() == BODY
    assert opened(same_boot=False).kept.whole == "f" * 64


@pytest.mark.parametrize("size", [1, ALIGNMENT - 1, ALIGNMENT, ALIGNMENT + 1, BLOCK - 1, BLOCK, BLOCK + 1])
@pytest.mark.usefixtures("_direct")
def test_past_the_page_cache_a_file_ends_where_it_should(tmp_path: Path, size: int) -> None:
    body = gguf(BLOCK + size)
    part = Part(tmp_path / "file", tmp_path / "journal", content("model.gguf", body), same_boot=True)
    write(part, 0, 1, body=body)
    if size > BLOCK:
        write(part, 2, body=body)
    assert (tmp_path / "file").read_bytes() == body
    assert promised(tmp_path / "journal") == [(0, len(body))]
    part.finish(len(body), "f" * 64)
    assert (tmp_path / "file").read_bytes() == body


def test_past_the_page_cache_goes_once_what_is_aligned(
    opened: Callable[..., Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = opened()
    part._direct = os.open(tmp_path / "file", os.O_WRONLY)
    written: list[tuple[int, int, int]] = []

    def noted(descriptor: int, data: memoryview, offset: int) -> int:
        written.append((descriptor, len(data), offset))
        return len(data)

    monkeypatch.setattr(os, "pwrite", noted)
    memory = room(bytes(BLOCK))
    part.write(BLOCK, memory)
    part.write(BLOCK, memory[: ALIGNMENT + 1])
    part.write(0, memory[:5])
    part.write(100, memory)
    direct, cached = part._direct, part._descriptor
    assert written == [
        (direct, BLOCK, BLOCK),
        *((direct, ALIGNMENT, BLOCK), (cached, 1, BLOCK + ALIGNMENT)),
        (cached, 5, 0),
        (cached, BLOCK, 100),
    ]


@pytest.mark.usefixtures("_direct")
def test_whoever_is_taken_for_dead_and_writes_on_changes_nothing_of_a_finished_file(tmp_path: Path) -> None:
    body = gguf(BLOCK + 5)
    taken_for_dead, successor = (
        Part(tmp_path / "file", tmp_path / "journal", content("model.gguf", body), same_boot=True) for _ in range(2)
    )
    write(successor, 0, 1, body=body)
    successor.finish(len(body), "f" * 64)
    write(taken_for_dead, 0, 1, body=body)
    assert (tmp_path / "file").read_bytes() == body


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_that_only_claims_to_go_past_the_page_cache_is_written_to_as_usual(
    opened: Callable[..., Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    part = opened()
    part._direct = os.open(tmp_path / "file", os.O_WRONLY)
    direct, pwrite = part._direct, os.pwrite

    def refuse(descriptor: int, data: memoryview, offset: int) -> int:
        if descriptor == direct:
            raise OSError(number, os.strerror(number))
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", refuse)
    write(part, *range(10))
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_write_that_stops_short_is_gone_on_with(
    opened: Callable[..., Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: pwrite(descriptor, data[:1000], offset))
    write(opened(), *range(10))
    assert (tmp_path / "file").read_bytes() == BODY


def test_bytes_that_were_not_written_are_not_journaled(
    opened: Callable[..., Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = opened()
    write(part, 0)
    monkeypatch.setattr(os, "pwrite", failing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        write(part, 1)
    assert promised(tmp_path / "journal") == [(0, BLOCK)]


@pytest.mark.parametrize(
    "change", [{"sha256": "0" * 64}, {"size": 10, "sha256": None, "validator": '"1"'}], ids=["hash", "size"]
)
def test_another_content_is_begun_in_a_new_file(
    opened: Callable[..., Part], tmp_path: Path, change: dict[str, Any]
) -> None:
    first = opened()
    write(first, 0)
    second = opened(**change)
    write(first, 1)
    assert list(second.kept.ranges) == []
    assert (tmp_path / "file").read_bytes() == b""
    assert promised(tmp_path / "journal") == []


def test_a_journal_without_its_file_promises_nothing(opened: Callable[..., Part], tmp_path: Path) -> None:
    write(opened(), 0)
    (tmp_path / "file").unlink()
    assert list(opened().kept.ranges) == []


def test_a_file_without_a_journal_is_of_another_name(opened: Callable[..., Part], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"of FILE")
    with pytest.raises(FileExistsError):
        opened()
    assert (tmp_path / "file").read_bytes() == b"of FILE"


def test_what_is_discarded_is_begun_again(opened: Callable[..., Part]) -> None:
    part = opened()
    write(part, 0)
    part.discard()
    assert list(opened().kept.ranges) == []


def test_a_sync_vouches_for_what_was_written_before_it_began(
    opened: Callable[..., Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, sync = opened(), os.fdatasync
    write(part, 0)

    def sync_while_more_is_written(descriptor: int) -> None:
        write(part, 1)
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", sync_while_more_is_written)
    part.sync()
    assert promised(tmp_path / "journal", same_boot=False) == [(0, BLOCK)]


@pytest.mark.parametrize("step", ["sync", "finish", "close"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_what_a_volume_lost_is_not_promised_any_more(
    opened: Callable[..., Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    part = opened()
    write(part, 0)
    part.sync()
    write(part, 1)
    name = {"sync": "fdatasync", "finish": "fsync", "close": "close"}[step]
    with monkeypatch.context() as patched:
        patched.setattr(os, name, failing(number))
        if step == "close":
            part.close()
        else:
            with pytest.raises(OSError, match=os.strerror(number)):
                part.sync() if step == "sync" else part.finish(len(BODY), "f" * 64)
    assert promised(tmp_path / "journal") == [(0, BLOCK)]


def test_a_file_stays_open_until_the_last_write_has_ended(
    opened: Callable[..., Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, pwrite = opened(), os.pwrite
    began, go_on = threading.Event(), threading.Event()

    def slowly(descriptor: int, data: memoryview, offset: int) -> int:
        began.set()
        go_on.wait()
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", slowly)
    writer = threading.Thread(target=write, args=(part, 0), daemon=True)
    writer.start()
    began.wait()
    part.close()
    used = [part.in_use]
    # These would get the numbers that the writer is about to use.
    others = [os.open(tmp_path / f"other{number}", os.O_RDWR | os.O_CREAT) for number in range(4)]
    go_on.set()
    writer.join()
    assert [*used, part.in_use] == [True, False]
    assert (tmp_path / "file").read_bytes() == BODY[:BLOCK]
    assert promised(tmp_path / "journal") == [(0, BLOCK)]
    for number, descriptor in enumerate(others):
        os.close(descriptor)
        assert (tmp_path / f"other{number}").read_bytes() == b""


def test_a_closed_file_is_neither_written_nor_synced(opened: Callable[..., Part], tmp_path: Path) -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    part = opened()
    part.close()
    part.close()
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    # These have the numbers that it had.
    others = [os.open(tmp_path / f"other{number}", os.O_RDWR | os.O_CREAT) for number in range(4)]
    with pytest.raises(OSError, match="Bad file descriptor"):
        write(part, 0)
    with pytest.raises(OSError, match="Bad file descriptor"):
        part.sync()
    for number, descriptor in enumerate(others):
        os.close(descriptor)
        assert (tmp_path / f"other{number}").read_bytes() == b""
    assert promised(tmp_path / "journal") == []


def test_bytes_that_are_not_there_can_not_be_read(opened: Callable[..., Part]) -> None:
    part = opened()
    write(part, 0)
    part.read(0, room(BODY[:BLOCK]))
    with pytest.raises(OSError, match="Input/output"):
        part.read(BLOCK, room(BODY[:BLOCK]))


def test_bytes_are_read_however_few_come_at_once(opened: Callable[..., Part], monkeypatch: pytest.MonkeyPatch) -> None:
    part, preadv = opened(), os.preadv
    write(part, *range(10))
    monkeypatch.setattr(os, "preadv", lambda descriptor, rooms, offset: preadv(descriptor, [rooms[0][:1000]], offset))
    memory = memoryview(bytearray(3000))
    part.read(BLOCK, memory)
    assert memory == BODY[BLOCK : BLOCK + 3000]
    with pytest.raises(OSError, match="Input/output") as failure:
        part.read(len(BODY) - 10, memory)
    assert failure.value.errno == errno.EIO


def test_what_is_discarded_already_is_no_trouble(opened: Callable[..., Part], tmp_path: Path) -> None:
    part = opened()
    for _ in range(2):
        part.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_can_not_be_read_again_is_named(
    opened: Callable[..., Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    part = opened()
    monkeypatch.setattr(os, "ftruncate", failing(errno.EIO))
    with pytest.raises(DownloaderError, match=r"^reading model\.gguf again: "):
        part.open_whole(1)


class _Library:
    """What has fallocate(2), or something like it."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = list(numbers)
        self.asked: list[tuple[int, int, int, int]] = []

    def fallocate(self, descriptor: int, mode: int, start: ctypes.c_int64, size: ctypes.c_int64) -> int:
        self.asked.append((descriptor, mode, start.value, size.value))
        ctypes.set_errno(number := self.numbers.pop(0))
        return -1 if number else 0


def test_large_files_get_all_their_room_at_the_beginning(
    opened: Callable[..., Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserved: list[int] = []
    monkeypatch.setattr(part_module, "_fallocate", lambda _, size: reserved.append(size))
    opened().close()
    assert reserved == []
    monkeypatch.setattr(Part, "_open_direct", lambda _: os.open(tmp_path / "file", os.O_WRONLY))
    opened().close()
    assert reserved == [len(BODY)]


@pytest.mark.parametrize("numbers", [[0], [errno.EOPNOTSUPP], [errno.EINTR, errno.EINTR, 0]])
def test_room_is_reserved_where_that_is_possible(monkeypatch: pytest.MonkeyPatch, numbers: list[int]) -> None:
    library = _Library(*numbers)
    monkeypatch.setattr(ctypes, "CDLL", lambda name, use_errno: {(None, True): library}[name, use_errno])
    part_module._fallocate(3, 7)
    assert (library.numbers, set(library.asked)) == ([], {(3, 0, 0, 7)})


def test_room_that_is_not_there_is_noticed_before_the_first_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: _Library(errno.ENOSPC))
    with pytest.raises(OSError, match="No space") as failure:
        part_module._fallocate(0, 7)
    assert failure.value.errno == errno.ENOSPC
