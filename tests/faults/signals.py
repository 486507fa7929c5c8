"""Asks fetches to end that are process 1 of a container, at random times, and lets others finish them.

`python -m faults.signals DIRECTORY SOURCE FILE-SYSTEM --ends N`. It runs as a Worker and answers with a list of Ends.

The kernel keeps a signal from process 1 until the process has said what it does about it. So the random times begin
then: before, a container can not be asked to end.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faults.bench import Bench
from faults.place import FILE_SYSTEMS, answer, descendants
from faults.served import SOURCES, WEIGHTS
from faults.spans import common, covered
from faults.tree import journaled, leftovers

if TYPE_CHECKING:
    from typing import BinaryIO

NOT_WHOLE = 99
_SIZE = 64 * 2**20 + 5
_RATE = 64 * 2**20
_AS_PROCESS_1 = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--")


@dataclass
class End:
    """What came of asking one fetch to end.

    - after: seconds since it can be asked.
    - code: its exit code; 0 where it was faster, NOT_WHOLE in place of 0 where there was no whole entry all the same.
    - seconds: how long it took to end.
    - lease: whether it left the build lease behind.
    - kept: bytes that the journal had.
    - lost: bytes that the next fetch was sent again.
    - forgotten: those of them that the journal had.
    - problem: what was wrong with the next fetch.
    - left: what lay beside the entry then.
    """

    after: float
    code: int
    seconds: float
    lease: bool
    kept: int
    lost: int
    forgotten: int
    problem: str
    left: list[str]


class Container:
    """A fetch that is process 1 of its namespace. `begun` is when it could first be asked to end."""

    def __init__(self, bench: Bench, root: Path, log: BinaryIO) -> None:
        command = [*_AS_PROCESS_1, sys.executable, "-m", "llmkube_downloader", *bench.arguments(root)]
        self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._init = self._await_init()
        self._watch = os.pidfd_open(self._init)
        self._await_handler()
        self.begun = time.monotonic()

    def ends_within(self, seconds: float) -> bool:
        """Wait so long, or until it has ended, and return whether it has."""
        return bool(select.select([self._watch], [], [], seconds)[0])

    def ask_to_end(self) -> None:
        """Send what the kubelet sends."""
        os.kill(self._init, signal.SIGTERM)

    def reap(self) -> int:
        """Wait for its end and return its exit code."""
        os.close(self._watch)
        return self._process.wait()

    def _await_init(self) -> int:
        while not (found := descendants(self._process.pid)):
            time.sleep(0.001)
        return found[0]

    def _await_handler(self) -> None:
        while not (self.ends_within(0.001) or self._handles(signal.SIGTERM)):
            pass

    def _handles(self, number: int) -> bool:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{self._init}/status").read_text().splitlines())
        return bool(int(status.get("SigCgt", "0"), 16) >> (number - 1) & 1)


def run_whole(bench: Bench) -> float:
    """Return the seconds in which a fetch can be asked to end."""
    root = bench.new_root()
    with bench.log(root).open("wb") as log:
        container = Container(bench, root, log)
        container.ends_within(600)
        seconds = time.monotonic() - container.begun
        container.reap()
    bench.clear(root)
    bench.model.origin.settle()
    return seconds


def end_one(bench: Bench, after: float) -> End:
    """Ask a fetch to end after so many seconds, and let another one finish."""
    root = bench.new_root()
    with bench.log(root).open("wb") as log:
        container = Container(bench, root, log)
        if not container.ends_within(after):
            container.ask_to_end()
        asked = time.monotonic()
        container.ends_within(60)
        seconds = time.monotonic() - asked
        code = container.reap()
    if code == 0 and bench.problem(root):
        code = NOT_WHOLE
    before, kept, lease = bench.model.origin.settle(), journaled(root, WEIGHTS), _has_lease(root)
    problem = bench.finish(root)
    later = bench.model.origin.settle()
    return End(
        after=after,
        code=code,
        seconds=seconds,
        lease=lease,
        kept=covered(kept),
        lost=common(before, later),
        forgotten=common(kept, later),
        problem=problem,
        left=bench.clear(root),
    )


def _has_lease(root: Path) -> bool:
    return root.is_dir() and any("/leases/" in path for path in leftovers(root))


def main() -> None:
    """End some fetches, and answer with what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("source", choices=SOURCES)
    parser.add_argument("file_system", choices=FILE_SYSTEMS)
    parser.add_argument("--ends", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    chance = random.Random(flags.seed)  # noqa: S311 - it is no secret
    with Bench(flags.source, flags.file_system, flags.directory, _SIZE, _RATE) as bench:
        whole = run_whole(bench)
        ends = [end_one(bench, chance.uniform(0, whole)) for _ in range(flags.ends)]
    answer([asdict(each) for each in ends])


if __name__ == "__main__":
    main()
