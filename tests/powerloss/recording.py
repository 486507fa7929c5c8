"""`python -m powerloss.recording DIRECTORY FILE-SYSTEM [--forget SYNCS] [--phase NAME]...` records a disk.

On it the story is told (see story.py). It runs as a Worker (see faults/place.py). Afterwards the directory holds IMAGE,
what was on the disk in the beginning, and LOG, all that it was told since.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from faults.place import FILE_SYSTEMS, answer
from faults.tree import entries
from powerloss.log import OVER, Log
from powerloss.stage import Stage
from powerloss.story import STORY
from powerloss.volume import ROOT, RecordedDisk, make_image, mounted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from _typeshed import FileDescriptorLike

    from powerloss.story import Phase

IMAGE, LOG = "image", "log"
BEGIN, END = "begin", "end"
_SYNC = os.fsync


def _forget(_: FileDescriptorLike) -> None:
    """Sync nothing."""


def _sync_until_published(file: FileDescriptorLike) -> None:
    """Sync nothing once the entry has its name."""
    if not entries(Path(os.environ["LLMKUBE_ROOT"])):
        _SYNC(file)


# What a broken downloader forgets to sync, and what its calls do instead.
_FORGOTTEN: dict[str, dict[str, Callable[[FileDescriptorLike], None]]] = {
    "nothing": {},
    "everything": {"fsync": _forget, "fdatasync": _forget},
    "publication": {"fsync": _sync_until_published},
    "data": {"fdatasync": _forget},
}


def record(directory: Path, file_system: str, phases: Sequence[Phase], before: Callable[[], None]) -> None:
    """Record phases; call ``before`` in each process of the command line."""
    image, marks = directory / IMAGE, Log(directory / LOG)
    make_image(file_system, image)
    with (
        mounted(file_system, RecordedDisk(image, marks), directory / "mount") as point,
        Stage(point / ROOT, directory, before) as stage,
    ):
        for phase in phases:
            marks.mark(f"{BEGIN} {phase.name}")
            phase.act(stage)
            marks.mark(f"{END} {phase.name}")
            _sync_something_else(point)
        marks.add(OVER)


def _break(forgotten: str) -> None:
    for name, function in _FORGOTTEN[forgotten].items():
        setattr(os, name, function)


def _sync_something_else(point: Path) -> None:
    """Do what any other user of a volume may: it can make names durable, and need not make any data so but its own."""
    with (point / "neighbour").open("wb") as file:
        file.write(b"hello")
        file.flush()
        os.fsync(file.fileno())


def main() -> None:
    """Record, and answer with nothing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("file_system", choices=FILE_SYSTEMS)
    parser.add_argument("--phase", action="append")
    parser.add_argument("--forget", choices=_FORGOTTEN, default="nothing")
    flags = parser.parse_args()
    phases = [phase for phase in STORY if flags.phase is None or phase.name in flags.phase]
    record(flags.directory, flags.file_system, phases, lambda: _break(flags.forget))
    answer(None)


if __name__ == "__main__":
    main()
