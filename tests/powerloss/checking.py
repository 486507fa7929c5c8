"""`python -m powerloss.checking DIRECTORY RECORDING FILE-SYSTEM` cuts the power of a recorded disk, again and again.

The disk is rebuilt as it may be after each cut, mounted, and judged. `--cuts N` is how many cuts are made at random
besides those after every flush, `--seed S` which. With `--share I/N` it makes only every Nth, so that N processes share
the work; with `--at PATTERN` only those at such moments, and with `--until PATTERN` none after the first that shows
something wrong in such words. It runs as a Worker (see faults/place.py) and answers with a Tally.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from faults.place import FILE_SYSTEMS, answer
from powerloss.cuts import Replay, choose
from powerloss.judge import Judge
from powerloss.log import MARK, read_log
from powerloss.recording import BEGIN, IMAGE, LOG
from powerloss.stage import Stage
from powerloss.story import STORY, Moment, begin_of, end_of
from powerloss.volume import ROOT, Disk, mounted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from powerloss.log import Record

# How long the machine is off: longer than any beacon of a dead process counts.
_OFF_SECONDS = 120
_NEVER = re.compile(r"(?!)")


@dataclass
class Tally:
    """What came of cutting.

    - cuts: how often the power was cut.
    - wrong: what was wrong afterwards.
    """

    cuts: int = 0
    wrong: list[str] = field(default_factory=list)


def moments(records: Sequence[Record]) -> list[Moment | None]:
    """Return for each number of records when that was; None before the story began."""
    marks = [bytes(record.data).decode().split() for record in records if record.kind == MARK]
    phases = [phase for phase in STORY if [BEGIN, phase.name] in marks]
    found: list[Moment | None] = [None]
    for record in records:
        found.append(found[-1])
        if record.kind == MARK:
            word, name = bytes(record.data).decode().split()
            found[-1] = begin_of(phases, name) if word == BEGIN else end_of(phases, name)
    return found


def check(flags: argparse.Namespace, stage: Stage) -> Tally:
    """Make a share of the cuts."""
    records = read_log(flags.recording / LOG)
    when, tally = moments(records), Tally()
    disk, judge = Disk(flags.recording / IMAGE), Judge(stage)
    replay = Replay(records, disk)
    number, of = map(int, flags.share.split("/"))
    for cut in choose(records, flags.cuts, flags.seed)[number::of]:
        moment = when[cut.at]
        if moment is None or not flags.at.search(str(moment)):
            continue
        tally.cuts += 1
        with mounted(flags.file_system, disk, stage.root.parent, replay.go_to(cut)):
            _let_time_pass(stage.root)
            tally.wrong += [f"{cut}, {moment}: {problem}" for problem in judge.problems(moment)]
        if any(map(flags.until.search, tally.wrong)):
            break
    return tally


def _let_time_pass(root: Path) -> None:
    """Make everything so old that whatever was left by the dead counts as such."""
    then = time.time() - _OFF_SECONDS
    for directory, _, names in os.walk(root / ".llmkube"):
        for path in (Path(directory), *(Path(directory) / name for name in names)):
            os.utime(path, (then, then))


def main() -> None:
    """Check, and answer with a Tally."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("recording", type=Path)
    parser.add_argument("file_system", choices=FILE_SYSTEMS)
    parser.add_argument("--cuts", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", default="0/1")
    parser.add_argument("--at", type=re.compile, default=re.compile(""))
    parser.add_argument("--until", type=re.compile, default=_NEVER)
    flags = parser.parse_args()
    with Stage(flags.directory / "mount" / ROOT, flags.directory) as stage:
        stage.boot()
        stage.warm_up()
        tally = check(flags, stage)
    answer(asdict(tally))


if __name__ == "__main__":
    main()
