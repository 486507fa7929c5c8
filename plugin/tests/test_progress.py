"""What the plugin reads from the lines of a downloader."""

from __future__ import annotations

from typing import Any

import pytest
import releases
import yaml

from llmkube_plugin.progress import in_short, parse

CASES = yaml.safe_load((releases.REPOSITORY / "tests" / "contract" / "progress.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["line"])
def test_the_lines_of_the_contract_are_understood(case: dict[str, Any]) -> None:
    progress, means = parse(case["line"]), case["means"]

    assert progress is not None
    reason = in_short(means.pop("reason") or "")
    assert vars(progress) == {**means, "reason": reason}


@pytest.mark.parametrize("line", ["", "/models/a6372a71da5d60b2", "fetching hf://a/b: 5.0 MiB of 2 files", "{}"])
def test_other_lines_are_no_progress(line: str) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    ("message", "short"),
    [
        (
            "hub answered 429, asking to wait 60 s; trying again in 1m00s, at 10:15:30 UTC (1 of 5)",
            "rate limited until 10:15:30 UTC",
        ),
        ("hub broke off; trying again in 2s (1 of 5)", "hub broke off; trying again"),
        ("hub broke off; trying again in 12s, at 10:15:30 UTC (4 of 5)", "hub broke off; trying again at 10:15:30 UTC"),
        (
            "web-1 (40 % done) fetches the same; waiting since 3s",
            "waiting for web-1 (40 % done), which downloads the same",
        ),
        ("anything else", "anything else"),
    ],
)
def test_why_nothing_arrives_is_told_in_short(message: str, short: str) -> None:
    assert in_short(message) == short


def test_the_share_is_known_with_the_whole() -> None:
    known, unknown = parse("50 B of 200 B (25%), 10 B/s"), parse("50 B, 10 B/s")

    assert known is not None
    assert unknown is not None
    assert (known.share, unknown.share) == (0.25, None)
