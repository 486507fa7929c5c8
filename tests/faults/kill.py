"""Kills fetches and lets others finish them.

`python -m faults.kill DIRECTORY MOMENTS SOURCE FILE-SYSTEM`, with the moments

- `first`: kills a small fetch at the entry of its first system call, another one at that of its second, and so on until
  one comes to its end;
- `second`: the same for fetches that go on with what a killed one left;
- `random`: kills fetches of 256 MiB at random times, most of them several times before they may finish.

With `--all`, every system call counts, and not only those that change something; syscalls.py says why these suffice.
It runs as a Worker and answers with a Tally.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from faults.bench import Bench
from faults.changes import grow_impatient
from faults.place import FILE_SYSTEMS, answer, kill, reap
from faults.served import SOURCES, WEIGHTS
from faults.spans import common, covered, lost
from faults.syscalls import CHANGING, Traced, stop_at
from faults.tree import journaled

if TYPE_CHECKING:
    from faults.spans import Span

KILLED = -9
SMALL = 1_400_000
LARGE = 256 * 2**20
# Bytes per second, less than what a fetch on a busy machine takes: then what was sent has been received.
_RATE = 60 * 2**20
_MOST_KILLS = 16


@dataclass
class Tally:
    """What came of killing.

    - kills: fetches that were killed.
    - finished: fetches that were allowed to finish afterwards.
    - wrong: what was wrong with entries that were visible, at any time.
    - unfinished: what was wrong with fetches that were allowed to finish.
    - left: what lay beside the entry after the finish, by moment.
    - kept: bytes that journals had, for each kill.
    - lost: bytes that were sent again, for each kill.
    - forgotten: bytes that were sent again although a journal had them when their fetch was killed, by moment.
    """

    kills: int = 0
    finished: int = 0
    wrong: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    left: dict[str, list[str]] = field(default_factory=dict)
    kept: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    forgotten: dict[str, int] = field(default_factory=dict)


class Story:
    """One cache whose fetches are killed, but for the last."""

    def __init__(self, bench: Bench, tally: Tally, begun: Path | None = None) -> None:
        """Begin with a cache that is not there yet, or with a copy of one."""
        self.root = bench.new_root()
        self._bench = bench
        self._tally = tally
        self._sent: list[list[Span]] = []
        self._kept: list[list[Span]] = []
        if begun:
            shutil.copytree(begun, self.root)
            self._look()

    def killed(self) -> None:
        """Take note of a kill and of what it left."""
        self._tally.kills += 1
        self._tally.wrong += self._bench.wrong(self.root)
        self._look()
        self._tally.kept.append(covered(self._kept[-1]))

    def finish(self, moment: str) -> None:
        """Let another fetch finish, and reckon what was sent again; `moment` is for people."""
        problem = self._bench.finish(self.root, before=grow_impatient)
        self._tally.unfinished += [f"{moment}: {problem}"] if problem else []
        self._tally.finished += not problem
        self._look()
        self._tally.lost += lost(self._sent)[:-1]
        forgotten = sum(
            common(kept, [span for spans in self._sent[number + 1 :] for span in spans])
            for number, kept in enumerate(self._kept)
        )
        if forgotten:
            self._tally.forgotten[moment] = forgotten
        left = self._bench.clear(self.root)
        if left:
            self._tally.left[moment] = left

    def _look(self) -> None:
        self._sent.append(self._bench.model.origin.settle())
        self._kept.append(journaled(self.root, WEIGHTS))


def at_every_call(bench: Bench, calls: tuple[str, ...] | None, begun: Path | None) -> Tally:
    """Kill a fetch at its first call of these names, another at its second ...; all begin with a copy of `begun`."""
    tally = Tally()
    while True:
        story, number = Story(bench, tally, begun), tally.kills + 1
        code, _ = _kill_at(bench, story.root, number, calls)
        if code != KILLED:
            tally.unfinished += [f"not killed and yet exit code {code}"] if code else []
            return tally
        story.killed()
        story.finish(f"call {number}")


def at_random_times(bench: Bench, kills: int, seed: int) -> Tally:
    """Kill fetches until there were so many kills."""
    tally, chance = Tally(), random.Random(seed)  # noqa: S311 - it is no secret
    began = time.monotonic()
    Story(bench, tally).finish("no kill")
    whole = time.monotonic() - began
    while tally.kills < kills:
        story, span, before = Story(bench, tally), whole * chance.choice((0.5, 0.15, 0.1)), tally.kills
        while tally.kills < before + _MOST_KILLS and _kill_within(bench, story.root, chance.uniform(0, span)):
            story.killed()
        story.finish(f"{tally.kills - before} kills")
    return tally


def half_done(bench: Bench) -> Path:
    """Return a cache whose fetch was killed when it had received about two thirds."""
    root = bench.new_root()
    bench.model.origin.hold_after(bench.model.files[WEIGHTS].size * 2 // 3)
    pid = bench.fetch(root)
    bench.model.origin.await_held()
    kill(pid)
    bench.model.origin.go_on()
    bench.model.origin.settle()
    return root


def _kill_at(bench: Bench, root: Path, number: int, calls: tuple[str, ...] | None) -> tuple[int, int]:
    reader, writer = os.pipe()

    def wait_for_tracer() -> None:
        os.read(reader, 1)
        stop_at(calls)

    pid = bench.fetch(root, before=wait_for_tracer)
    try:
        return Traced(pid, writer).kill_at(number)
    finally:
        os.close(reader)
        os.close(writer)


def _kill_within(bench: Bench, root: Path, seconds: float) -> bool:
    """Kill a fetch after some time, and return whether it was still at work."""
    pid = bench.fetch(root)
    watch = os.pidfd_open(pid)
    try:
        ended, _, _ = select.select([watch], [], [], seconds)
        return (reap(pid) if ended else kill(pid)) == KILLED
    finally:
        os.close(watch)


def main() -> None:
    """Kill at the moments asked for, and answer with the Tally."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("moments", choices=("first", "second", "random"))
    parser.add_argument("source", choices=SOURCES)
    parser.add_argument("file_system", choices=FILE_SYSTEMS)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    size, rate = (LARGE, _RATE) if flags.moments == "random" else (SMALL, 2**30)
    with Bench(flags.source, flags.file_system, flags.directory, size, rate) as bench:
        if flags.moments == "random":
            tally = at_random_times(bench, flags.kills, flags.seed)
        else:
            begun = half_done(bench) if flags.moments == "second" else None
            tally = at_every_call(bench, None if flags.all else CHANGING, begun)
    answer(asdict(tally))


if __name__ == "__main__":
    main()
