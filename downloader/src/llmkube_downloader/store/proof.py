"""The SHA-256 states beside the manifest, by which files are proven in segments that do not depend on each other.

There is one after every CHECKPOINT_BYTES of a file. A segment is proven when the bytes between two states lead from the
one to the other; the last one leads to the hash. All segments together are the computation of the one hash, so nothing
is trusted that the manifest does not say, and a file can be proven by many threads, or by a sample of its segments.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from llmkube_downloader.sha256 import STATE_BYTES, checkpoint_count, has_states
from llmkube_downloader.store.disk import read_small
from llmkube_downloader.store.layout import STATES_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.store.manifest import Manifest


def states_in(entry: Path, manifest: Manifest) -> dict[str, list[bytes]]:
    """Return the SHA-256 states of each file of an entry by its path; nothing when they are not to be had.

    That may be because they are damaged, because whoever built the entry had none, or because this process can not
    take them up. Files are then proven whole.
    """
    data = _sound_states(entry, manifest)
    if not data or not has_states():
        return {}
    found: dict[str, list[bytes]] = {}
    for file in manifest.files:
        length = checkpoint_count(file.size) * STATE_BYTES
        own, data = data[:length], data[length:]
        found[file.path] = [own[place : place + STATE_BYTES] for place in range(0, length, STATE_BYTES)]
    return found


def has_sound_states(entry: Path, manifest: Manifest) -> bool:
    """Return whether the states of an entry are those that its manifest names, if it names any."""
    return manifest.checkpoints is None or _sound_states(entry, manifest) is not None


def _sound_states(entry: Path, manifest: Manifest) -> bytes | None:
    try:
        data = read_small(entry / STATES_NAME)
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == manifest.checkpoints else None
