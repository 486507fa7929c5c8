"""Proving that the files of an entry are what was published, in segments that do not depend on each other.

Beside the manifest lie the SHA-256 states of each file after every CHECKPOINT_BYTES. A segment is proven when the bytes
between two states lead from the one to the other; the last one leads to the hash. All segments together are the
computation of the one hash, so nothing is trusted that the manifest does not say, and a file can be proven by many
threads, or by a sample of its segments.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkube_downloader.sha256 import CHECKPOINT_BYTES, STATE_BYTES, Sha256, checkpoint_count, has_states
from llmkube_downloader.store.disk import read_small
from llmkube_downloader.store.layout import STATES_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.store.manifest import FileRecord, Manifest


@dataclass(frozen=True)
class Segment:
    """A stretch of a file that can be proven by itself.

    - start, end: its first byte, and the byte after its last one.
    - before: the SHA-256 state that it begins with; None at the start of the file.
    - after: the state that it has to lead to; None for the last one, which has to lead to the file's hash.
    """

    start: int
    end: int
    before: bytes | None
    after: bytes | None


def states_in(entry: Path, manifest: Manifest) -> dict[str, list[bytes]]:
    """Return the SHA-256 states of each file of an entry by its path; nothing when they are not to be had.

    That may be because they are damaged, because whoever built the entry had none, or because this process can not
    take them up. Files are then proven whole.
    """
    if manifest.checkpoints is None or not has_states():
        return {}
    try:
        data = read_small(entry / STATES_NAME)
    except OSError:
        return {}
    if hashlib.sha256(data).hexdigest() != manifest.checkpoints:
        return {}
    found: dict[str, list[bytes]] = {}
    for file in manifest.files:
        length = checkpoint_count(file.size) * STATE_BYTES
        own, data = data[:length], data[length:]
        found[file.path] = [own[place : place + STATE_BYTES] for place in range(0, length, STATE_BYTES)]
    return found


def segments_of(file: FileRecord, states: list[bytes]) -> list[Segment]:
    """Return the segments of a file: one per state and the last one; a single one when there are no states."""
    bounds = [0, *(CHECKPOINT_BYTES * number for number in range(1, len(states) + 1)), file.size]
    known: list[bytes | None] = [None, *states, None]
    return [
        Segment(bounds[number], bounds[number + 1], known[number], known[number + 1])
        for number in range(len(bounds) - 1)
    ]


def holds(descriptor: int, file: FileRecord, segment: Segment, buffer: memoryview) -> bool:
    """Return whether a segment's bytes are those that were published.

    - buffer: writable memory to read through.

    Raises OSError: when they can not be read.
    """
    digest = Sha256(segment.before, segment.start)
    place = segment.start
    while place < segment.end:
        count = os.preadv(descriptor, [buffer[: segment.end - place]], place)
        if not count:
            return False
        digest.update(buffer[:count])
        place += count
    return digest.hexdigest() == file.sha256 if segment.after is None else digest.state() == segment.after
