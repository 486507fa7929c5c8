"""Which generation of a key starters open, since when, and which are superseded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from building import KEY, build
from using import left_in, refer, supersede

from llmkube_downloader.store.generations import current, generations, is_newer, is_superseded

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.store.layout import Layout


def built(layout: Layout, suffix: str) -> Path:
    """Make an entry of the key, with another name than the key."""
    build(layout)
    path = layout.root / f"{KEY}{suffix}"
    layout.entry(KEY).rename(path)
    return path


def test_the_generation_that_starters_open_comes_last(layout: Layout) -> None:
    newer, older = built(layout, "-00000000"), built(layout, "-ffffffff")
    (layout.root / "fedcba9876543210").mkdir()
    assert generations(layout, KEY) == [newer.name, older.name]
    refer(layout, older.name)
    refer(layout, newer.name)
    assert generations(layout, KEY) == [older.name, newer.name]


def test_a_generation_is_newer_by_its_ref(layout: Layout) -> None:
    names = [KEY, f"{KEY}-00000000", f"{KEY}-ffffffff"]
    for name in (names[2], names[1]):
        refer(layout, name)
    order = [names[1], names[2], KEY]
    for name in names:
        for other in names:
            assert is_newer(layout, KEY, name, other) is (order.index(name) < order.index(other))
    assert not is_newer(layout, KEY, f"{KEY}-11111111", KEY)
    assert not is_newer(layout, KEY, names[1], f"{KEY}-11111111")


def test_starters_open_the_newest_since_its_last_ref(layout: Layout) -> None:
    assert current(layout, KEY) is None
    build(layout)
    assert current(layout, KEY) == (KEY, 0.0)
    newest = supersede(layout, "0badcafe")
    refer(layout, f"{KEY}-11111111")
    refer(layout, newest.name)
    for number, name in enumerate(left_in(layout.refs(KEY)), start=5):
        os.utime(layout.refs(KEY) / name, (1, number))
    assert current(layout, KEY) == (newest.name, 7.0)
    (newest / "model.gguf").unlink()
    assert current(layout, KEY) is None


@pytest.mark.parametrize("referred", [True, False])
def test_what_starters_open_is_not_superseded_and_all_else_is(layout: Layout, referred: bool) -> None:
    assert not is_superseded(layout, KEY, KEY)
    older, newest = built(layout, "-00000000"), built(layout, "-ffffffff")
    if referred:
        refer(layout, older.name)
    refer(layout, newest.name)
    assert is_superseded(layout, KEY, older.name)
    assert is_superseded(layout, KEY, KEY)
    assert not is_superseded(layout, KEY, newest.name)
    refer(layout, f"{KEY}-11111111")
    # It is away for now, and is the one to open when it comes back.
    assert not is_superseded(layout, KEY, f"{KEY}-11111111")
