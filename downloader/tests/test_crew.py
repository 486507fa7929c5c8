"""How many connections receive, how fast, and how patiently: told by a clock that the tests move."""

from __future__ import annotations

import random
import re
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.termination import TerminatedError
from llmkube_downloader.transfer import crew, pace, retry
from llmkube_downloader.transfer.client import wait_of
from llmkube_downloader.transfer.crew import Crew
from llmkube_downloader.transfer.pace import PIECE_BYTES, Pace
from llmkube_downloader.transfer.retry import BeginAgainError, Patience, Retries, TransientError, changed, interrupted
from llmkube_downloader.transfer.ring import Ring

if TYPE_CHECKING:
    from llmkube_downloader.transfer.receiver import Receiver

MEGABYTE = 1_000_000


class Clock:
    """A monotonic clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (crew, pace, retry):
        monkeypatch.setattr(module, "monotonic", clock)
    return clock


# How many connections.


class Member:
    """A receiver that does nothing."""

    def __init__(self, *, startable: bool = True) -> None:
        self.aborted = False
        self.retired = False
        self.received = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.ended.set)
        if not startable:
            self.thread.start()  # a second start fails as one does for want of threads

    def abort(self) -> None:
        self.aborted = True

    def retire(self) -> None:
        self.retired = True


class Team:
    """A crew with a clock, and a link that can carry so much."""

    def __init__(
        self,
        clock: Clock,
        limit: int,
        per_connection: float,
        altogether: float = float("inf"),
        connecting: float = 0,
    ) -> None:
        self.everybody: list[Member] = []
        self.connecting = connecting
        self.suited: list[int] = []
        self.startable = limit
        self.per_connection, self.altogether = per_connection, altogether
        self._clock = clock
        self._received = 0.0
        self.began: dict[Member, float] = {}
        self.crew = Crew(self._recruit, limit, self.suited.append)
        self.crew.start()

    def work(self, seconds: float) -> int:
        """Let time go by, in steps as the transfer looks at its crew, and return how many they are then."""
        for _ in range(round(seconds / 0.02)):
            self._clock.now += 0.02
            for member in self.everybody:
                member.received = int(self._clock.now - self.began[member] >= self.connecting)
            at_work = sum(bool(member.received) for member in self.members)
            self._received += 0.02 * min(at_work * self.per_connection, self.altogether)
            self.crew.adjust(int(self._received))
        return len(self.members)

    @property
    def members(self) -> list[Member]:
        return [member for member in self.everybody if not member.retired]

    def _recruit(self) -> Receiver:
        member = Member(startable=len(self.members) < self.startable)
        if len(self.members) < self.startable:
            self.everybody.append(member)
            self.began[member] = self._clock.now
        return cast("Receiver", member)


def test_a_crew_begins_with_four_and_is_doubled_while_that_helps(clock: Clock) -> None:
    team = Team(clock, 64, 10 * MEGABYTE, altogether=150 * MEGABYTE)
    assert len(team.members) == 4
    assert team.work(0.14) == 8
    assert team.work(0.14) == 16
    assert team.work(20) == 16
    assert team.suited == [4, 8, 16, 32, 16]


def test_a_crew_is_never_larger_than_allowed(clock: Clock) -> None:
    assert len(Team(clock, 3, 10 * MEGABYTE).members) == 3
    assert Team(clock, 9, 10 * MEGABYTE).work(60) == 9


def test_connections_that_do_not_help_end_and_it_is_tried_again_later(clock: Clock) -> None:
    team = Team(clock, 64, 10 * MEGABYTE, altogether=40 * MEGABYTE)
    assert team.work(0.14) == 8
    assert team.work(0.14) == 4
    assert team.work(29) == 4
    assert team.suited == [4, 8, 4]
    team.altogether = float("inf")
    assert team.work(4) == 64


def test_the_last_connection_that_did_not_help_ends_alone(clock: Clock) -> None:
    team = Team(clock, 9, 10 * MEGABYTE, altogether=80 * MEGABYTE)
    team.work(2)
    assert team.suited == [4, 8, 9, 8]


def test_new_connections_are_judged_once_they_receive(clock: Clock) -> None:
    team = Team(clock, 16, 10 * MEGABYTE, connecting=0.5)
    assert team.work(0.98) == 4
    assert team.work(0.1) == 8
    assert team.work(0.9) == 8
    assert team.work(0.2) == 16


def test_a_connection_that_never_receives_is_not_waited_for_for_ever(clock: Clock) -> None:
    team = Team(clock, 8, 10 * MEGABYTE)
    team.began[team.everybody[-1]] = float("inf")
    assert team.work(4) == 4
    assert team.work(7) == 8


def test_where_one_connection_is_as_fast_as_the_processor_there_are_not_more(clock: Clock) -> None:
    assert Team(clock, 64, 200 * MEGABYTE).work(20) == 4


def test_a_crew_does_not_grow_while_nothing_arrives(clock: Clock) -> None:
    team = Team(clock, 64, 0)
    assert team.work(20) == 4
    team.per_connection = 10 * MEGABYTE
    assert team.work(0.5) > 4


def test_a_container_without_more_threads_makes_do_with_those_it_has(clock: Clock) -> None:
    team = Team(clock, 64, 10 * MEGABYTE)
    team.startable = 6
    assert team.work(20) == 6
    with pytest.raises(RuntimeError):
        Crew(lambda: cast(Any, Member(startable=False)), 4, print).start()


def test_the_end_of_a_crew_wakes_up_all_members(clock: Clock) -> None:
    team = Team(clock, 8, 10 * MEGABYTE)
    team.altogether = 40 * MEGABYTE
    team.work(1)
    assert len(team.members) < len(team.everybody)
    team.crew.end(60)
    assert all(member.aborted for member in team.everybody)


def test_whoever_is_told_to_end_while_a_crew_grows_waits_for_the_connection_that_is_just_beginning() -> None:
    aborted = threading.Event()

    class Newcomer(Member):
        def __init__(self) -> None:
            super().__init__()
            self.thread = threading.Thread(target=self._work)
            self._begin = self.thread.start
            self.thread.start = self._begin_and_be_told_to_end  # type: ignore[method-assign]

        def abort(self) -> None:
            aborted.set()

        def _begin_and_be_told_to_end(self) -> None:
            self._begin()
            raise TerminatedError

        def _work(self) -> None:
            aborted.wait(60)
            self.ended.set()

    newcomer = Newcomer()
    crew = Crew(lambda: cast(Any, newcomer), 4, print)
    with pytest.raises(TerminatedError):
        crew.start()
    crew.end(60)
    assert aborted.is_set()
    assert newcomer.ended.is_set()


# How fast.


@pytest.fixture
def rests(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long connections were made to wait, which moves the clock."""
    rested: list[float] = []

    def rest(_: Ring, seconds: float) -> None:
        rested.append(seconds)
        clock.now += max(0.0, seconds)

    monkeypatch.setattr(Ring, "rest", rest)
    return rested


@pytest.mark.parametrize("rate", [1000, 50 * MEGABYTE])
def test_a_cap_is_kept_by_all_connections_together(clock: Clock, rests: list[float], rate: int) -> None:
    began, together = clock.now, Pace(rate, Ring(4096, 1))
    for _ in range(100):
        piece = together.piece(memoryview(bytes(10 * PIECE_BYTES)))
        assert len(piece) == PIECE_BYTES
        together.spend(len(piece))
    assert clock.now - began == pytest.approx(100 * PIECE_BYTES / rate)
    assert len(rests) == 100


def test_a_pause_of_the_origin_is_not_made_up_for(clock: Clock, rests: list[float]) -> None:
    together = Pace(1000, Ring(4096, 1))
    together.spend(1000)
    clock.now += 3600
    together.spend(1000)
    assert rests == [1, 1]


@pytest.mark.parametrize("rate", [None, 0])
def test_without_a_cap_nobody_waits(rests: list[float], rate: int | None) -> None:
    together = Pace(rate, Ring(4096, 1))
    assert len(together.piece(memoryview(bytes(10 * PIECE_BYTES)))) == 10 * PIECE_BYTES
    together.spend(10**12)
    assert rests == []


# How patiently.


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def patience(clock: Clock, told: list[str], monkeypatch: pytest.MonkeyPatch) -> Patience:
    monkeypatch.setattr(random, "uniform", lambda low, _: low)
    return Patience(Retries(told.append))


def limited(seconds: float | None) -> TransientError:
    return TransientError(ExitCode.RATE_LIMITED, "429", "wait", seconds)


def test_waits_are_doubled_until_there_was_no_progress_for_too_many_tries(
    patience: Patience, clock: Clock, told: list[str]
) -> None:
    failure = interrupted("broken")
    for wait in (1, 2, 4, 8):
        began = clock.now
        clock.now += 0.5
        assert patience.wait_after(failure, began) == wait
        clock.now += wait
    with pytest.raises(TransientError) as raised:
        patience.wait_after(failure, clock.now)
    assert raised.value is failure
    assert told[0] == "broken; trying again in 1s (1 of 5)"
    assert len(told) == 4


def test_a_long_wait_says_when_it_ends_because_logs_are_read_later(patience: Patience, told: list[str]) -> None:
    patience.wait_after(limited(90), 0)
    (line,) = told
    assert re.fullmatch(r"429; trying again in 1m30s, at \d\d:\d\d:\d\d UTC \(1 of 5\)", line)


def test_connections_that_break_together_are_one_failure(patience: Patience, clock: Clock, told: list[str]) -> None:
    began = clock.now
    clock.now += 10
    assert patience.wait_after(interrupted("broken"), began) == 1
    clock.now += 0.25
    for _ in range(15):
        assert patience.wait_after(interrupted("broken"), began) == 0.75
    clock.now += 5
    assert patience.wait_after(interrupted("broken"), began) == 0
    assert len(told) == 1


def test_bytes_that_arrive_give_all_tries_back(patience: Patience, clock: Clock) -> None:
    for _ in range(20):
        clock.now += 1
        assert patience.wait_after(interrupted("broken"), clock.now - 0.5) == 1
        for _ in range(4):
            patience.progressed(16 * 1024)


def test_a_few_bytes_are_no_progress(patience: Patience, clock: Clock) -> None:
    for wait in (1, 2, 4, 8):
        clock.now += 1
        assert patience.wait_after(interrupted("broken"), clock.now - 0.5) == wait
        patience.progressed(64 * 1024 - 1)


def test_an_origin_that_asks_for_a_pause_gets_it_from_all_connections(patience: Patience, clock: Clock) -> None:
    assert patience.wait_before() == 0
    began = clock.now
    clock.now += 1
    assert patience.wait_after(limited(60), began) == 60
    clock.now += 20
    assert patience.wait_before() == 40
    clock.now += 40
    assert patience.wait_before() == 0


def test_a_broken_connection_does_not_stop_the_others(patience: Patience, clock: Clock) -> None:
    patience.wait_after(interrupted("broken"), clock.now)
    assert patience.wait_before() == 0


def test_an_origin_that_asks_for_too_long_a_pause_is_given_up(patience: Patience, clock: Clock) -> None:
    with pytest.raises(TransientError):
        patience.wait_after(limited(331), clock.now)


def test_beginning_again_has_an_end_too(told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(retry, "sleep", slept.append)
    retries = Retries(told.append, attempts=2)
    retries.rest(1, changed("changed"))
    with pytest.raises(BeginAgainError):
        retries.rest(2, changed("changed"))
    assert len(slept) == 1


def test_a_failure_that_does_not_pass_is_not_tried_again(told: list[str]) -> None:
    def fail() -> None:
        raise DownloaderError(ExitCode.NOT_FOUND, "no", "no")

    with pytest.raises(DownloaderError):
        Retries(told.append).run(fail)
    assert told == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ('"api";r=0;t=55', 55),
        ('"api";r=499;t=280', None),  # a server error while there is room: waiting would not help
        ('"api";r=10;t=280', None),
        ("r=0", None),
        ("t=7", None),
        ("", None),
        (None, None),
    ],
)
def test_a_rate_limit_is_waited_for_when_it_is_reached(header: str | None, seconds: float | None) -> None:
    assert wait_of(None, header) == seconds
    assert wait_of("3", header) == 3
