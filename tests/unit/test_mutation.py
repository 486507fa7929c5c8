"""The mutation score: what the tests did not notice lowers it, whatever the reason."""

from __future__ import annotations

import pytest

from tools.mutation import LEAST_PERCENT, score, verdict

NONE = dict.fromkeys(
    ("killed", "survived", "no_tests", "skipped", "suspicious", "timeout", "segfault", "check_was_interrupted_by_user"),
    0,
)


def counts(total: int, **others: int) -> dict[str, int]:
    return {**NONE, "total": total, **others}


def test_a_mutant_that_fails_a_test_or_does_not_end_was_noticed() -> None:
    assert score(counts(10, killed=7, timeout=2, survived=1)) == 90.0


@pytest.mark.parametrize("outcome", ["survived", "no_tests", "suspicious", "segfault", "check_was_interrupted_by_user"])
def test_every_other_mutant_was_not(outcome: str) -> None:
    assert score(counts(10, killed=9, **{outcome: 1})) == 90.0


def test_neither_was_one_that_was_not_tried() -> None:
    assert score(counts(10, killed=9)) == 90.0


def test_a_mutant_that_was_left_out_counts_neither_way() -> None:
    assert score(counts(10, killed=9, skipped=1)) == 100.0


def test_without_mutants_nothing_was_proven() -> None:
    assert score(counts(0)) == 0.0


def test_a_score_that_is_too_low_fails_and_says_so() -> None:
    enough = int(10 * LEAST_PERCENT)
    assert verdict(counts(1000, killed=enough, survived=1000 - enough)) == (
        "mutation score 85.0 % (killed 850, survived 150, total 1000)",
        0,
    )
    said, status = verdict(counts(1000, killed=enough - 1, survived=1001 - enough))
    assert status == 1
    assert said == "mutation score 84.9 % (killed 849, survived 151, total 1000): less than 85 %"
