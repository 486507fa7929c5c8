"""The store: what is visible is whole, whoever dies or races."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from weights import gguf, sha256

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store import disk, volume
from llmkube_downloader.store.beacon import Beacon, Heartbeat, read_record
from llmkube_downloader.store.entry import State, look
from llmkube_downloader.store.layout import Layout, entry_names
from llmkube_downloader.store.lease import held, holder_of, take_or_join, try_take
from llmkube_downloader.store.manifest import DamagedManifestError, FileRecord, Manifest, Selection, parse_manifest
from llmkube_downloader.store.publish import publish
from llmkube_downloader.store.staging import attempt, create_file, sweep
from llmkube_downloader.store.trash import discard, empty_trash
from llmkube_downloader.store.volume import check_space, prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from command_line import Run

KEY = "0123456789abcdef"
MODEL = gguf()


def manifest_of(files: dict[str, bytes], **changes: Any) -> Manifest:
    records = tuple(FileRecord(path, path, len(data), sha256(data), "sha256") for path, data in files.items())
    fields: dict[str, Any] = {
        "key": KEY,
        "source": "hf://org/repo",
        "selection": Selection(files=("a.gguf",)),
        "revision": "c0ffee",
        "files": records,
        "created": "2026-01-01T00:00:00+00:00",
        "tool": "llmkube-downloader test",
    }
    return Manifest(**{**fields, **changes})


@pytest.fixture
def layout(root: Path) -> Layout:
    """A cache that is ready for writing."""
    layout = Layout(root)
    prepare(layout)
    return layout


def idle() -> tuple[int, int | None]:
    return 0, None


def age(path: Path, seconds: float = 61) -> None:
    """Make a file as old as if its writer had died then."""
    moment = path.stat().st_mtime - seconds
    os.utime(path, (moment, moment))


def stage(layout: Layout, files: dict[str, bytes]) -> Path:
    """Write the files of an attempt and return its directory."""
    directory = layout.staging(KEY) / os.urandom(4).hex() / "files"
    directory.mkdir(parents=True)
    for path, data in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)
    return directory


def build(layout: Layout, files: dict[str, bytes] | None = None) -> Manifest:
    files = files or {"model.gguf": MODEL}
    return publish(layout, stage(layout, files), manifest_of(files))


# The manifest.


def test_a_manifest_is_read_as_it_was_written() -> None:
    manifest = manifest_of({"a/b.json": b"{}", "c.gguf": MODEL})
    assert parse_manifest(manifest.dump()) == manifest


def test_no_change_of_a_manifest_goes_unnoticed() -> None:
    data = manifest_of({"model.gguf": MODEL}).dump()
    for position in range(len(data)):
        changed = data[:position] + bytes([data[position] ^ 0x01]) + data[position + 1 :]
        if changed.split() != data.split():
            with pytest.raises((DamagedManifestError, DownloaderError)):
                parse_manifest(changed)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b'"text"', b'{"formatVersion": 1}', b"\xff"])
def test_what_is_no_manifest_is_damage(data: bytes) -> None:
    with pytest.raises(DamagedManifestError):
        parse_manifest(data)


def test_a_manifest_of_a_newer_version_is_not_damage() -> None:
    body = json.loads(manifest_of({}).dump())
    with pytest.raises(DownloaderError) as refused:
        parse_manifest(json.dumps({**body, "formatVersion": 2}).encode())
    assert refused.value.code is ExitCode.USAGE


def test_only_a_single_gguf_file_is_renamed() -> None:
    assert entry_names(["q4/tiny.gguf"]) == {"q4/tiny.gguf": "model.gguf"}
    assert entry_names(["tiny.bin"]) == {"tiny.bin": "tiny.bin"}
    assert entry_names(["a.gguf", "b.gguf"]) == {"a.gguf": "a.gguf", "b.gguf": "b.gguf"}


# Entries.


def test_existence_is_never_taken_for_completeness(layout: Layout) -> None:
    assert look(layout, KEY).state is State.ABSENT
    layout.entry(KEY).mkdir()
    assert look(layout, KEY).state is State.ABSENT
    (layout.entry(KEY) / "model.gguf").write_bytes(MODEL)
    assert look(layout, KEY).state is State.FOREIGN
    (layout.entry(KEY) / ".llmkube.json").write_bytes(manifest_of({"model.gguf": MODEL}).dump())
    assert look(layout, KEY).state is State.COMPLETE


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "model.gguf").unlink(),
        lambda entry: (entry / "model.gguf").write_bytes(MODEL[:-1]),
        lambda entry: (entry / "model.gguf").write_bytes(MODEL + b"x"),
        lambda entry: (entry / ".llmkube.json").write_bytes(b"{"),
        lambda entry: os.truncate(entry / ".llmkube.json", 10),
    ],
    ids=["missing", "shorter", "longer", "unreadable manifest", "truncated manifest"],
)
def test_an_entry_with_a_missing_byte_is_damaged(layout: Layout, damage: Callable[[Path], None]) -> None:
    build(layout)
    damage(layout.entry(KEY))
    entry = look(layout, KEY)
    assert entry.state is State.DAMAGED
    assert entry.problem


def test_trouble_with_the_volume_is_not_taken_for_damage(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    build(layout)
    monkeypatch.setattr(Path, "stat", failing(errno.EIO))
    with pytest.raises(DownloaderError) as failure:
        look(layout, KEY)
    assert failure.value.code is ExitCode.VOLUME


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_stale_handle_of_nfs_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"content")
    read, failures = Path.read_bytes, [errno.ESTALE, errno.ESTALE]

    def read_bytes(path: Path) -> bytes:
        if failures:
            raise OSError(failures.pop(), "stale")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert disk.read_small(tmp_path / "file") == b"content"


# Publication.


def test_a_published_entry_is_complete(layout: Layout) -> None:
    files = {"a.json": b"{}", "deep/er/b.bin": b"weights"}
    assert build(layout, files).files[0].path == "a.json"
    assert look(layout, KEY).state is State.COMPLETE


def test_everything_is_on_disk_before_it_is_visible(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    files = stage(layout, {"deep/model.gguf": MODEL})
    log: list[str] = []
    sync, rename = os.fsync, Path.rename

    def logged_sync(descriptor: int) -> None:
        log.append("sync " + str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    def logged_rename(self: Path, target: Path) -> Path:
        log.append(f"rename {self} {target}")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", logged_sync)
    monkeypatch.setattr(Path, "rename", logged_rename)
    publish(layout, files, manifest_of({"deep/model.gguf": MODEL}))
    assert log == [
        f"sync {files}/.llmkube.json",
        f"sync {files}/deep",
        f"sync {files}",
        f"rename {files} {layout.entry(KEY)}",
        f"sync {layout.root}",
        f"sync {files.parent}",
    ]


def test_of_two_publications_the_first_stays(layout: Layout) -> None:
    first = stage(layout, {"model.gguf": MODEL})
    second = stage(layout, {"model.gguf": MODEL})
    publish(layout, first, manifest_of({"model.gguf": MODEL}, created="first"))
    inode = (layout.entry(KEY) / "model.gguf").stat().st_ino
    assert publish(layout, second, manifest_of({"model.gguf": MODEL}, created="second")).created == "first"
    assert (layout.entry(KEY) / "model.gguf").stat().st_ino == inode


def test_a_damaged_entry_makes_way_without_losing_a_byte(layout: Layout) -> None:
    build(layout)
    (layout.entry(KEY) / "model.gguf").write_bytes(b"damaged")
    build(layout)
    assert look(layout, KEY).state is State.COMPLETE
    (kept,) = layout.quarantine.iterdir()
    assert (kept / "model.gguf").read_bytes() == b"damaged"


def test_the_files_of_others_are_never_replaced(layout: Layout) -> None:
    layout.entry(KEY).mkdir()
    (layout.entry(KEY) / "model.gguf").write_bytes(b"somebody's")
    with pytest.raises(DownloaderError) as refused:
        build(layout)
    assert refused.value.code is ExitCode.POLICY
    assert (layout.entry(KEY) / "model.gguf").read_bytes() == b"somebody's"


def test_an_attempt_that_somebody_removed_is_not_published(layout: Layout) -> None:
    files = stage(layout, {"model.gguf": MODEL})
    discard(layout, files.parent)
    with pytest.raises(DownloaderError) as failure:
        publish(layout, files, manifest_of({"model.gguf": MODEL}))
    assert failure.value.code is ExitCode.DELETED_OR_LOCK_TIMEOUT
    assert look(layout, KEY).state is State.ABSENT


# Staging.


def test_an_attempt_leaves_nothing_behind(layout: Layout) -> None:
    with attempt(layout, KEY, Heartbeat(idle)) as files:
        os.close(create_file(files, "deep/model.gguf"))
    assert list(layout.staging(KEY).iterdir()) == []
    assert list(layout.trash.iterdir()) == []


def test_a_file_in_a_removed_attempt_does_not_bring_it_back(layout: Layout) -> None:
    with attempt(layout, KEY, Heartbeat(idle)) as files:
        discard(layout, files.parent)
        with pytest.raises(DownloaderError) as failure:
            create_file(files, "deep/model.gguf")
        assert failure.value.code is ExitCode.DELETED_OR_LOCK_TIMEOUT
        assert not files.parent.exists()


def test_two_names_that_the_file_system_takes_for_one_are_refused(layout: Layout) -> None:
    with attempt(layout, KEY, Heartbeat(idle)) as files:
        os.close(create_file(files, "model.gguf"))
        with pytest.raises(DownloaderError) as failure:
            create_file(files, "model.gguf")
        assert failure.value.code is ExitCode.FILE_SYSTEM


def test_leftovers_of_the_dead_are_removed_and_the_living_are_not(layout: Layout) -> None:
    dead = stage(layout, {"model.gguf": MODEL}).parent
    (dead / "owner.json").write_text("{}")
    age(dead / "owner.json")
    unborn = stage(layout, {"model.gguf": MODEL}).parent
    age(unborn)
    just_born = stage(layout, {}).parent
    with attempt(layout, KEY, Heartbeat(idle)) as living:
        sweep(layout, KEY)
        assert set(layout.staging(KEY).iterdir()) == {living.parent, just_born}


# Leases.


def test_one_lease_has_one_holder(layout: Layout) -> None:
    taken = try_take(layout, KEY)
    assert taken
    assert try_take(layout, KEY) is None
    assert holder_of(layout, KEY) == os.uname().nodename
    taken.withdraw()
    assert holder_of(layout, KEY) is None
    assert try_take(layout, KEY)


def test_a_lease_that_nobody_keeps_alive_is_taken_over(layout: Layout) -> None:
    dead = try_take(layout, KEY)
    assert dead
    age(dead.path)
    assert holder_of(layout, KEY) is None
    successor = try_take(layout, KEY)
    assert successor
    # The old holder wakes up again: neither its beat nor its end touches the lease of its successor.
    record = read_record(successor.path)
    dead.beat(done=5)
    dead.withdraw()
    assert read_record(successor.path) == record


def test_a_heartbeat_keeps_a_lease_from_being_taken_over(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmkube_downloader.store.beacon.HEARTBEAT_SECONDS", 0.001)
    taken = try_take(layout, KEY)
    assert taken
    age(taken.path)
    with held(taken, lambda: (300, 1000)):
        while not holder_of(layout, KEY):
            pass
        assert try_take(layout, KEY) is None
        assert holder_of(layout, KEY) == f"{os.uname().nodename} (30 % done)"
    assert not taken.path.exists()


def test_ages_are_measured_with_the_clock_of_the_file_server(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = try_take(layout, KEY)
    assert taken
    age(taken.path, 30)
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert holder_of(layout, KEY)
    monkeypatch.setattr("llmkube_downloader.store.beacon.file_server_now", lambda _: taken.path.stat().st_mtime + 61)
    assert holder_of(layout, KEY) is None


def test_a_lease_whose_writer_died_before_its_first_word_goes_stale(layout: Layout) -> None:
    path = layout.leases(KEY) / "build"
    path.parent.mkdir(parents=True)
    path.touch()
    assert holder_of(layout, KEY) == "another process"
    age(path)
    assert try_take(layout, KEY)


def test_waiting_ends_with_the_limit(layout: Layout) -> None:
    assert try_take(layout, KEY)
    told: list[str] = []
    with pytest.raises(DownloaderError) as failure:
        take_or_join(layout, KEY, 0, told.append)
    assert failure.value.code is ExitCode.DELETED_OR_LOCK_TIMEOUT
    assert os.uname().nodename in failure.value.cause


def test_whoever_waits_joins_the_entry_that_was_published(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = try_take(layout, KEY)
    assert taken

    def publish_meanwhile(_: float) -> None:
        build(layout)

    monkeypatch.setattr("llmkube_downloader.store.lease.sleep", publish_meanwhile)
    told: list[str] = []
    joined = take_or_join(layout, KEY, 60, told.append)
    assert not isinstance(joined, Beacon)
    assert joined.state is State.COMPLETE
    assert os.uname().nodename in told[0]


def test_whoever_gets_the_lease_of_a_published_entry_gives_it_back(layout: Layout) -> None:
    build(layout)
    assert not isinstance(take_or_join(layout, KEY, 60, print), Beacon)
    assert holder_of(layout, KEY) is None


def test_a_beat_that_fails_does_not_end_the_work(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmkube_downloader.store.beacon.HEARTBEAT_SECONDS", 0.001)
    taken = try_take(layout, KEY)
    assert taken
    beats: list[int] = []

    def no_space(*_: Any) -> int:
        beats.append(1)
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "pwrite", no_space)
    with held(taken, idle):
        while len(beats) < 2:
            pass


def test_a_lease_that_can_not_be_written_is_not_left_behind(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", failing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        try_take(layout, KEY)
    assert list(layout.leases(KEY).iterdir()) == []


def test_a_withdrawn_lease_is_never_written_again(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = try_take(layout, KEY)
    assert taken
    taken.withdraw()
    # Another file may have the number of the descriptor by now.
    monkeypatch.setattr(os, "ftruncate", failing(errno.EIO))
    taken.beat()


# The volume.


def test_a_volume_is_marked_with_its_format_once(layout: Layout) -> None:
    assert json.loads(layout.format.read_text()) == {"formatVersion": 1}
    inode = layout.format.stat().st_ino
    prepare(layout)
    assert layout.format.stat().st_ino == inode
    assert sorted(path.name for path in layout.state.iterdir()) == ["format.json", "staging", "trash"]
    assert [path.name for path in layout.root.iterdir()] == [".llmkube"]


def test_a_volume_of_a_newer_format_is_left_alone(run: Run, layout: Layout) -> None:
    build(layout)
    layout.format.write_text('{"formatVersion": 2}')
    for command in (["fetch", "file:///x"], ["list"], ["verify"], ["remove", KEY]):
        done = run(*command, "--root", layout.root)
        assert done.code == 10
        assert "format 2" in done.err
    assert look(layout, KEY).state is State.COMPLETE


def test_a_damaged_format_names_its_file(layout: Layout) -> None:
    layout.format.write_text("{")
    with pytest.raises(DownloaderError) as failure:
        prepare(layout)
    assert failure.value.code is ExitCode.VOLUME
    assert str(layout.format) in failure.value.cause


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, ExitCode.VOLUME),
        (errno.EPERM, ExitCode.VOLUME),
        (errno.EROFS, ExitCode.VOLUME),
        (errno.EIO, ExitCode.VOLUME),
        (errno.ENOSPC, ExitCode.NO_SPACE),
        (errno.EDQUOT, ExitCode.NO_SPACE),
        (errno.ENOSYS, ExitCode.FILE_SYSTEM),
    ],
)
def test_a_volume_that_can_not_be_written_is_found_out_before_the_network_is_used(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: ExitCode
) -> None:
    root.mkdir()
    monkeypatch.setattr(Path, "rename", failing(number))
    with pytest.raises(DownloaderError) as failure:
        prepare(Layout(root))
    assert failure.value.code is code
    assert list((root / ".llmkube" / "staging").iterdir()) == []


def test_a_volume_of_somebody_else_names_who_and_what_to_set(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir()
    root.chmod(0o2775)
    monkeypatch.setattr(os, "getgroups", lambda: [7, 8])
    monkeypatch.setattr(volume, "write_durably", failing(errno.EACCES))
    with pytest.raises(DownloaderError) as failure:
        prepare(Layout(root))
    status = root.stat()
    assert f"uid {os.geteuid()}, gid {os.getegid()}, groups 7,8" in failure.value.cause
    assert f"belongs to {status.st_uid}:{status.st_gid} with mode 2775" in failure.value.cause
    assert f"podSecurityContext.fsGroup: {status.st_gid or os.getegid()}." in failure.value.action


def test_what_can_not_fit_is_refused_with_both_numbers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume, "usage", lambda _: volume.Usage(total=10 * 1024**3, free=2 * 1024**3))
    check_space(root, 1024**3)
    with pytest.raises(DownloaderError) as failure:
        check_space(root, 4 * 1024**3)
    assert failure.value.code is ExitCode.NO_SPACE
    assert "2.0 GiB free of 10.0 GiB" in failure.value.cause
    assert "needed are 4.0 GiB" in failure.value.cause


def test_what_can_not_be_unlinked_now_is_unlinked_later(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    build(layout)
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", failing(errno.EBUSY))
        discard(layout, layout.entry(KEY))
    assert look(layout, KEY).state is State.ABSENT
    assert list(layout.trash.iterdir())
    empty_trash(layout)
    assert list(layout.trash.iterdir()) == []
