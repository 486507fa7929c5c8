"""Mounts a file system on a loop device, as a Worker, says so, and stays.

`python -m harness.mounting DIRECTORY FIFO`
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from faults.place import mount_memory, mount_new

_SIZE = 64 * 2**20
# With that much memory to free, its end is not over before somebody looks.
_BALLAST = bytearray(b"x") * (256 * 2**20)


def main() -> None:
    """Mount, tell whoever reads the FIFO, and wait to be killed."""
    directory, told = map(Path, sys.argv[1:])
    mount_memory(directory)
    mount_new("ext4", directory, _SIZE)
    told.write_text("mounted")
    signal.pause()


if __name__ == "__main__":
    main()
