"""Loop devices: they belong to the whole machine, whatever namespaces those who use them are in."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

_SECONDS = 30  # far above the moment that it takes


def files() -> dict[str, str]:
    """The files behind this machine's loop devices, by device, with the paths under which the kernel knows them."""
    found = {}
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # one may go while it is looked at
            found[path.parts[-3]] = path.read_text().rstrip("\n")
    return found


def wait_until_gone(is_meant: Callable[[str, str], bool]) -> None:
    """Waits until no loop device is left of those that are meant, by device and file.

    The kernel lets go of them with their last mount, but tells nobody, and maybe a moment after who mounted has ended.
    """
    deadline = time.monotonic() + _SECONDS
    while held := [f"{device} ({file})" for device, file in files().items() if is_meant(device, file)]:
        if time.monotonic() > deadline:
            message = f"{', '.join(held)}: still there {_SECONDS} s after those who used it have ended"
            raise RuntimeError(message)
        time.sleep(0.02)
