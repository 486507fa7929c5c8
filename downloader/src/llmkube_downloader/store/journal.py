"""The journal of one file of an attempt: which of its bytes are on the volume, so that a later attempt can go on.

Lines are only ever appended, each with its own checksum; what follows the first bad line does not count. A line says
that bytes were written, and a later line `synced` up to where in the journal everything is on disk. So after a power
cut, or seen from another machine, lines count up to there; within the same boot of the same machine all of them do.
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmkube_downloader.store.disk import create_exclusively, read_small, write_all, write_durably
from llmkube_downloader.store.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """Which content the bytes are of.

    - path: the file in the entry.
    - size: bytes; None while unknown.
    - sha256: the expected hash; None when nobody knows it.
    - validator: the strong ETag that the origin gave the content; None when it gave none.
    """

    path: str
    size: int | None
    sha256: str | None
    validator: str | None

    @property
    def lasting(self) -> bool:
        """Whether a later attempt could tell that its content is the same."""
        return self.size is not None and bool(self.sha256 or self.validator)

    def proves(self, other: Identity) -> bool:
        """Return whether bytes of the other one may be used for this one."""
        if (self.path, self.size) != (other.path, other.size) or not self.lasting:
            return False
        if self.sha256 and other.sha256:
            return self.sha256 == other.sha256
        return self.validator is not None and self.validator == other.validator


@dataclass
class Kept:
    """What a journal says.

    - identity: of which content.
    - ranges: the bytes that are there.
    - states: SHA-256 states by their offset.
    - whole: the hash of the file, once it was complete and synced.
    - length: bytes of the journal that count; what follows has to go before anything is appended.
    - certain: as many of them as tell of what is on disk for sure.
    """

    identity: Identity
    length: int
    certain: int = 0
    ranges: Ranges = field(default_factory=Ranges)
    states: dict[int, bytes] = field(default_factory=dict)
    whole: str | None = None


class Journal:
    """A journal that is being written."""

    def __init__(self, descriptor: int, certain: int = 0) -> None:
        """Append to an open file; see ``begin_journal`` and ``go_on_with_journal``."""
        self._lock = threading.Lock()
        self._descriptor = descriptor
        self._length = os.lseek(descriptor, 0, os.SEEK_END)
        self._certain = certain
        self._ended = False

    @property
    def length(self) -> int:
        """Bytes of the lines so far."""
        with self._lock:
            return self._length

    def wrote(self, start: int, end: int) -> None:
        """Say that the bytes from ``start`` up to ``end`` are written."""
        self._append(f"wrote {start} {end}")

    def reached(self, offset: int, state: bytes) -> None:
        """Say that everything before ``offset`` is written, and which SHA-256 state it leads to."""
        self._append(f"state {offset} {state.hex()}")

    def synced(self, length: int) -> None:
        """Say that what the first ``length`` bytes of the journal tell is on disk, which the caller has seen to."""
        self._append(f"synced {length}")
        os.fsync(self._descriptor)
        self._certain = max(self._certain, length)

    def whole(self, sha256: str) -> None:
        """Say that the file is complete, with this hash."""
        self._append(f"whole {sha256}")
        self.synced(self.length)

    def take_back(self) -> None:
        """Say no more, and take back all that is not known to be on disk: some of it has been lost."""
        with self._lock:
            self._ended = True
            _end_at(self._descriptor, self._certain)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _append(self, text: str) -> None:
        line = _line(text)
        with self._lock:
            if not self._ended:
                write_all(self._descriptor, memoryview(line))
                self._length += len(line)


def begin_journal(path: Path, identity: Identity) -> Journal:
    """Create the journal of a file whose content is described.

    Raises FileExistsError: when it is there.
    """
    descriptor = create_exclusively(path)
    write_all(descriptor, memoryview(_line(_first(identity))))
    return Journal(descriptor)


def go_on_with_journal(path: Path, kept: Kept) -> Journal:
    """Open a journal after its last line that counts."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    os.ftruncate(descriptor, kept.length)
    return Journal(descriptor, kept.certain)


def write_journal(
    path: Path, identity: Identity, ranges: Iterable[tuple[int, int]], states: Mapping[int, bytes]
) -> None:
    """Write the journal of a file whose ranges are there, and on disk, at once: whoever finds it, finds all of it.

    Raises FileExistsError: when it is there.
    """
    texts = [f"wrote {start} {end}" for start, end in ranges]
    texts += [f"state {offset} {state.hex()}" for offset, state in states.items()]
    data = b"".join(map(_line, [_first(identity), *texts]))
    write_durably(path, data + _line(f"synced {len(data)}"))


def forget_unsynced(path: Path) -> None:
    """Take from a journal what is not known to be on disk: after that it does not matter which boot wrote it.

    Raises FileNotFoundError: when it is not there.
    """
    kept = read_journal(path, same_boot=False)
    if kept is None:
        path.unlink()
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _end_at(descriptor, kept.length)
    finally:
        os.close(descriptor)


def read_journal(path: Path, *, same_boot: bool) -> Kept | None:
    """Return what a journal says; None when it says nothing that counts.

    - same_boot: whether this machine wrote it since it was switched on.
    """
    try:
        data = read_small(path)
    except FileNotFoundError:
        return None
    lines = _sound_lines(data)
    synced = _synced(lines)
    if not same_boot:
        lines = synced
    if not lines or not lines[0].startswith("file "):
        return None
    kept = Kept(Identity(*json.loads(lines[0].removeprefix("file "))), _bytes(lines), _bytes(synced))
    for line in lines[1:]:
        _take(kept, line.split())
    return kept


def _first(identity: Identity) -> str:
    return f"file {json.dumps([identity.path, identity.size, identity.sha256, identity.validator])}"


def _end_at(descriptor: int, length: int) -> None:
    """Cut a journal to its first bytes, which tell of what is on disk, and say so."""
    line = _line(f"synced {length}")
    # Over what follows, before that is cut off: whoever dies in between leaves that this much is on disk.
    os.pwrite(descriptor, line, length)
    os.ftruncate(descriptor, length + len(line))
    os.fsync(descriptor)


def _take(kept: Kept, words: list[str]) -> None:
    if words[0] == "wrote":
        kept.ranges.add(int(words[1]), int(words[2]))
    elif words[0] == "state":
        kept.states[int(words[1])] = bytes.fromhex(words[2])
    elif words[0] == "whole":
        kept.whole = words[1]


def _sound_lines(data: bytes) -> list[str]:
    sound = []
    for line in data.decode("ascii", "replace").split("\n")[:-1]:
        checksum, _, text = line.partition(" ")
        if checksum != _checksum(text):
            break
        sound.append(text)
    return sound


def _synced(lines: list[str]) -> list[str]:
    """Return the lines that tell of what is on disk for sure."""
    length = max((int(line.split()[1]) for line in lines if line.startswith("synced ")), default=0)
    certain = []
    for line in lines:
        length -= len(_line(line))
        if length < 0:
            break
        certain.append(line)
    return certain


def _bytes(lines: list[str]) -> int:
    return sum(len(_line(line)) for line in lines)


def _line(text: str) -> bytes:
    return f"{_checksum(text)} {text}\n".encode("ascii")


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode('utf-8')):08x}"
