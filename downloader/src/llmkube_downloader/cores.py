"""How many cores this process may use."""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path

_SYSTEM = Path("/")


def usable_cores(system: Path = _SYSTEM) -> int:
    """Return how many cores this process may keep busy: those it may run on, as far as its control groups let it.

    - system: where /proc and /sys are looked for.
    """
    cores = float(len(os.sched_getaffinity(0)))
    for group in _groups(system):
        cores = min(cores, _quota(group))
    return max(1, ceil(cores))


def _groups(system: Path) -> list[Path]:
    """Return the directories of the process's control group and of those above it; none where there are none."""
    try:
        lines = (system / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    root = system / "sys/fs/cgroup"
    own = [root / line.removeprefix("0::").lstrip("/") for line in lines if line.startswith("0::")]
    return [group for path in own for group in (path, *path.parents) if group.is_relative_to(root)]


def _quota(group: Path) -> float:
    try:
        quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        return float(quota) / float(period)
    except (OSError, ValueError):
        # Without a file, or with "max" in it, there is no limit.
        return float("inf")
