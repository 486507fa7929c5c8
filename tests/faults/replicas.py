"""Starts the same fetch several times at once, takes its locks away, kills and freezes the one that works for all.

`python -m faults.replicas DIRECTORY SCENARIO SOURCE FILE-SYSTEM --rounds N`, with the scenarios

- `working`: 2, 8 or 16 start together;
- `leaseless`: the same, where everybody gets the build lease;
- `lockless`: the same, where every lock of the file system is granted to everybody as well;
- `killed`: the one that fetches is killed in the middle, while others wait;
- `silent`: the same, where nothing proves its death, as on a network file system;
- `frozen`: it is stopped at a random time, and continued at another one, while or after others took over.

It runs as a Worker and answers with a list of Rounds.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from faults.bench import Bench
from faults.changes import STALE_SECONDS, grant_everything, grant_leases, grow_impatient, prove_nothing
from faults.place import FILE_SYSTEMS, answer, reap
from faults.served import SOURCES, WEIGHTS
from faults.spans import covered, repeated
from faults.tree import journaled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faults.spans import Span

NOT_WHOLE = 99
_COUNTS = (2, 8, 16)
_WAITERS = 2
_LOOK_SECONDS = 0.02
# Larger than what is written past the page cache, and no multiple of what that writes.
_LARGE = 33 * 2**20 + 5
_RATE = 2**31
# Bytes per second at which being frozen, being taken over and going on take about as long as each other.
_SLOW = 40 * 2**20
_SMALL = 4 * 2**20 + 5


@dataclass
class Round:
    """What came of one round.

    - codes: the exit codes; NOT_WHOLE in place of 0 where the entry was not whole at that moment.
    - sent: bytes that origin and hub sent, as a multiple of what the model has.
    - wrong: what was wrong with entries that were visible, at any time.
    - left: what lay beside the entry after another fetch had looked at it.
    - takeover: seconds from the end of the first one until all others were done.
    - kept: bytes that a journal had when somebody was killed.
    - forgotten: those of them that were sent again.
    """

    codes: list[int]
    sent: float
    wrong: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    takeover: float = 0.0
    kept: int = 0
    forgotten: int = 0


class Group:
    """Fetches into one cache."""

    def __init__(self, bench: Bench) -> None:
        self.root = bench.new_root()
        self.bench = bench
        self._wrong: set[str] = set()
        self._codes: list[int] = []
        self._running: dict[int, int] = {}

    def start(self, before: Callable[[], None] = lambda: None) -> int:
        """Start one more, which first calls `before`, and return its process id."""
        pid = self.bench.fetch(self.root, before=before, after=self._judge)
        self._running[os.pidfd_open(pid)] = pid
        return pid

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to one that has not ended yet."""
        if pid in self._running.values():
            os.kill(pid, number)

    def await_waiting(self, count: int) -> None:
        """Return when so many have said that they wait for another one."""
        while self.bench.log(self.root).read_text().count("fetches the same") < count:
            self._look()

    def watch(self, seconds: float) -> None:
        """Look at the cache for so long, or until all have ended."""
        end = time.monotonic() + seconds
        while self._running and time.monotonic() < end:
            self._look()

    def finish(self, kept: Sequence[Span] = (), began: float | None = None) -> Round:
        """Watch the cache until all have ended, and say how it went.

        - kept: what a journal had of the weights when somebody was killed, at `began`.
        """
        self.watch(float("inf"))
        takeover = 0.0 if began is None else time.monotonic() - began
        sent = self.bench.model.origin.settle()
        count = sum(end - start for start, end in sent) + self.bench.model.sent_by_hub()
        problem = self.bench.finish(self.root)
        return Round(
            codes=sorted(self._codes),
            sent=count / self.bench.model.size,
            wrong=sorted(self._wrong | ({problem} if problem else set())),
            left=self.bench.clear(self.root),
            takeover=takeover,
            kept=covered(kept),
            forgotten=repeated(sent, kept),
        )

    def _look(self) -> None:
        self._wrong |= set(self.bench.wrong(self.root))
        ended, _, _ = select.select([*self._running], [], [], _LOOK_SECONDS)
        for watch in ended:
            self._codes.append(reap(self._running.pop(watch)))
            os.close(watch)

    def _judge(self, code: int) -> int:
        """Look at the entry in the moment that a fetch says it is there."""
        return NOT_WHOLE if code == 0 and self.bench.problem(self.root) else code


def together(bench: Bench, chance: random.Random, before: Callable[[], None] = lambda: None) -> Round:
    """Start several fetches at the same moment."""
    group, (reader, writer) = Group(bench), os.pipe()

    def at_the_gate() -> None:
        before()
        os.close(writer)
        os.read(reader, 1)

    for _ in range(chance.choice(_COUNTS)):
        group.start(at_the_gate)
    for end in (reader, writer):
        os.close(end)
    return group.finish()


def without_leases(bench: Bench, chance: random.Random) -> Round:
    """The same, where the build lease keeps nobody out."""
    return together(bench, chance, grant_leases)


def without_locks(bench: Bench, chance: random.Random) -> Round:
    """The same, where no lock of any kind keeps anybody out."""
    return together(bench, chance, grant_everything)


def killed(bench: Bench, chance: random.Random, before: Callable[[], None] = lambda: None) -> Round:
    """Kill the one that fetches, after a random part of the bytes."""
    group = Group(bench)
    bench.model.origin.hold_after(chance.randrange(bench.model.files[WEIGHTS].size))
    holder = group.start(before)
    bench.model.origin.await_held()
    for _ in range(_WAITERS):
        group.start(before)
    group.await_waiting(_WAITERS)
    kept = journaled(group.root, WEIGHTS)
    group.signal(holder, signal.SIGKILL)
    began = time.monotonic()
    bench.model.origin.go_on()
    return group.finish(kept, began)


def killed_in_silence(bench: Bench, chance: random.Random) -> Round:
    """The same, where nobody can see that it is dead."""
    return killed(bench, chance, prove_nothing)


def frozen(bench: Bench, chance: random.Random) -> Round:
    """Stop the one that fetches, and let it go on while others do its work or after they have."""
    group = Group(bench)
    holder = group.start(grow_impatient)
    group.watch(chance.uniform(0, 1.5 * bench.model.files[WEIGHTS].size / _SLOW))
    group.signal(holder, signal.SIGSTOP)
    for _ in range(_WAITERS):
        group.start(grow_impatient)
    group.watch(chance.uniform(0.5, 3) * STALE_SECONDS)
    group.signal(holder, signal.SIGCONT)
    return group.finish()


@dataclass(frozen=True)
class _Scenario:
    play: Callable[[Bench, random.Random], Round]
    size: int
    rate: int


_SCENARIOS = {
    "working": _Scenario(together, _SMALL, _RATE),
    "leaseless": _Scenario(without_leases, _LARGE, _RATE),
    "lockless": _Scenario(without_locks, _LARGE, _RATE),
    "killed": _Scenario(killed, _LARGE, _RATE),
    "silent": _Scenario(killed_in_silence, _LARGE, _RATE),
    "frozen": _Scenario(frozen, _LARGE, _SLOW),
}


def main() -> None:
    """Play the rounds of a scenario, and answer with what came of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("scenario", choices=_SCENARIOS)
    parser.add_argument("source", choices=SOURCES)
    parser.add_argument("file_system", choices=FILE_SYSTEMS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    scenario, chance = _SCENARIOS[flags.scenario], random.Random(flags.seed)  # noqa: S311 - it is no secret
    with Bench(flags.source, flags.file_system, flags.directory, scenario.size, scenario.rate) as bench:
        rounds = [scenario.play(bench, chance) for _ in range(flags.rounds)]
    answer([asdict(each) for each in rounds])


if __name__ == "__main__":
    main()
