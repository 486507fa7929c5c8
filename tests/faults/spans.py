"""Arithmetic on ranges of bytes, each a start and the end behind it; they may overlap and come in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Span = tuple[int, int]


def covered(spans: Iterable[Span]) -> int:
    """Return how many different bytes the ranges have."""
    total = reached = 0
    for start, end in sorted(spans):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def common(first: Sequence[Span], second: Sequence[Span]) -> int:
    """Return how many different bytes are in both."""
    return covered(first) + covered(second) - covered([*first, *second])


def lost(runs: Sequence[Sequence[Span]]) -> list[int]:
    """Return for each run how many of the bytes that it was sent were for nothing: sent twice in it, or later again.

    - runs: the ranges that each was sent, in the order of time.
    """
    later: list[Span] = []
    counts = []
    for spans in reversed(runs):
        sent = sum(end - start for start, end in spans)
        counts.append(sent - covered([*spans, *later]) + covered(later))
        later += spans
    return counts[::-1]


def repeated(sent: Sequence[Span], within: Sequence[Span]) -> int:
    """Return how many bytes of `within` were sent again after they had been sent once."""
    return sum(common([span], within) for span in sent) - common(sent, within)
