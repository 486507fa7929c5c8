from __future__ import annotations

from datetime import datetime, timedelta, timezone

import click
import pytest

from llmkube_plugin import units

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0B"), (1023, "1023B"), (1024, "1.0Ki"), (4_402_341_478, "4.1Gi"), (800 << 30, "800Gi")],
)
def test_sizes_are_short(count: int | None, text: str) -> None:
    assert units.size(count) == text


@pytest.mark.parametrize(
    ("text", "count"),
    [("20Gi", 20 << 30), ("1.5Ki", 1536), ("500M", 500_000_000), ("7", 7), ("100m", None), ("", None), (None, None)],
)
def test_quantities_are_read_as_kubernetes_writes_them(text: str | None, count: int | None) -> None:
    assert units.quantity(text) == count


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (60, "1m"), (7200, "2h"), (90_000, "1d"), (-5, "0s")]
)
def test_ages_use_the_largest_unit(seconds: int, text: str) -> None:
    assert units.age(NOW - timedelta(seconds=seconds), NOW) == text


def test_an_unknown_time_has_no_age() -> None:
    assert units.age(units.moment("yesterday"), NOW) == "-"
    assert units.moment("2026-01-02T03:04:05Z") == NOW


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("12h", 43200), ("30d", 2_592_000)])
def test_durations_are_read(text: str, seconds: float) -> None:
    assert units.Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "5", "5 m", "m", "1.5h", "-5s"])
def test_what_is_no_duration_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 90s, 5m, 12h or 30d"):
        units.Duration().convert(text, None, None)
