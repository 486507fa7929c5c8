"""Copies a model from one cache of an xfs to another and into an entry of its own, and sees which room each takes.

`python -m faults.sharing DIRECTORY`. It runs as a Worker and answers with a list of Copied.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faults.place import answer, clean_environment, mount_new

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 64 * 2**20
_VOLUME = 512 * 2**20


@dataclass(frozen=True)
class Copied:
    """What a copy came to.

    - what: how it was made.
    - code: the exit code.
    - room: bytes that the volume has less of afterwards.
    - report: what the command said.
    """

    what: str
    code: int
    room: int
    report: object


def copies(volume: Path) -> Iterator[Copied]:
    """Copy a model again and again: the first time with all its bytes, which shows that they count."""
    given = volume / "given" / "model.gguf"
    given.parent.mkdir()
    given.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 0) + os.urandom(SIZE))
    shared, root = str(volume / "shared"), str(volume / "models")
    source = f"file://{given}"
    yield _run(volume, "bytes", "fetch", source, "--root", shared)
    yield _run(volume, "fetched", "fetch", source, "--root", root, "--upstream", shared)
    yield _run(
        volume, "adopted", "adopt", "--root", root, "--from", str(given), "--source", "https://example.com/m.gguf"
    )
    yield _run(volume, "verified", "verify", "--root", root)


def _run(volume: Path, what: str, *arguments: str) -> Copied:
    before = _free(volume)
    done = subprocess.run(
        [sys.executable, "-m", "llmkube_downloader", *arguments, "-o", "json"],
        env=clean_environment(),
        stdout=subprocess.PIPE,
        check=False,
    )
    return Copied(what, done.returncode, before - _free(volume), json.loads(done.stdout))


def _free(volume: Path) -> int:
    """Return what is free when nothing waits to be written any more."""
    os.sync()
    status = os.statvfs(volume)
    return status.f_bfree * status.f_frsize


def main() -> None:
    """Copy, and answer with what came of it."""
    answer([asdict(copied) for copied in copies(mount_new("xfs", Path(sys.argv[1]), _VOLUME))])


if __name__ == "__main__":
    main()
