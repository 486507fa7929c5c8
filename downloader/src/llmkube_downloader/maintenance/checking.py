"""Reading files again on all cores, each in stretches that can be checked without the rest."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from llmkube_downloader.cores import usable_cores
from llmkube_downloader.sha256 import CHECKPOINT_BYTES, Sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from llmkube_downloader.store.manifest import FileRecord

# Small enough to stay in the cache of a core between being read and being hashed.
_PIECE_BYTES = 256 * 1024
_HANG_SECONDS = 1.0


class Check(Protocol):
    """What compares the bytes of a segment with what they should be."""

    def update(self, data: memoryview) -> None:
        """Take the next bytes."""

    def problem(self) -> str:
        """Return what is wrong with the bytes, after the last ones; empty when nothing is."""


@dataclass(frozen=True)
class Segment:
    """A stretch of a file that can be checked without the rest.

    - offset, length: in bytes.
    - begin: returns a new check.
    """

    offset: int
    length: int
    begin: Callable[[], Check]


@dataclass(frozen=True)
class Reading:
    """A file that is to be read.

    - path: where it is.
    - segments: all of it, in order.
    """

    path: Path
    segments: Sequence[Segment]


@dataclass(frozen=True)
class Finding:
    """A segment that is not as it should be."""

    segment: Segment
    problem: str


class WholeHash:
    """Compares the SHA-256 of a whole file."""

    def __init__(self, sha256: str) -> None:
        self._expected = sha256
        self._digest = hashlib.sha256()

    def update(self, data: memoryview) -> None:
        """Take the next bytes."""
        self._digest.update(data)

    def problem(self) -> str:
        """Return what is wrong; empty when nothing is."""
        found = self._digest.hexdigest()
        return "" if found == self._expected else f"has sha256 {found} instead of {self._expected}"


class Link:
    """Compares what the bytes between two SHA-256 states of a file lead to."""

    def __init__(self, start: int, before: bytes | None, after: bytes) -> None:
        self._digest = Sha256(before, start)
        self._start = start
        self._after = after

    def update(self, data: memoryview) -> None:
        """Take the next bytes."""
        self._digest.update(data)

    def problem(self) -> str:
        """Return what is wrong; empty when nothing is."""
        if self._digest.state() == self._after:
            return ""
        return f"has wrong bytes between {self._start} and {self._digest.length}"


class LastLink:
    """Compares what the bytes after the last SHA-256 state of a file lead to: its hash."""

    def __init__(self, start: int, before: bytes, sha256: str) -> None:
        self._digest = Sha256(before, start)
        self._start = start
        self._expected = sha256

    def update(self, data: memoryview) -> None:
        """Take the next bytes."""
        self._digest.update(data)

    def problem(self) -> str:
        """Return what is wrong; empty when nothing is."""
        found = self._digest.hexdigest()
        return "" if found == self._expected else f"has wrong bytes between {self._start} and {self._digest.length}"


def segments(file: FileRecord, states: Sequence[bytes]) -> list[Segment]:
    """Return the segments of a file: one up to each of its SHA-256 states, and the one after the last.

    Without states only all of it has a hash.
    """
    if not states:
        return [Segment(0, file.size, partial(WholeHash, file.sha256))]
    starts = [CHECKPOINT_BYTES * number for number in range(len(states) + 1)]
    links = zip(starts, [None, *states], states, strict=False)
    found = [Segment(start, CHECKPOINT_BYTES, partial(Link, start, before, after)) for start, before, after in links]
    last = partial(LastLink, starts[-1], states[-1], file.sha256)
    return [*found, Segment(starts[-1], file.size - starts[-1], last)]


def check(readings: Sequence[Reading], advance: Callable[[int], None]) -> list[list[Finding]]:
    """Read files on all usable cores and return for each what was found, in order.

    - advance: told the bytes of every piece that was read, by one thread at a time.
    """
    return _Crew(readings, advance).work(usable_cores())


class _Crew:
    """The threads that read. What one of them fails with ends all."""

    def __init__(self, readings: Sequence[Reading], advance: Callable[[int], None]) -> None:
        self._readings = readings
        self._advance = advance
        self._tasks = _largest_first(readings)
        self._found: defaultdict[int, list[Finding]] = defaultdict(list)
        self._failure: BaseException | None = None
        self._stop = False
        self._lock = threading.Lock()

    def work(self, threads: int) -> list[list[Finding]]:
        crew = [threading.Thread(target=self._run, name="verify", daemon=True) for _ in range(threads)]
        for thread in crew:
            thread.start()
        try:
            for thread in crew:
                thread.join()
        finally:
            # A signal ends the wait above. A thread that hangs with its volume must not keep the process from ending.
            self._stop = True
            for thread in crew:
                thread.join(timeout=_HANG_SECONDS)
        if self._failure:
            raise self._failure
        return [sorted(self._found[place], key=_offset) for place in range(len(self._readings))]

    def _run(self) -> None:
        buffer = memoryview(bytearray(_PIECE_BYTES))
        try:
            while task := self._next():
                place, segment = task
                problem = self._read(self._readings[place].path, segment, buffer)
                if problem:
                    with self._lock:
                        self._found[place].append(Finding(segment, problem))
        except BaseException as error:
            self._failure = error
            self._stop = True

    def _next(self) -> tuple[int, Segment] | None:
        with self._lock:
            return None if self._stop else next(self._tasks, None)

    def _read(self, path: Path, segment: Segment, buffer: memoryview) -> str:
        check, left = segment.begin(), segment.length
        try:
            with path.open("rb", buffering=0) as file:
                file.seek(segment.offset)
                while left and not self._stop:
                    count = file.readinto(buffer[:left])
                    if not count:
                        return f"ends after {segment.offset + segment.length - left} bytes"
                    check.update(buffer[:count])
                    left -= count
                    with self._lock:
                        self._advance(count)
        except OSError as error:
            return f"can not be read: {error.strerror}"
        return check.problem()


def _largest_first(readings: Sequence[Reading]) -> Iterator[tuple[int, Segment]]:
    """Return the segments of all files, each with the place of its file.

    Those of files with the longest come first, so that all threads end together.
    """
    order = sorted(range(len(readings)), key=lambda place: -_longest(readings[place].segments))
    return ((place, segment) for place in order for segment in readings[place].segments)


def _longest(found: Iterable[Segment]) -> int:
    return max((segment.length for segment in found), default=0)


def _offset(finding: Finding) -> int:
    return finding.segment.offset
