"""What is known of processes by their number, which a later process may have."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterable, Iterator
from pathlib import Path

_SECONDS = 30


@contextlib.contextmanager
def awaiting_the_end(pids: Iterable[int]) -> Iterator[None]:
    """Waits, after a block that ends these processes, until they are gone."""
    with contextlib.ExitStack() as stack:
        watched = {pid: _watch(pid, stack) for pid in pids}
        yield
        for pid, poller in watched.items():
            if not poller.poll(_SECONDS * 1000):
                message = f"process {pid} did not end within {_SECONDS} s"
                raise RuntimeError(message)


def parent(pid: int) -> int:
    """The parent of a process; 0 when the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def _watch(pid: int, stack: contextlib.ExitStack) -> select.poll:
    """A poller that wakes when the process has ended; one that has ended already wakes it at once."""
    poller = select.poll()
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        descriptor = os.open("/dev/null", os.O_RDONLY)
    stack.callback(os.close, descriptor)
    poller.register(descriptor, select.POLLIN)
    return poller
