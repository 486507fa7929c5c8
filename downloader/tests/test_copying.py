"""Bytes that are on the volume already: copied into an attempt, or shared with it where the file system can."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from building import KEY, content, failing

from llmkube_downloader.errors import DownloaderError
from llmkube_downloader.store import disk, staging
from llmkube_downloader.store.disk import share_blocks, sync_file
from llmkube_downloader.store.journal import Kept, read_journal
from llmkube_downloader.store.staging import Attempt, copy_range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkube_downloader.store.layout import Layout

BODY = bytes(range(200))
WHOLE = content("a/b/model.gguf", BODY)
STATES = {64: bytes(32)}


@pytest.fixture(autouse=True)
def _none_stays_open() -> Iterator[None]:
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file that is on the volume."""
    path = tmp_path / "source"
    path.write_bytes(BODY)
    return path


@pytest.fixture
def opened(layout: Layout) -> Attempt:
    """An attempt that has nothing."""
    begun = Attempt(layout.staging(KEY) / "1")
    begun.directory.mkdir(parents=True)
    begun.prepare()
    return begun


@pytest.fixture
def _shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Share blocks, as btrfs and xfs do."""

    def share(target: int, request: int, source: int) -> int:
        assert request == 0x40049409
        return os.pwrite(target, os.pread(source, 1000, 0), 0)

    monkeypatch.setattr(fcntl, "ioctl", share)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were synced, in order."""
    names: list[str] = []

    def noted(descriptor: int) -> None:
        names.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    monkeypatch.setattr(os, "fsync", noted)
    return names


def kept_in(attempt: Attempt) -> Kept:
    """Return what counts of the attempt's file on another machine, too."""
    kept = read_journal(attempt.journal(WHOLE.path), same_boot=False)
    assert kept
    assert kept.identity == WHOLE
    return kept


def test_bytes_are_copied_to_where_they_were(source: Path, opened: Attempt) -> None:
    for ranges in ([(3, 7), (100, 200)], [(0, 50)]):
        opened.copy(source, WHOLE, ranges, STATES)
        there = (opened.files / WHOLE.path).read_bytes()
        assert len(there) == ranges[-1][1]
        assert all(there[start:end] == BODY[start:end] for start, end in ranges)
        assert (list(kept_in(opened).ranges), kept_in(opened).states) == (ranges, STATES)


def test_an_attempt_that_was_removed_does_not_come_back_by_a_copy(source: Path, layout: Layout) -> None:
    with pytest.raises(FileNotFoundError):
        Attempt(layout.staging(KEY) / "gone").copy(source, WHOLE, [(0, 5)], {})
    assert not layout.staging(KEY).exists()


def test_bytes_are_on_disk_before_a_journal_tells_of_them(source: Path, opened: Attempt, synced: list[str]) -> None:
    opened.copy(source, WHOLE, [(0, 5)], {})
    assert synced == ["model.gguf", opened.journal(WHOLE.path).name]


def test_what_can_not_be_copied_is_told_by_no_journal(source: Path, opened: Attempt) -> None:
    with pytest.raises(OSError, match="10 bytes at 200 are missing"):
        opened.copy(source, WHOLE, [(0, 5), (190, 210)], {})
    assert not opened.journal(WHOLE.path).exists()
    with pytest.raises(FileNotFoundError):
        opened.copy(source.with_name("x"), WHOLE, [(0, 5)], {})
    source.with_name("link").symlink_to(source)
    with pytest.raises(OSError, match="symbolic links"):
        opened.copy(source.with_name("link"), WHOLE, [(0, 5)], {})


@pytest.mark.parametrize("by_server", [True, False])
def test_a_copy_goes_on_until_all_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_server: bool) -> None:
    asked: list[tuple[int, int, int]] = []

    def some(able: int, writer: int, length: int, start: int, to: int) -> int:
        assert writer == 7
        if not able:
            raise OSError(errno.EXDEV, "another file system")
        asked.append((length, start, to))
        return min(length, 3)

    monkeypatch.setattr(staging, "_COPY_BYTES", 4)
    monkeypatch.setattr(os, "copy_file_range", some)
    monkeypatch.setattr(os, "pread", lambda descriptor, length, start: bytes(length) + bytes([start]))
    monkeypatch.setattr(os, "pwrite", lambda _, data, to: some(True, 7, len(data) - 1, data[-1], to))
    copy_range(by_server, 7, 10, 18)
    assert asked == [(4, 10, 10), (4, 13, 13), (2, 16, 16)]
    copy_range(True, 7, 5, 5)
    assert len(asked) == 3


@pytest.mark.usefixtures("_shares")
def test_a_file_that_shares_its_blocks_is_whole_at_once(source: Path, opened: Attempt) -> None:
    assert opened.share(source, WHOLE) == len(BODY)
    assert (opened.files / WHOLE.path).read_bytes() == BODY
    assert list(kept_in(opened).ranges) == [(0, len(BODY))]
    # What is there is not begun anew.
    assert opened.share(source, WHOLE) == 0
    assert list(kept_in(opened).ranges) == [(0, len(BODY))]


@pytest.mark.usefixtures("_shares")
def test_shared_blocks_are_on_disk_before_a_journal_tells_of_them(
    source: Path, opened: Attempt, synced: list[str]
) -> None:
    opened.share(source, WHOLE)
    assert synced == ["model.gguf", opened.journal(WHOLE.path).name]


@pytest.mark.usefixtures("_shares")
@pytest.mark.parametrize("size", [None, 199, 201])
def test_a_file_of_another_size_is_not_shared(source: Path, opened: Attempt, size: int | None) -> None:
    assert opened.share(source, content(WHOLE.path, BODY, size=size)) == 0
    assert not (opened.files / WHOLE.path).exists()


@pytest.mark.parametrize("name", ["source", "missing"])
def test_where_blocks_can_not_be_shared_nothing_is_left(
    source: Path, opened: Attempt, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", failing(errno.EOPNOTSUPP))
    (opened.files / "a" / "b").mkdir(parents=True)
    (opened.files / WHOLE.path).write_bytes(b"of another time")
    opened.journal(WHOLE.path).touch()
    assert opened.share(source.with_name(name), WHOLE) == 0
    assert [path for path in opened.directory.rglob("*") if path.is_file()] == []


def test_what_can_not_be_removed_is_named(source: Path, opened: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "create_exclusively", failing(errno.EIO))
    monkeypatch.setattr(Path, "unlink", failing(errno.EROFS))
    with pytest.raises(DownloaderError, match=f"removing {opened.files / WHOLE.path}: "):
        opened.share(source, WHOLE)


@pytest.mark.usefixtures("_shares")
def test_a_file_is_made_of_the_blocks_of_another(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert share_blocks(source, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == BODY
    with pytest.raises(FileExistsError):
        share_blocks(source, tmp_path / "target")
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(OSError, match="symbolic links"):
        share_blocks(tmp_path / "link", tmp_path / "other")
    monkeypatch.setattr(fcntl, "ioctl", failing(errno.EXDEV))
    assert not share_blocks(source, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_file_is_synced(source: Path, tmp_path: Path, synced: list[str]) -> None:
    sync_file(source)
    assert synced == ["source"]
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(OSError, match="symbolic links"):
        sync_file(tmp_path / "link")
