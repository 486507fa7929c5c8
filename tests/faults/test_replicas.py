"""Processes that fetch the same at the same time share one download, and need no lock for what they serve to be right.

`LLMKUBE_TEST_FAULTS=deep` plays ten times as many rounds. It takes a quarter of an hour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from faults.deep import deep, needs_root
from faults.place import Workers
from faults.replicas import NOT_WHOLE, Round

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, needs_root]

_DELETED = 20
_MOST_SENT = 1.02
_MOST_SECONDS = 90
_KILLED = -9
# Played side by side: most of their time is waiting.
_PLAYED = (
    ("silent", "http", "ext4", 1),
    ("working", "http", "ext4", 25),
    ("working", "hf", "xfs", 25),
    ("leaseless", "hf", "ext4", 8),
    ("lockless", "http", "xfs", 50),
    ("killed", "hf", "xfs", 8),
    ("frozen", "http", "ext4", 8),
    ("frozen", "hf", "xfs", 8),
)


@pytest.fixture(scope="module")
def played() -> Iterator[dict[str, list[Round]]]:
    """The rounds of every scenario."""
    with Workers() as workers:
        running = [
            (scenario, workers.start("replicas", scenario, source, file_system, "--rounds", str(rounds * 10 ** deep())))
            for scenario, source, file_system, rounds in _PLAYED
        ]
        rounds: dict[str, list[Round]] = {}
        for scenario, worker in running:
            rounds.setdefault(scenario, []).extend(Round(**each) for each in worker.result())
        yield rounds


def test_nothing_wrong_is_ever_visible_whoever_races_dies_or_freezes(played: dict[str, list[Round]]) -> None:
    for scenario, rounds in played.items():
        assert [each.wrong for each in rounds if each.wrong] == [], scenario
        assert [each.codes for each in rounds if NOT_WHOLE in each.codes] == [], scenario


def test_who_starts_together_fetches_once_and_all_find_the_whole_entry(played: dict[str, list[Round]]) -> None:
    assert {len(each.codes) for each in played["working"]} == {2, 8, 16}
    assert [each.codes for each in played["working"] if any(each.codes)] == []
    assert max(each.sent for each in played["working"]) <= _MOST_SENT


def test_without_leases_at_least_one_survives(played: dict[str, list[Round]]) -> None:
    assert [each.codes for each in played["leaseless"] if 0 not in each.codes] == []
    assert max(each.sent for each in played["leaseless"]) > _MOST_SENT, "the leases worked"


def test_without_any_lock_all_end_with_the_whole_entry_or_say_that_their_work_was_taken(
    played: dict[str, list[Round]],
) -> None:
    # Everybody then seems to be dead to everybody else, who goes on with what they received.
    assert [each.codes for each in played["lockless"] if set(each.codes) - {0, _DELETED}] == []
    assert any(_DELETED in each.codes for each in played["lockless"]), "the locks worked"


@pytest.mark.parametrize("scenario", ["killed", "silent"])
def test_who_is_killed_is_taken_over_from_and_its_bytes_are_kept(played: dict[str, list[Round]], scenario: str) -> None:
    for each in played[scenario]:
        assert each.codes == [_KILLED, 0, 0]
        assert each.takeover <= _MOST_SECONDS
        assert each.forgotten == 0
    assert sum(each.kept for each in played[scenario]) > 0


def test_who_was_frozen_and_taken_over_from_ends_or_joins(played: dict[str, list[Round]]) -> None:
    assert [each.codes for each in played["frozen"] if set(each.codes) - {0, _DELETED}] == []
    assert max(each.sent for each in played["frozen"]) > _MOST_SENT, "nobody was taken over from in the middle"


def test_nothing_is_left_beside_the_entry(played: dict[str, list[Round]]) -> None:
    for scenario, rounds in played.items():
        assert [each.left for each in rounds if each.left] == [], scenario
