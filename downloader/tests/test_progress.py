"""What people see while they wait."""

from __future__ import annotations

import io
from typing import Any

import pytest
import yaml
from repository import CONTRACT

from llmkube_downloader.transfer import progress
from llmkube_downloader.transfer.progress import Meter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, as the only element."""
    now = [100.0]
    monkeypatch.setattr("llmkube_downloader.transfer.progress.monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_at_once_and_later_one_every_few_seconds(clock: list[float]) -> None:
    stream = io.StringIO()
    meter = Meter(stream)
    meter.begin(100 * 1024**2, 0)
    for _ in range(50):
        clock[0] += 1
        meter.advance(1024**2)
    lines = stream.getvalue().splitlines()
    assert lines[:2] == [
        "1.0 MiB of 100.0 MiB (1%), 1.0 MiB/s, 1m39s left",
        "2.0 MiB of 100.0 MiB (2%), 1.0 MiB/s, 1m38s left",
    ]
    assert lines[-2:] == [
        "44.0 MiB of 100.0 MiB (44%), 1.0 MiB/s, 56s left",
        "49.0 MiB of 100.0 MiB (49%), 1.0 MiB/s, 51s left",
    ]


def test_the_time_left_is_that_of_the_present_rate(clock: list[float]) -> None:
    stream = io.StringIO()
    meter = Meter(stream)
    meter.begin(1000 * 1024, 0)
    for count in (1024, *[0] * 100, *[2048] * 40):
        clock[0] += 1
        meter.advance(count)
    lines = stream.getvalue().splitlines()
    assert "1.0 KiB of 1000.0 KiB (0%), 0 B/s" in lines  # for ever, if it stays so
    assert lines[-1].endswith(" of 1000.0 KiB (8%), 2.0 KiB/s, 7m42s left")


@pytest.mark.parametrize(
    "case", yaml.safe_load((CONTRACT / "progress.yaml").read_text()), ids=lambda case: case["line"]
)
def test_lines_have_the_form_that_the_contract_shows(clock: list[float], case: dict[str, Any]) -> None:
    stream, state = io.StringIO(), case["state"]
    meter = Meter(stream)
    meter.begin(state["total"], state["reused"])
    if "reason" in state:
        meter.delay(state["reason"])
    for _ in range(state["seconds"]):
        clock[0] += 1
        meter.advance(state["received"] // state["seconds"])
    assert stream.getvalue().splitlines()[-1] == case["line"]


def test_a_terminal_gets_a_bar_that_messages_do_not_break(clock: list[float]) -> None:
    stream = Terminal()
    meter = Meter(stream)
    meter.begin(1000, 0)
    clock[0] += 1
    meter.advance(500)
    meter.say("a message")
    meter.end()
    bar, message = stream.getvalue().split("\r")[0], stream.getvalue().split("\r")[-1]
    assert bar == "[############............] 500 B of 1000 B (50%), 500 B/s, 1s left"
    assert message == "a message\n"


def test_without_a_total_the_bytes_are_shown(clock: list[float]) -> None:
    stream = io.StringIO()
    meter = Meter(stream)
    meter.begin(None, 0)
    clock[0] += 5
    meter.advance(5000)
    assert stream.getvalue() == "4.9 KiB, 1000 B/s\n"


def test_bytes_of_an_earlier_attempt_count_as_done_but_not_as_received() -> None:
    meter = Meter(io.StringIO())
    meter.begin(100, 60)
    meter.advance(30)
    assert meter.progress() == (90, 100)
    assert (meter.received, meter.reused) == (30, 60)


def test_while_nothing_arrives_every_line_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    meter = Meter(stream)
    meter.begin(200, 0)
    meter.advance(100)
    meter.delay("h.example answered 429, asking to wait 60 s; trying again in 60s (1 of 5)")
    clock[0] = 10
    meter.tick()
    assert stream.getvalue().splitlines()[-1] == (
        "100 B of 200 B (50%); h.example answered 429, asking to wait 60 s; trying again in 60s (1 of 5)"
    )
    clock[0] = 20
    meter.advance(50)
    assert stream.getvalue().splitlines()[-1].startswith("150 B of 200 B (75%), ")
