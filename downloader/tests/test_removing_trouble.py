"""Removing when something goes wrong on the way, or the remover dies there."""

from __future__ import annotations

import errno
import os
import shutil
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from building import KEY, age, stage
from using import (
    NONCE,
    POD,
    before_each_operation,
    is_gone,
    lease,
    left_in,
    names_below,
    publish_entry,
    supersede,
)

from llmkube_downloader.maintenance.removing import plan_removal, remove
from llmkube_downloader.store import removal
from llmkube_downloader.store.beacon import Beacon
from llmkube_downloader.store.condemned import condemn
from llmkube_downloader.store.entry import State, look
from llmkube_downloader.store.layout import Layout
from llmkube_downloader.store.trash import empty_trash
from llmkube_downloader.store.use import announce
from llmkube_downloader.store.users import sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from command_line import Run


@pytest.fixture
def entry(layout: Layout) -> Path:
    """An entry that is there."""
    return publish_entry(layout)


def test_a_volume_that_answers_too_slowly_is_left_as_it_is(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter((0.0, 31.0))
    monkeypatch.setattr(removal, "monotonic", lambda: next(now))
    assert run("remove", KEY, "--root", layout.root).code == 15
    assert entry.exists()


def test_what_can_not_be_moved_stays_with_all_the_rest(
    run: Run, layout: Layout, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = supersede(layout, "0badcafe")
    publish_entry(layout)
    before = names_below(layout)
    rename = Path.rename

    def busy(path: Path, target: Path) -> Path:
        if path == newest:
            raise OSError(errno.EBUSY, "busy")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", busy)
    assert run("remove", KEY, "--root", layout.root).code == 15
    assert entry.exists()
    assert names_below(layout) == before


def test_what_is_condemned_is_not_unlinked_while_its_remover_may_live(layout: Layout, entry: Path) -> None:
    condemn(layout, KEY, NONCE, KEY)
    layout.leases(KEY).mkdir(parents=True, exist_ok=True)
    intent = Beacon(layout.leases(KEY) / f"intent.{NONCE}")
    empty_trash(layout)
    assert (layout.trash / f"condemned.{KEY}.{NONCE}.{KEY}" / "model.gguf").exists()
    intent.withdraw()
    empty_trash(layout)
    assert left_in(layout.trash) == []
    assert not entry.exists()


def test_what_is_used_and_has_a_successor_stays_in_the_trash_until_nobody_uses_it(layout: Layout, entry: Path) -> None:
    condemn(layout, KEY, NONCE, KEY)
    publish_entry(layout)
    used = lease(layout)
    empty_trash(layout)
    assert (layout.trash / f"condemned.{KEY}.{NONCE}.{KEY}" / "model.gguf").exists()
    used.unlink()
    empty_trash(layout)
    assert left_in(layout.trash) == []
    assert entry.exists()


def removal_dies_at(point: int, layout: Layout) -> bool:
    """Remove the key in a process that dies before an operation on files; return whether it came that far."""
    child = os.fork()
    if child == 0:
        try:
            with before_each_operation(layout.root, lambda number: os._exit(1) if number == point else None):
                remove(layout.root, plan_removal(layout.root, [KEY], force=False), force=False)
            os._exit(0)
        finally:
            os._exit(2)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 1)
    return code == 1


@pytest.fixture
def two_generations(layout: Layout, tmp_path: Path) -> Callable[[], Path]:
    """Make a key with an old generation and a newest one, which is returned."""
    publish_entry(layout)
    newest = supersede(layout, "0badcafe")
    publish_entry(layout)
    stage(layout, {"part": b"123"})
    layout.root.rename(tmp_path / "made")

    def make() -> Path:
        shutil.copytree(tmp_path / "made", layout.root)
        return newest

    return make


def let_time_pass(layout: Layout) -> None:
    for name in left_in(layout.leases(KEY)):
        age(layout.leases(KEY) / name)


def test_wherever_a_remover_dies_the_next_one_removes_everything(
    run: Run, layout: Layout, two_generations: Callable[[], Path]
) -> None:
    for point in count():
        two_generations()
        died = removal_dies_at(point, layout)
        let_time_pass(layout)
        assert run("remove", KEY, "--root", layout.root).code in (0, 12)
        empty_trash(layout)
        sweep(layout, KEY)
        assert is_gone(layout), point
        shutil.rmtree(layout.root)
        if not died:
            break
    assert point > 30


def test_wherever_a_remover_dies_a_starter_finds_the_newest_generation_or_none(
    layout: Layout, two_generations: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = set()
    monkeypatch.setenv("LLMKUBE_POD_UID", POD)
    for point in count():
        newest = two_generations()
        died = removal_dies_at(point, layout)
        let_time_pass(layout)
        announce(layout, KEY, print)
        entry = look(layout, KEY)
        assert (entry.state, entry.path) in ((State.COMPLETE, newest), (State.ABSENT, layout.root / KEY)), point
        found.add(entry.state)
        shutil.rmtree(layout.root)
        if not died:
            break
    assert found == {State.COMPLETE, State.ABSENT}
