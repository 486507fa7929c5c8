"""Fetches large models, and sees how much memory that takes."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.local import cgroups
from faults.place import clean_environment
from faults.served import Served

if TYPE_CHECKING:
    from collections.abc import Iterator

_RATE = 2**33
# Runs the command line in the cgroup that the first argument names, and says at the end how large the process was.
_MEASURED = """
import os, sys
from pathlib import Path
from llmkube_downloader import cli

processes = sys.argv.pop(1)
if processes:
    Path(processes).write_text(str(os.getpid()))
try:
    cli.main()
finally:
    print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")))
"""


@dataclass(frozen=True)
class Usage:
    """What a fetch took.

    - code: its exit code, or the negative number of the signal that ended it.
    - peak: the most bytes of memory that the process had at a time.
    - output: what it printed.
    """

    code: int
    peak: int
    output: str


def fetch(source: str, directory: Path, size: int, limit: int | None = None) -> Usage:
    """Fetch weights of `size` bytes into a directory, which has to be on a disk.

    - limit: bytes of memory that the process may have at most, with its page cache.
    """
    with Served(source, directory, size, _RATE) as model, _group(limit) as processes:
        command = [sys.executable, "-c", _MEASURED, str(processes or ""), "fetch", *model.arguments]
        done = subprocess.run(
            [*command, "--root", str(directory / "models")],
            env=clean_environment(**model.environment),
            capture_output=True,
            text=True,
            check=False,
        )
    peak = done.stdout.rpartition("VmHWM:")[2].split()
    return Usage(done.returncode, int(peak[0]) * 1024 if peak else 0, done.stdout + done.stderr)


@contextmanager
def _group(limit: int | None) -> Iterator[Path | None]:
    """Yield the file that puts a process into a new cgroup which has so much memory; None for no limit."""
    if limit is None:
        yield None
        return
    name = f"llmkube-faults-{os.getpid()}"
    cgroups.create(name)
    try:
        yield _limit(name, limit)
    finally:
        cgroups.remove(name)


def _limit(name: str, limit: int) -> Path:
    if (cgroups.ROOT / "cgroup.controllers").exists():
        (cgroups.ROOT / "cgroup.subtree_control").write_text("+memory")
        group, file = cgroups.ROOT / name, "memory.max"
    else:
        group, file = cgroups.ROOT / "memory" / name, "memory.limit_in_bytes"
    (group / file).write_text(str(limit))
    return group / "cgroup.procs"
