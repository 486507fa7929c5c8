"""The few operations on files that everything in the store is made of."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from building import failing

from llmkube_downloader.store import disk
from llmkube_downloader.store.disk import (
    create_exclusively,
    file_server_now,
    names_in,
    read_small,
    refresh_names,
    size_of_tree,
    sync_directory,
    write_durably,
)
from llmkube_downloader.store.volume import Usage, usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture(autouse=True)
def _none_stays_open() -> Iterator[None]:
    before = open_files()
    yield
    assert open_files() == before


def test_a_file_is_written_whole_and_on_disk_however_little_a_write_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, synced = os.write, []
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data[:2])))
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    write_durably(tmp_path / "file", b"12345")
    assert ((tmp_path / "file").read_bytes(), synced) == (b"12345", [5])


def test_a_file_that_is_there_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("first")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            write_durably(tmp_path / name, b"second")
    assert (tmp_path / "file").read_text() == "first"
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_can_not_be_written_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", failing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        write_durably(tmp_path / "file", b"1")


def test_a_new_file_is_for_whom_the_umask_allows_and_not_for_children(tmp_path: Path) -> None:
    mask = os.umask(0o002)
    try:
        descriptor = create_exclusively(tmp_path / "file")
    finally:
        os.umask(mask)
    try:
        assert os.fstat(descriptor).st_mode & 0o777 == 0o664
        assert not os.get_inheritable(descriptor)
        os.write(descriptor, b"1")
        assert os.pread(descriptor, 1, 0) == b"1"
    finally:
        os.close(descriptor)


def test_where_directories_can_not_be_synced_they_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (errno.EINVAL, errno.EOPNOTSUPP, errno.EACCES, errno.EBADF):
        monkeypatch.setattr(os, "fsync", failing(number))
        sync_directory(tmp_path)
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        sync_directory(tmp_path)


def test_only_a_directory_is_synced_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(Path(f"/proc/self/fd/{descriptor}").readlink()))
    sync_directory(tmp_path)
    assert synced == [tmp_path]
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        sync_directory(tmp_path / "file")


@pytest.mark.parametrize(("stale", "is_read"), [(0, True), (3, True), (4, False)])
def test_a_handle_that_goes_stale_is_asked_for_again_three_times(
    monkeypatch: pytest.MonkeyPatch, stale: int, is_read: bool
) -> None:
    answers: list[Callable[[], bytes]] = [failing(errno.ESTALE)] * stale + [lambda: b"content"]
    monkeypatch.setattr(Path, "read_bytes", lambda _: answers.pop(0)())
    if is_read:
        assert read_small(Path("file")) == b"content"
    else:
        with pytest.raises(OSError, match="Stale"):
            read_small(Path("file"))
    assert len(answers) == (0 if is_read else 1)


def test_other_trouble_is_not_read_over(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Callable[[], bytes]] = [failing(errno.EIO), lambda: b"content"]
    monkeypatch.setattr(Path, "read_bytes", lambda _: answers.pop(0)())
    with pytest.raises(OSError, match="Input/output"):
        read_small(Path("file"))


def test_names_come_in_order_and_none_where_there_is_no_directory(tmp_path: Path) -> None:
    for name in ("c", "a", "b"):
        (tmp_path / name).touch()
    assert names_in(tmp_path) == ["a", "b", "c"]
    assert names_in(tmp_path / "x") == []
    with pytest.raises(NotADirectoryError):
        names_in(tmp_path / "a")


def test_names_are_refreshed_by_a_directory_that_is_gone_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    mkdir = os.mkdir

    def noted(path: Path, mode: int) -> None:
        made.append(path)
        mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", noted)
    refresh_names(tmp_path)
    (probe,) = made
    assert (probe.parent, probe.name[:15], len(probe.name)) == (tmp_path, ".llmkube.probe.", 47)
    assert list(tmp_path.iterdir()) == []


def test_the_time_of_the_file_server_is_that_of_a_file_that_is_gone_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def created(path: Path) -> int:
        made.append(path)
        return create_exclusively(path)

    monkeypatch.setattr(disk, "create_exclusively", created)
    now = file_server_now(tmp_path)
    assert abs(now - tmp_path.stat().st_mtime) < 10
    monkeypatch.setattr(os, "write", failing(errno.ENOSPC))
    assert now <= file_server_now(tmp_path) < now + 60
    assert [(probe.parent, probe.name[:7], len(probe.name)) for probe in made] == [(tmp_path, ".probe.", 39)] * 2
    assert list(tmp_path.iterdir()) == []


def test_the_time_is_that_of_the_last_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def written_later(descriptor: int, data: bytes) -> None:
        assert write(descriptor, data) == 1
        os.utime(descriptor, (7e9, 7e9))

    monkeypatch.setattr(os, "write", written_later)
    assert file_server_now(tmp_path) == 7e9


def test_a_question_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close = os.close

    def reported(descriptor: int) -> None:
        close(descriptor)
        raise OSError(errno.EDQUOT, "said as late as here")

    with monkeypatch.context() as patched:
        patched.setattr(os, "close", reported)
        assert file_server_now(tmp_path) > 0
    assert list(tmp_path.iterdir()) == []


def test_space_is_told_in_bytes_as_others_than_root_may_use_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = os.statvfs_result((8192, 4096, 10, 5, 3, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda root: {tmp_path: status}[root])
    assert usage(tmp_path) == Usage(total=40960, free=12288)


def test_a_tree_is_as_large_as_its_files_and_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a").write_bytes(bytes(5))
    (tmp_path / "deep" / "b").write_bytes(bytes(30))
    (tmp_path / "deep" / "er" / "c").write_bytes(bytes(700))
    (tmp_path / "deep" / "link").symlink_to("b")
    assert size_of_tree(tmp_path) == 736
    lstat = Path.lstat
    monkeypatch.setattr(Path, "lstat", lambda path: lstat(path) if path.name != "b" else lstat(path / "gone"))
    with pytest.raises(NotADirectoryError):
        size_of_tree(tmp_path)
    monkeypatch.setattr(Path, "lstat", lambda path: lstat(path.with_name("gone") if path.name == "b" else path))
    assert size_of_tree(tmp_path) == 706
    assert size_of_tree(tmp_path / "x") == 0
