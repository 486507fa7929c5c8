"""What people see while they wait."""

from __future__ import annotations

import io

import pytest

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


def test_a_log_gets_a_line_every_few_seconds(clock: list[float]) -> None:
    stream = io.StringIO()
    meter = Meter(stream)
    meter.begin(100 * 1024**2, 0)
    for _ in range(12):
        clock[0] += 1
        meter.advance(1024**2)
    assert stream.getvalue().splitlines() == [
        "5.0 MiB of 100.0 MiB (5%), 1.0 MiB/s, 1m35s left",
        "10.0 MiB of 100.0 MiB (10%), 1.0 MiB/s, 1m30s left",
    ]


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
