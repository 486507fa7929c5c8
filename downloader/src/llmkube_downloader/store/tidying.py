"""What those who died left of a key whose entry is there: it takes space, and nobody needs it.

A warm start neither writes nor removes anything. When it finds something of this kind, it leaves the start to the full
command line, which comes here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_downloader.store.disk import names_in
from llmkube_downloader.store.journal import Identity
from llmkube_downloader.store.lease import try_take
from llmkube_downloader.store.life import Life, life_of_attempt
from llmkube_downloader.store.staging import Attempt
from llmkube_downloader.store.trash import discard, empty_trash

if TYPE_CHECKING:
    from llmkube_downloader.store.layout import Layout
    from llmkube_downloader.store.manifest import Manifest


def tidy(layout: Layout, manifest: Manifest) -> None:
    """Remove what the dead left of the entry that a manifest describes, if nobody works on its key and that is allowed.

    An attempt to fetch another content stays: a refresh that was cut off goes on with it.

    Raises OSError: when the volume can not be written.
    """
    lease = try_take(layout, manifest.key)
    if lease is None:
        return
    try:
        for name in names_in(layout.staging(manifest.key)):
            attempt = Attempt(layout.staging(manifest.key) / name)
            if life_of_attempt(attempt.directory) is not Life.LIVE and _is_of(manifest, attempt):
                discard(layout, attempt.directory)
        empty_trash(layout)
    finally:
        lease.withdraw()


def _is_of(manifest: Manifest, attempt: Attempt) -> bool:
    """Return whether the entry of a manifest has all of what an attempt received that could be gone on with."""
    there = {file.path: Identity(file.path, file.size, file.sha256, file.validator) for file in manifest.files}
    return all(each.path in there and there[each.path].proves(each) for each in attempt.usable())
