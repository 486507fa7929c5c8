"""Removing, step by step: what it takes and gives back, whoever is in its way."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from building import KEY, build, failing
from using import left_in

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store import publish as publishing
from llmkube_downloader.store import removal
from llmkube_downloader.store.beacon import Beacon
from llmkube_downloader.store.condemned import condemn, give_up, put_back
from llmkube_downloader.store.entry import State, look, survey
from llmkube_downloader.store.lease import try_take
from llmkube_downloader.store.pins import is_pinned, set_pin
from llmkube_downloader.store.removal import Doomed, remove_all, remove_leftover
from llmkube_downloader.store.trash import empty_trash, quarantine

if TYPE_CHECKING:
    from llmkube_downloader.store.layout import Layout

OTHER = "fedcba9876543210"


@pytest.fixture
def entry(layout: Layout) -> Path:
    """An entry of the key, with nothing beside it."""
    build(layout)
    shutil.rmtree(layout.staging(KEY))
    return layout.entry(KEY)


@pytest.fixture
def leftover(layout: Layout) -> Path:
    """What a dead attempt left."""
    path = layout.staging(KEY) / "dead"
    path.mkdir(parents=True)
    (path / "file").write_bytes(bytes(100))
    return path


def test_a_leftover_is_removed_by_who_holds_the_lease(layout: Layout, leftover: Path) -> None:
    lease = try_take(layout, KEY)
    assert lease
    with pytest.raises(DownloaderError, match=f"{KEY} is being fetched by {os.uname().nodename}") as failure:
        remove_leftover(layout, KEY, leftover)
    assert failure.value.code is ExitCode.POLICY
    assert leftover.exists()
    lease.withdraw()
    assert remove_leftover(layout, KEY, leftover) == 0
    assert not leftover.exists()
    assert (left_in(layout.trash), left_in(layout.leases(KEY))) == ([], [])
    assert remove_leftover(layout, KEY, leftover) == 0
    assert left_in(layout.leases(KEY)) == []


def test_a_leftover_that_can_not_be_moved_is_named_and_the_lease_given_back(
    layout: Layout, leftover: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pathlib.Path.rename", failing(errno.EIO))
    with pytest.raises(DownloaderError, match=f"removing {leftover}: "):
        remove_leftover(layout, KEY, leftover)
    assert left_in(layout.leases(KEY)) == []


def test_what_is_not_given_back_yet_is_counted(
    layout: Layout, entry: Path, leftover: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(path.stat().st_size for path in entry.iterdir())
    monkeypatch.setattr(os, "unlink", failing(errno.EBUSY))
    assert remove_leftover(layout, KEY, leftover) == 100
    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.unlink", lambda path, **_: path.rename(layout.root / ".gone"))
        assert remove_all(layout, [Doomed(KEY, (KEY,))], force=True) == size


def test_only_a_key_that_goes_as_a_whole_loses_its_pin_and_its_refs(layout: Layout, entry: Path) -> None:
    layout.refs(KEY).mkdir(parents=True)
    set_pin(layout, KEY)
    remove_all(layout, [Doomed(KEY, (KEY,), whole=False)], force=True)
    assert (is_pinned(layout, KEY), layout.refs(KEY).exists(), entry.exists()) == (True, True, False)
    build(layout)
    remove_all(layout, [Doomed(KEY, (KEY,), rest=(layout.staging(KEY), layout.staging(OTHER)))], force=True)
    assert (is_pinned(layout, KEY), layout.refs(KEY).exists(), entry.exists()) == (False, False, False)
    assert not layout.staging(KEY).exists()


def test_what_is_condemned_goes_into_a_trash_that_was_not_there(layout: Layout, entry: Path) -> None:
    shutil.rmtree(layout.state)
    condemn(layout, KEY, "0" * 32, KEY)
    assert left_in(layout.trash) == [f"condemned.{KEY}.{'0' * 32}.{KEY}"]


def test_what_is_condemned_is_given_up_first_generation_first_and_put_back_last(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{KEY}-00000000", f"{KEY}-ffffffff", KEY]
    for name in names:
        (layout.root / name).mkdir()
    layout.refs(KEY).mkdir(parents=True)
    moved: list[str] = []
    rename = Path.rename

    def noted(path: Path, target: Path) -> Path:
        moved.append(path.name.rpartition(".")[2])
        return rename(path, target)

    for name in (*names, "refs"):
        condemn(layout, KEY, "0" * 32, name)
    monkeypatch.setattr(Path, "rename", noted)
    put_back(layout, KEY, "0" * 32)
    assert moved == ["refs" if name == "refs" else name for name in reversed([KEY, "refs", *names[:2]])]
    assert left_in(layout.root) == [".llmkube", KEY, *names[:2]]
    assert layout.refs(KEY).is_dir()
    for name in (*names, "refs"):
        condemn(layout, KEY, "0" * 32, name)
    moved.clear()
    assert [path.name.rpartition(".")[0] for path in give_up(layout, KEY, "0" * 32)] == [KEY, "refs", *names[:2]]
    assert moved == [KEY, "refs", *names[:2]]


def test_what_another_one_finished_meanwhile_is_no_trouble(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    for finish in (put_back, give_up):
        (layout.root / KEY).mkdir(exist_ok=True)
        condemn(layout, KEY, "0" * 32, KEY)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", failing(errno.ENOENT))
            assert not finish(layout, KEY, "0" * 32)
        put_back(layout, KEY, "0" * 32)


def test_trouble_with_putting_back_is_left_to_the_next(
    layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "put_back", failing(errno.EIO))
    with pytest.raises(DownloaderError, match="start from again"):
        remove_all(layout, [Doomed(KEY, (KEY,), is_due=lambda: not left_in(layout.trash))], force=True)
    assert left_in(layout.trash)


def test_trouble_with_withdrawing_an_intent_is_left_to_time(
    layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def stuck(path: Path, **named: bool) -> None:
        if path.name.startswith("intent."):
            raise OSError(errno.EIO, "stuck")
        unlink(path, **named)

    monkeypatch.setattr(Path, "unlink", stuck)
    remove_all(layout, [Doomed(KEY, (KEY,))], force=False)
    assert not entry.exists()


def test_what_is_damaged_goes_aside_where_nothing_ever_did_and_is_listed(layout: Layout, entry: Path) -> None:
    (entry / "model.gguf").unlink()
    shutil.rmtree(layout.state)
    aside = quarantine(layout, look(layout, KEY))
    assert (aside / ".llmkube.json").exists()
    (found,) = survey(layout)
    assert (found.path, found.key, found.state, found.problem) == (aside, KEY, State.DAMAGED, "moved aside by a fetch")


def test_what_is_gone_already_needs_not_go_aside(layout: Layout, entry: Path) -> None:
    found = look(layout, KEY)
    shutil.rmtree(entry)
    assert not quarantine(layout, found).exists()


def test_what_can_not_go_aside_is_not_taken_for_whole(
    layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry / "model.gguf").write_bytes(b"damaged")
    monkeypatch.setattr(publishing, "quarantine", lambda *_: None)
    with pytest.raises(DownloaderError, match=f"publishing {entry}: "):
        build(layout)


def test_what_can_not_be_unlinked_does_not_keep_the_rest_of_the_trash(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (layout.trash / name / name).mkdir(parents=True)
    rmdir = os.rmdir

    def stuck(path: str, **named: int) -> None:
        if path == "a":
            raise OSError(errno.EBUSY, "busy")
        rmdir(path, **named)

    monkeypatch.setattr(os, "rmdir", stuck)
    empty_trash(layout)
    assert left_in(layout.trash) == ["a"]


def test_all_goes_back_when_one_of_several_can_not_be_removed(layout: Layout, entry: Path) -> None:
    shutil.copytree(entry, layout.entry(OTHER))
    asked: list[str] = []

    def is_due() -> bool:
        asked.append("")
        return len(asked) < 2

    with pytest.raises(DownloaderError, match="start from again"):
        remove_all(layout, [Doomed(KEY, (KEY,)), Doomed(OTHER, (OTHER,), is_due=is_due)], force=True)
    assert (len(asked), left_in(layout.trash)) == (2, [])
    assert left_in(layout.root) == [".llmkube", KEY, OTHER]
    assert left_in(layout.leases(KEY)) == left_in(layout.leases(OTHER)) == []


def test_a_full_volume_gets_an_empty_intent(layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[tuple[str, int]]] = []

    def full(path: Path) -> Beacon:
        raise OSError(errno.ENOSPC, "full")

    def is_due() -> bool:
        seen.append([(path.name[:7], path.stat().st_size) for path in layout.leases(KEY).iterdir()])
        return True

    monkeypatch.setattr(removal, "Beacon", full)
    remove_all(layout, [Doomed(KEY, (KEY,), is_due=is_due)], force=False)
    assert [[each for each in names if each[0] == "intent."] for names in seen] == [[("intent.", 0)]] * 2
    assert (entry.exists(), left_in(layout.leases(KEY))) == (False, [])
    monkeypatch.setattr(removal, "Beacon", failing(errno.EIO))
    with pytest.raises(DownloaderError, match="Input/output"):
        remove_all(layout, [Doomed(KEY, (KEY,))], force=False)
    assert left_in(layout.leases(KEY)) == []


def test_on_a_full_volume_the_build_lease_is_done_without(
    layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "try_take", failing(errno.EIO))
    with pytest.raises(DownloaderError, match="Input/output"):
        remove_all(layout, [Doomed(KEY, (KEY,))], force=True)
    lease = try_take(layout, KEY)
    assert lease
    monkeypatch.setattr(removal, "try_take", failing(errno.ENOSPC))
    with pytest.raises(DownloaderError, match="is being fetched by"):
        remove_all(layout, [Doomed(KEY, (KEY,))], force=False)
    assert entry.exists()
    remove_all(layout, [Doomed(KEY, (KEY,))], force=True)
    assert not entry.exists()
    lease.withdraw()
    build(layout)
    remove_all(layout, [Doomed(KEY, (KEY,))], force=False)
    assert not entry.exists()


def test_who_holds_a_lease_that_is_gone_again_is_another_process(
    layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "try_take", lambda *_: None)
    with pytest.raises(DownloaderError, match=f"{KEY} is being fetched by another process$"):
        remove_all(layout, [Doomed(KEY, (KEY,))], force=False)
    remove_all(layout, [Doomed(KEY, (KEY,))], force=True)
    assert not entry.exists()
