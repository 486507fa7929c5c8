"""What is left to be received, and in which stretches connections are given it."""

from __future__ import annotations

import enum
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmkube_downloader.sources.interface import RemoteFile
    from llmkube_downloader.store.journal import Identity
    from llmkube_downloader.store.part import Part
    from llmkube_downloader.transfer.ring import Ring


class Mode(enum.Enum):
    """How a file is received.

    - NEW: nobody asked for it yet.
    - ASKED: the first answer will tell whether the origin sends stretches.
    - STRETCHES: by several connections.
    - STREAM: by one connection, from its first byte to its last.
    """

    NEW = "new"
    ASKED = "asked"
    STRETCHES = "stretches"
    STREAM = "stream"


class Incoming:
    """A file that is being received.

    - remote: where from.
    - sha256: what its hash has to be; None when nobody knows.
    - size: bytes; None while unknown.
    - validator: what the origin calls the content.
    - mode: how it is received.
    - first: the number of its first block among those of all files; None until it is known.
    - cursor: bytes up to which connections were given it.
    """

    def __init__(
        self, remote: RemoteFile, sha256: str | None, identity: Identity, open_part: Callable[[Identity], Part]
    ) -> None:
        """Describe a file; it is opened when its turn comes: there may be more files than a process can open."""
        self.remote = remote
        self.sha256 = sha256
        self.size = remote.size
        self.validator = remote.validator
        self.mode = Mode.NEW
        self.first: int | None = None
        self.cursor = 0
        self._identity = identity
        self._open_part = open_part
        self._part: Part | None = None
        self._lock = threading.Lock()

    @property
    def part(self) -> Part:
        """Where the file is written to.

        Raises DownloaderError: when it can not be opened.
        """
        with self._lock:
            if self._part is None:
                self._part = self._open_part(self._identity)
            return self._part

    @property
    def splittable(self) -> bool:
        """Whether stretches of it can be told to be of one content."""
        return self.size is not None and bool(self.sha256 or self.validator)

    @property
    def handed_out(self) -> bool:
        """Whether nothing of it is left to be given to a connection."""
        return self.mode is Mode.STREAM or (self.size is not None and self.cursor >= self.size)

    def has(self, start: int, end: int) -> bool:
        """Return whether an earlier attempt received these bytes."""
        return self.part.kept.ranges.covers(start, end)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._part is not None:
                self._part.close()


@dataclass
class Stretch:
    """Bytes of a file that one connection is to receive.

    - file: of which.
    - start: its first byte, at the start of a block.
    - end: the byte after its last one; None for the end of the file, wherever that is.
    - position: the byte that comes next.
    """

    file: Incoming
    start: int
    end: int | None
    position: int


class Feed:
    """Hands out stretches in the order of the files, never further ahead than the ring has memory."""

    def __init__(self, files: Sequence[Incoming], ring: Ring, slots: int) -> None:
        self._files = files
        self._ring = ring
        self._slots = slots
        self._current = 0
        self._stretch_blocks = 1

    def suit(self, connections: int) -> None:
        """Make stretches as long as the ring allows for so many connections."""
        self._stretch_blocks = max(1, self._slots // (2 * connections))

    def take(self) -> Stretch | None:
        """Return what to receive next, waiting for it if need be; None when all is handed out.

        Raises StoppedError.
        """
        with self._ring.space:
            while True:
                self._ring.check()
                stretch = self._next()
                if stretch or self._current == len(self._files):
                    self._ring.space.notify()
                    return stretch
                self._ring.space.wait()

    def decide(self, stretch: Stretch, *, whole: bool) -> None:
        """Say what the first answer for a file was: a stretch, or the whole file."""
        with self._ring.space:
            stretch.file.mode = Mode.STREAM if whole else Mode.STRETCHES
            if whole:
                stretch.end = stretch.file.size
            self._ring.look_again()

    def ended(self, file: Incoming, size: int) -> None:
        """Say how large a file of unknown size has turned out to be."""
        with self._ring.space:
            file.size = size
            self._ring.look_again()

    def _next(self) -> Stretch | None:
        for number in range(self._current, len(self._files)):
            file = self._files[number]
            if file.first is None and not self._place(number):
                return None
            if not self._admits(file):
                # Not even opened: there may be more files that are whole than a process can open.
                return None
            self._pass_over_present(file)
            if file.handed_out:
                self._current += number == self._current
                continue
            if not self._admits(file):
                return None
            if file.mode is not Mode.ASKED:
                return self._cut(file)
        return None

    def _admits(self, file: Incoming) -> bool:
        return file.handed_out or self._ring.admits((file.first or 0) + file.cursor // self._ring.block)

    def _place(self, number: int) -> bool:
        """Give a file its place among the blocks, and return whether that is known yet."""
        if number == 0:
            self._files[0].first = 0
            return True
        before = self._files[number - 1]
        if before.first is None or before.size is None:
            return False
        self._files[number].first = before.first + -(-before.size // self._ring.block)
        return True

    def _pass_over_present(self, file: Incoming) -> None:
        while file.size is not None and file.cursor < file.size and file.has(file.cursor, self._block_end(file)):
            file.cursor = self._block_end(file)

    def _block_end(self, file: Incoming) -> int:
        end = file.cursor + self._ring.block
        return end if file.size is None else min(end, file.size)

    def _cut(self, file: Incoming) -> Stretch:
        start = file.cursor
        if not file.splittable:
            file.mode = Mode.STREAM
            return Stretch(file, start, file.size, start)
        if file.mode is Mode.NEW:
            file.mode = Mode.ASKED
        for _ in range(self._stretch_blocks):
            if file.handed_out or file.has(file.cursor, self._block_end(file)):
                break
            file.cursor = self._block_end(file)
        return Stretch(file, start, file.cursor, start)
