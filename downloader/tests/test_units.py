"""Sizes and durations are read as people write them."""

from __future__ import annotations

import pytest

from llmkube_downloader.units import human_duration, human_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("1048576", 1048576), ("5Gi", 5 * 1024**3), ("500M", 500_000_000), ("1.5Ki", 1536), ("2GB", 2_000_000_000)],
)
def test_sizes_have_binary_and_decimal_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("12h", 43200), ("30d", 2592000), ("7", 7)])
def test_durations_have_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "five", "5 parsecs", "-1", "1e9"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        parse_size(text)
    with pytest.raises(ValueError, match="write"):
        parse_duration(text)


def test_people_read_sizes_and_durations_with_units() -> None:
    assert [human_size(size) for size in (0, 1023, 1536, 5 * 1024**3, 3 * 1024**4)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "5.0 GiB",
        "3.0 TiB",
    ]
    assert [human_duration(seconds) for seconds in (4, 185, 7440)] == ["4s", "3m05s", "2h04m"]
