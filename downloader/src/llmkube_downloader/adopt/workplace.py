"""Where files become an entry without being lost: what was taken from its place is written down before it is taken.

```
.llmkube/adopting/<random>/
  owner.json   who works here; see beacon.py
  moves.json   what is taken from where, written before the first file is
  files/       what will become the entry
```

Unlike staging, nobody removes such a directory while a file is in it that came from somewhere: whoever adopts next puts
it back first.
"""

from __future__ import annotations

import errno
import json
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.beacon import Beacon
from llmkube_downloader.store.disk import names_in, read_small, storage_errors, sync_directory, write_durably
from llmkube_downloader.store.layout import OWNER, nonce
from llmkube_downloader.store.life import Life, life_of_attempt
from llmkube_downloader.store.trash import discard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmkube_downloader.store.beacon import Heartbeat
    from llmkube_downloader.store.layout import Layout

_MOVES = "moves.json"
_FILES = "files"


class Workplace:
    """A directory that nobody else writes into.

    - files: what will become the entry.
    """

    def __init__(self, directory: Path) -> None:
        """Use a directory that is there."""
        self._directory = directory
        self.files = directory / _FILES

    def target(self, name: str) -> Path:
        """Return where a file of the entry belongs; the directories above it are there.

        Raises OSError.
        """
        for parent in reversed(PurePosixPath(name).parents[:-1]):
            # One level at a time: the workplace itself must not come back when somebody took it away.
            (self.files / parent).mkdir(exist_ok=True)
        return self.files / name

    def take(self, moves: Mapping[Path, str]) -> list[Path]:
        """Move files from their places, and return those that lie on another file system and have to be copied.

        - moves: their paths in the entry.

        Raises OSError: then everything is put back when the workplace is left.
        """
        targets = {original: self.target(name) for original, name in moves.items()}
        record = [[str(original), name] for original, name in moves.items()]
        write_durably(self._directory / _MOVES, json.dumps(record).encode("ascii"))
        sync_directory(self._directory)
        return [original for original, target in targets.items() if not _move(original, target)]

    def put_back(self) -> list[str]:
        """Move what was taken back to where it was, and return the names of what could not be.

        Raises OSError.
        """
        kept = []
        for original, name in self._moves():
            taken = self.files / name
            if not taken.exists():
                continue
            if original.exists():
                kept.append(name)
                continue
            original.parent.mkdir(parents=True, exist_ok=True)
            taken.rename(original)
            sync_directory(original.parent)
        return kept

    def _moves(self) -> list[tuple[Path, str]]:
        try:
            return [(Path(original), name) for original, name in json.loads(read_small(self._directory / _MOVES))]
        except (FileNotFoundError, ValueError):
            # Without a whole record nothing was taken yet.
            return []


@contextmanager
def workplace(layout: Layout, heartbeat: Heartbeat) -> Iterator[Workplace]:
    """Yield a new workplace; what was taken and not published is put back at the end."""
    directory = layout.adopting / nonce()
    with storage_errors(f"preparing {directory}"):
        (directory / _FILES).mkdir(parents=True)
        owner = Beacon(directory / OWNER)
    heartbeat.keep(owner)
    try:
        yield Workplace(directory)
    finally:
        heartbeat.drop(owner)
        try:
            with storage_errors(f"putting back what {directory} holds"):
                kept = Workplace(directory).put_back()
            if not kept:
                # The whole directory first: without its owner it would look like one that is about to be used.
                with suppress(OSError):
                    discard(layout, directory)
        finally:
            owner.release()


def put_back_interrupted(layout: Layout) -> list[tuple[Path, DownloaderError]]:
    """Put back what adoptions that were cut off had taken, and return where that was not possible.

    Whoever works in a directory notices when it is taken away, because everything there is done by its name.
    """
    failed = []
    for name in names_in(layout.adopting):
        directory = layout.adopting / name
        try:
            with storage_errors(f"putting back what {directory} holds"):
                failed += _put_back_dead(layout, directory)
        except DownloaderError as error:
            failed.append((directory, error))
    return failed


def _put_back_dead(layout: Layout, directory: Path) -> list[tuple[Path, DownloaderError]]:
    if life_of_attempt(directory) is Life.LIVE:
        return []
    claimed = directory.with_name(nonce())
    try:
        directory.rename(claimed)
    except FileNotFoundError:
        return []
    kept = Workplace(claimed).put_back()
    if not kept:
        discard(layout, claimed)
        return []
    error = DownloaderError(
        ExitCode.POLICY,
        f"{claimed} holds {kept[0]} of an adoption that was cut off, and its old place is taken",
        f"Compare both files, remove one of them, then start again; {_MOVES} there says which place that is.",
    )
    return [(claimed, error)]


def _move(original: Path, target: Path) -> bool:
    try:
        original.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True
