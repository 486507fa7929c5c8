"""A fetch that is killed shows nothing, loses next to nothing, and the next one finishes it.

`LLMKUBE_TEST_FAULTS=deep` kills at every system call instead of every one that changes something, and five times as
often at random times. It takes an hour.
"""

from __future__ import annotations

import itertools
import statistics
from typing import TYPE_CHECKING

import pytest

from faults.deep import deep, needs_root
from faults.kill import LARGE, Tally
from faults.place import FILE_SYSTEMS, Workers
from faults.served import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = [pytest.mark.slow, needs_root]

Pairs = tuple[tuple[str, str], ...]

ALL_PAIRS: Pairs = tuple(itertools.product(SOURCES, FILE_SYSTEMS))
_RANDOM_KILLS = 400 if deep() else 80
_MOST_LOST = LARGE // 100
_USUALLY_LOST = LARGE // 500


# What a fetch goes on with lies on the volume, whence it came: the second time each source and file system counts once.
@pytest.mark.parametrize(
    ("moments", "pairs"),
    [("first", ALL_PAIRS), ("second", ALL_PAIRS if deep() else tuple(zip(SOURCES, FILE_SYSTEMS, strict=True)))],
    ids=["first", "second"],
)
def test_a_fetch_that_is_killed_at_any_call_is_finished_by_the_next_one(moments: str, pairs: Pairs) -> None:
    for tally in _kill(moments, pairs, *["--all"] if deep() else []):
        assert_nothing_wrong(tally)
        assert tally.kills > 100
        assert tally.forgotten == {}


def test_a_large_fetch_that_is_killed_at_random_times_is_finished_and_next_to_nothing_sent_again() -> None:
    lost = []
    for tally in _kill("random", ALL_PAIRS, "--kills", str(_RANDOM_KILLS)):
        assert_nothing_wrong(tally)
        assert tally.forgotten == {}
        lost += tally.lost
    assert len(lost) >= len(ALL_PAIRS) * _RANDOM_KILLS
    assert max(lost) <= _MOST_LOST
    assert statistics.median(lost) <= _USUALLY_LOST


def assert_nothing_wrong(tally: Tally) -> None:
    assert tally.wrong == []
    assert tally.unfinished == []
    assert tally.left == {}
    # What nobody had can not be forgotten.
    assert sum(tally.kept) > 0


def _kill(moments: str, pairs: Pairs, *flags: str) -> Iterable[Tally]:
    """Kill fetches from a source into a file system, all pairs at the same time."""
    with Workers() as workers:
        running = [workers.start("kill", moments, *pair, *flags) for pair in pairs]
        return [Tally(**worker.result()) for worker in running]
