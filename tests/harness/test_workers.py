"""Workers, which the tests of faults break things in, end with all that they made."""

from __future__ import annotations

import time
from pathlib import Path

from faults.deep import needs_root
from faults.place import Workers

pytestmark = needs_root

_SECONDS = 30


def test_a_worker_that_is_killed_at_work_leaves_no_file_system_behind() -> None:
    before = _attached()
    with Workers() as workers:
        worker = workers.start("replicas", "frozen", "http", "ext4")
        while len(worker.processes()) < 3:  # itself, process 1 inside, and the origin of what it fetches
            time.sleep(0.01)
        assert _attached() > before
    # The kernel tells nobody when it lets go, and may do so a moment after who mounted has ended.
    deadline = time.monotonic() + _SECONDS
    while _attached() > before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _attached() -> int:
    """How many loop devices have a file."""
    return len(list(Path("/sys/block").glob("loop*/loop")))
