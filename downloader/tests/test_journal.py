"""Journals and the files they tell of: never a byte is promised that is not there."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import pytest
from building import content

from llmkube_downloader.store.journal import Identity, Journal, begin_journal, go_on_with_journal, read_journal
from llmkube_downloader.store.ranges import Ranges

if TYPE_CHECKING:
    from pathlib import Path

STATE = bytes(range(32))


# Ranges.


def test_ranges_hold_what_was_added_and_nothing_else() -> None:
    choose = random.Random(1)  # noqa: S311 - it is no secret
    for _ in range(200):
        ranges, held = Ranges(), set[int]()
        for _ in range(choose.randrange(12)):
            start = choose.randrange(30)
            end = start + choose.randrange(6)
            ranges.add(start, end)
            held |= set(range(start, end))
        assert {byte for start, end in ranges for byte in range(start, end)} == held
        assert ranges.size == len(held)
        assert all(end < start for (_, end), (start, _) in zip(list(ranges), list(ranges)[1:], strict=False))
        for start in range(31):
            for end in range(start, 36):
                assert ranges.covers(start, end) == (set(range(start, end)) <= held)


# Contents.


@pytest.mark.parametrize(
    ("here", "there", "proven"),
    [
        ({}, {}, True),
        ({"sha256": "a" * 64}, {}, False),
        ({"size": 7}, {}, False),
        ({"validator": '"1"'}, {"validator": '"2"'}, True),  # the hash counts
        ({"sha256": None, "validator": '"1"'}, {"sha256": None, "validator": '"1"'}, True),
        ({"sha256": None, "validator": '"1"'}, {"sha256": None, "validator": '"2"'}, False),
        ({"sha256": None, "validator": '"1"'}, {"validator": '"1"'}, True),
        ({"sha256": None, "validator": '"1"'}, {}, False),
        ({"sha256": None}, {"sha256": None}, False),
        ({"size": None}, {"size": None}, False),  # a body without end may be any other
    ],
)
def test_bytes_are_used_for_what_is_proven_to_be_the_same_content(
    here: dict[str, Any], there: dict[str, Any], proven: bool
) -> None:
    assert content("model.gguf", **here).proves(content("model.gguf", **there)) is proven
    assert content("model.gguf", **there).proves(content("model.gguf", **here)) is proven
    assert not content("other.gguf", **here).proves(content("model.gguf", **there))


# Journals.


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def journal(path: Path) -> Journal:
    return begin_journal(path, content("model.gguf"))


def said(path: Path, *, same_boot: bool = True) -> tuple[list[tuple[int, int]], dict[int, bytes], str | None]:
    kept = read_journal(path, same_boot=same_boot)
    return (list(kept.ranges), kept.states, kept.whole) if kept else ([], {}, None)


def test_a_journal_tells_what_was_said(path: Path, journal: Journal) -> None:
    journal.wrote(0, 10)
    journal.wrote(20, 30)
    journal.wrote(10, 15)
    journal.reached(15, STATE)
    journal.whole("f" * 64)
    kept = read_journal(path, same_boot=True)
    assert kept
    assert kept.identity == content("model.gguf")
    assert said(path) == ([(0, 15), (20, 30)], {15: STATE}, "f" * 64)
    assert kept.length == path.stat().st_size == journal.length


def test_names_of_all_alphabets_are_told(path: Path) -> None:
    identity = Identity("模型/ü\n.gguf", 7, None, '"\x7f€"')
    begin_journal(path, identity).close()
    kept = read_journal(path, same_boot=True)
    assert kept
    assert kept.identity == identity


def test_a_journal_that_was_cut_off_anywhere_tells_the_lines_before_the_cut(path: Path, journal: Journal) -> None:
    lengths = []
    for number in range(5):
        journal.wrote(number * 20, number * 20 + 10)
        lengths.append(journal.length)
    data = path.read_bytes()
    for cut in range(len(data)):
        path.write_bytes(data[:cut])
        ranges = [(number * 20, number * 20 + 10) for number, length in enumerate(lengths) if length <= cut]
        assert said(path)[0] == ranges


def test_a_journal_with_a_wrong_byte_anywhere_tells_the_lines_before_it(path: Path, journal: Journal) -> None:
    lengths = []
    for number in range(3):
        journal.wrote(number * 20, number * 20 + 10)
        lengths.append(journal.length)
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :])
        ranges = [(number * 20, number * 20 + 10) for number, length in enumerate(lengths) if length <= place]
        assert said(path)[0] == ranges


def test_whoever_goes_on_writes_over_what_does_not_count(path: Path, journal: Journal) -> None:
    journal.wrote(0, 10)
    with path.open("ab") as file:
        file.write(b"0000 torn")
    kept = read_journal(path, same_boot=True)
    assert kept
    again = go_on_with_journal(path, kept)
    again.wrote(10, 20)
    assert said(path)[0] == [(0, 20)]


def test_another_boot_believes_what_was_synced_and_nothing_later(path: Path, journal: Journal) -> None:
    journal.wrote(0, 10)
    journal.reached(10, STATE)
    told = journal.length
    journal.wrote(10, 20)
    assert said(path, same_boot=False)[0] == []
    journal.synced(told)
    assert said(path, same_boot=False) == ([(0, 10)], {10: STATE}, None)
    assert said(path) == ([(0, 20)], {10: STATE}, None)


def test_another_boot_believes_that_a_file_was_whole(path: Path, journal: Journal) -> None:
    journal.wrote(0, 10)
    journal.whole("f" * 64)
    journal.wrote(10, 20)
    assert said(path, same_boot=False) == ([(0, 10)], {}, "f" * 64)


def test_a_synced_line_is_on_disk_before_anybody_relies_on_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: lengths.append(os.fstat(descriptor).st_size))
    journal.synced(journal.length)
    assert lengths == [journal.length]


def test_what_is_taken_back_is_not_told_and_nothing_after_it(path: Path, journal: Journal) -> None:
    journal.wrote(0, 10)
    journal.synced(journal.length)
    journal.wrote(10, 20)
    journal.take_back()
    length = path.stat().st_size
    journal.wrote(20, 30)
    assert path.stat().st_size == length
    assert said(path)[0] == said(path, same_boot=False)[0] == [(0, 10)]
    kept = read_journal(path, same_boot=True)
    assert kept
    again = go_on_with_journal(path, kept)
    again.wrote(30, 40)
    again.take_back()
    assert said(path)[0] == said(path, same_boot=False)[0] == [(0, 10)]
