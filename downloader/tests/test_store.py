"""The store: what is visible is whole, whoever dies or races."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from building import KEY, MODEL, age, build, content, failing, idle, manifest_of, stage

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store import completeness, disk
from llmkube_downloader.store import publish as publishing
from llmkube_downloader.store.beacon import Beacon, Heartbeat
from llmkube_downloader.store.entry import Entry, State, look, survey
from llmkube_downloader.store.layout import Layout, entry_names
from llmkube_downloader.store.publish import publish
from llmkube_downloader.store.staging import attempt
from llmkube_downloader.store.trash import discard, quarantine

if TYPE_CHECKING:
    from collections.abc import Callable


# Names.


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


def test_a_copy_under_the_key_of_another_source_is_damaged(layout: Layout) -> None:
    build(layout)
    shutil.copytree(layout.entry(KEY), layout.entry("f" * 16))
    entry = look(layout, "f" * 16)
    assert (entry.state, entry.problem) == (State.DAMAGED, f"its manifest is that of {KEY}")


def refer(layout: Layout, *names: str) -> None:
    for name in names:
        path = layout.state / "refs" / KEY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_latest_complete_generation_is_the_one_that_is_used(layout: Layout) -> None:
    build(layout)
    for generation in ("0000000a", "0000000b"):
        shutil.copytree(layout.entry(KEY), layout.root / f"{KEY}-{generation}")
    assert look(layout, KEY).path == layout.entry(KEY)
    refer(layout, f"00000001-{KEY}", f"00000009-{KEY}-0000000a", f"00000010-{KEY}-0000000b", f"00000011-{KEY}-0000000c")
    assert look(layout, KEY).path == layout.root / f"{KEY}-0000000b"
    (layout.root / f"{KEY}-0000000b" / "model.gguf").unlink()
    assert look(layout, KEY).path == layout.root / f"{KEY}-0000000a"
    refer(layout, f"00000012-{KEY}")
    assert look(layout, KEY).path == layout.entry(KEY)


def test_what_is_no_reference_leads_nowhere(layout: Layout) -> None:
    build(layout)
    other = "f" * 16
    for name in (other, f"{KEY}-0000000a", f"{KEY}-0000000a.copy", "away"):
        shutil.copytree(layout.entry(KEY), layout.root / name)
    refer(layout, f"00000001-{other}", f"00000002-{KEY}-0000000a.copy", "00000003-away", "00000004-..", f"5-{other}")
    refer(layout, f"0000000x-{KEY}-0000000a", f"6-{KEY}-0000000a", f"{KEY}-0000000a", "00000007-", ".nfs0001")
    assert look(layout, KEY).path == layout.entry(KEY)


def test_where_no_generation_is_complete_it_is_the_first_one_that_counts(layout: Layout) -> None:
    build(layout)
    layout.entry(KEY).rename(layout.root / f"{KEY}-0000000a")
    (layout.root / f"{KEY}-0000000a" / "model.gguf").unlink()
    refer(layout, f"00000001-{KEY}-0000000a")
    assert look(layout, KEY) == Entry(layout.entry(KEY), KEY, State.ABSENT)


def test_every_generation_is_seen_as_an_entry_of_its_key(layout: Layout) -> None:
    build(layout)
    shutil.copytree(layout.entry(KEY), layout.root / f"{KEY}-0000000a")
    shutil.copytree(layout.entry(KEY), layout.root / f"{KEY}-a")
    found = {entry.path.name: (entry.key, entry.state) for entry in survey(layout) if entry.path.parent == layout.root}
    complete = (KEY, State.COMPLETE)
    assert found == {KEY: complete, f"{KEY}-0000000a": complete, f"{KEY}-a": (None, State.FOREIGN)}


@pytest.mark.parametrize("call", ["stat", "listdir"])
def test_trouble_with_the_volume_is_not_taken_for_damage(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    build(layout)
    monkeypatch.setattr(completeness, call, failing(errno.EIO))
    with pytest.raises(DownloaderError) as failure:
        look(layout, KEY)
    assert failure.value.code is ExitCode.VOLUME


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


def test_an_attempt_that_received_nothing_leaves_nothing_behind(layout: Layout) -> None:
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        opened.open(content("deep/model.gguf")).close()
    assert list(layout.staging(KEY).iterdir()) == []
    assert list(layout.trash.iterdir()) == []


def test_a_file_in_a_removed_attempt_does_not_bring_it_back(layout: Layout) -> None:
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        discard(layout, opened.directory)
        with pytest.raises(DownloaderError) as failure:
            opened.open(content("deep/model.gguf"))
        assert failure.value.code is ExitCode.DELETED_OR_LOCK_TIMEOUT
        assert not opened.directory.exists()


def test_two_names_that_the_file_system_takes_for_one_are_refused(layout: Layout) -> None:
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        opened.open(content("MODEL.GGUF"))
        (opened.files / "model.gguf").hardlink_to(opened.files / "MODEL.GGUF")
        with pytest.raises(DownloaderError) as failure:
            opened.open(content("model.gguf"))
        assert failure.value.code is ExitCode.FILE_SYSTEM
        assert (opened.files / "model.gguf").samefile(opened.files / "MODEL.GGUF")


def test_leftovers_of_the_dead_are_removed_and_the_living_are_not(layout: Layout) -> None:
    dead = stage(layout, {"model.gguf": MODEL}).parent
    (dead / "owner.json").write_text("{}")
    age(dead / "owner.json")
    unborn = stage(layout, {"model.gguf": MODEL}).parent
    age(unborn)
    alive = stage(layout, {"model.gguf": MODEL}).parent
    owner = Beacon(alive / "owner.json")
    with attempt(layout, KEY, Heartbeat(idle)) as living:
        assert set(layout.staging(KEY).iterdir()) == {living.directory, alive}
    owner.withdraw()


def test_a_good_entry_that_took_the_place_of_a_damaged_one_stays(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(layout)
    (layout.entry(KEY) / "model.gguf").write_bytes(b"damaged")
    mine, theirs = stage(layout, {"model.gguf": MODEL}), stage(layout, {"model.gguf": MODEL})
    repaired = manifest_of({"model.gguf": MODEL}, created="2026-02-02T00:00:00+00:00")

    def repair_first(layout: Layout, damaged: Entry) -> Path:
        monkeypatch.setattr(publishing, "quarantine", quarantine)
        assert publish(layout, theirs, repaired) == repaired
        return quarantine(layout, damaged)

    monkeypatch.setattr(publishing, "quarantine", repair_first)
    assert publish(layout, mine, manifest_of({"model.gguf": MODEL})) == repaired
    assert look(layout, KEY).manifest == repaired
