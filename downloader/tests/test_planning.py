"""What prune removes, as a function of what is on the volume."""

from __future__ import annotations

from pathlib import Path

import pytest
from using import DAY

from llmkube_downloader.maintenance.planning import Criteria, Item, Kind, Plan, Reason, plan

NOW = 1000 * DAY
GIB = 1024**3


def item(name: str, days: float, kind: Kind = Kind.ENTRY, size: int = GIB, kept: str = "") -> Item:
    """Return something that was last used so many days ago."""
    return Item(Path("/models") / name, name, kind, size, NOW - days * DAY, kept)


def planned(items: list[Item], free: int = 0, **criteria: float | bool) -> Plan:
    return plan(items, Criteria(**criteria), NOW, free)  # type: ignore[arg-type]


def names(made: Plan) -> list[tuple[str, Reason]]:
    return [(victim.item.key, victim.reason) for victim in made.victims]


OLD, MIDDLE, NEW = item("old", 40), item("middle", 20), item("new", 1)
ALL = [NEW, OLD, MIDDLE]


def test_without_criteria_no_entry_goes() -> None:
    assert Criteria().is_empty
    assert planned(ALL).victims == []
    for criteria in (Criteria(older_than=1.0), Criteria(unused=True), Criteria(max_bytes=0), Criteria(min_free=0)):
        assert not criteria.is_empty


def test_what_was_not_used_for_longer_goes() -> None:
    assert names(planned(ALL, older_than=20 * DAY)) == [("old", Reason.OLDER_THAN)]
    assert names(planned(ALL, older_than=19.9 * DAY)) == [("old", Reason.OLDER_THAN), ("middle", Reason.OLDER_THAN)]


def test_what_nobody_uses_goes() -> None:
    assert names(planned([*ALL, item("used", 90, kept="1 pod may use it")], unused=True)) == [
        ("new", Reason.UNUSED),
        ("old", Reason.UNUSED),
        ("middle", Reason.UNUSED),
    ]


def test_the_longest_unused_go_until_all_fit() -> None:
    assert names(planned(ALL, max_bytes=3 * GIB)) == []
    assert names(planned(ALL, max_bytes=3 * GIB - 1)) == [("old", Reason.MAX_BYTES)]
    assert names(planned(ALL, max_bytes=GIB)) == [("old", Reason.MAX_BYTES), ("middle", Reason.MAX_BYTES)]
    assert len(planned(ALL, max_bytes=0).victims) == 3


def test_the_longest_unused_go_until_enough_is_free() -> None:
    assert names(planned(ALL, free=5 * GIB, min_free=5 * GIB)) == []
    assert names(planned(ALL, free=5 * GIB, min_free=5 * GIB + 1)) == [("old", Reason.MIN_FREE)]
    assert names(planned(ALL, free=5 * GIB, min_free=7 * GIB)) == [
        ("old", Reason.MIN_FREE),
        ("middle", Reason.MIN_FREE),
    ]


@pytest.mark.parametrize("kept", ["it is pinned", "2 pods may use it", "it is being fetched"])
def test_what_somebody_keeps_stays_and_what_is_missing_then_is_said(kept: str) -> None:
    used = item("used", 90, size=4 * GIB, kept=kept)
    made = planned([used, OLD], free=GIB, max_bytes=3 * GIB, min_free=3 * GIB, older_than=DAY, unused=True)
    assert names(made) == [("old", Reason.OLDER_THAN)]
    assert (made.over, made.short) == (GIB, GIB)


def test_what_one_criterion_removes_the_others_count_as_gone() -> None:
    assert names(planned(ALL, older_than=30 * DAY, max_bytes=2 * GIB)) == [("old", Reason.OLDER_THAN)]
    assert names(planned(ALL, older_than=30 * DAY, max_bytes=GIB)) == [
        ("old", Reason.OLDER_THAN),
        ("middle", Reason.MAX_BYTES),
    ]
    both = planned(ALL, free=GIB, max_bytes=2 * GIB, min_free=3 * GIB)
    assert names(both) == [("old", Reason.MAX_BYTES), ("middle", Reason.MIN_FREE)]


def test_what_is_of_no_use_goes_whatever_is_asked_for_and_first() -> None:
    left = [
        item("attempt", 1.1, Kind.ATTEMPT),
        item("superseded", 0, Kind.SUPERSEDED),
        item("damaged", 7.1, Kind.DAMAGED),
        OLD,
    ]
    assert names(planned(left, older_than=30 * DAY)) == [
        ("attempt", Reason.ATTEMPT),
        ("damaged", Reason.DAMAGED),
        ("superseded", Reason.SUPERSEDED),
        ("old", Reason.OLDER_THAN),
    ]
    assert names(planned(left, free=0, min_free=3 * GIB))[3:] == []


def test_what_may_still_be_of_use_stays() -> None:
    left = [
        item("attempt", 0.9, Kind.ATTEMPT),
        item("running", 2, Kind.ATTEMPT, kept="it is being fetched"),
        item("superseded", 9, Kind.SUPERSEDED, kept="1 pod may use it"),
        item("damaged", 6.9, Kind.DAMAGED),
        item("mapped", 9, Kind.DAMAGED, kept="1 pod may use it"),
    ]
    assert names(planned(left, older_than=30 * DAY)) == []


def test_damaged_copies_go_before_entries_and_attempts_never_where_space_is_missing() -> None:
    left = [OLD, item("damaged", 2, Kind.DAMAGED), item("attempt", 0.5, Kind.ATTEMPT)]
    assert names(planned(left, max_bytes=2 * GIB)) == [("damaged", Reason.MAX_BYTES)]
    made = planned(left, max_bytes=0)
    assert names(made) == [("damaged", Reason.MAX_BYTES), ("old", Reason.MAX_BYTES)]
    assert made.over == GIB
    assert names(planned(left, unused=True)) == [("old", Reason.UNUSED), ("damaged", Reason.UNUSED)]
