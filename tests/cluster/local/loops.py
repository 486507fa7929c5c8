"""Loop devices: they belong to the whole machine, whatever namespaces those who use them are in."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

_SECONDS = 30  # far above the moment that it takes


def files() -> set[str]:
    """The files behind this machine's loop devices, by the paths under which the kernel knows them."""
    found = set()
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # one may go while it is looked at
            found.add(path.read_text().rstrip("\n"))
    return found


def wait_until_gone(folder: str) -> None:
    """Waits until no file in a folder of that name is behind a loop device.

    The kernel lets go of them with their last mount, but tells nobody, and maybe a moment after who mounted has ended.
    """
    deadline = time.monotonic() + _SECONDS
    while held := [file for file in files() if f"/{folder}/" in file]:
        if time.monotonic() > deadline:
            message = f"{', '.join(held)}: still behind a loop device {_SECONDS} s after its cluster has ended"
            raise RuntimeError(message)
        time.sleep(0.02)
