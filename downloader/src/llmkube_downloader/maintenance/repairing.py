"""Repairing entries: what is right of them is copied, what is not is fetched again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmkube_downloader.build import Builder
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.key import parse_source
from llmkube_downloader.request import Request
from llmkube_downloader.sha256 import CHECKPOINT_BYTES
from llmkube_downloader.store.disk import storage_errors
from llmkube_downloader.store.entry import State
from llmkube_downloader.store.journal import Identity
from llmkube_downloader.store.lease import held, take
from llmkube_downloader.store.proof import states_in
from llmkube_downloader.store.staging import leave_attempt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkube_downloader.key import Source
    from llmkube_downloader.maintenance.verifying import Problem
    from llmkube_downloader.store.entry import Entry
    from llmkube_downloader.store.layout import Layout
    from llmkube_downloader.store.manifest import Manifest
    from llmkube_downloader.transfer.client import HttpClient
    from llmkube_downloader.transfer.progress import Meter


def repair(
    layout: Layout,
    entry: Entry,
    problems: Sequence[Problem],
    client: HttpClient,
    meter: Meter,
    *,
    lock_wait: float,
    connections: int,
    limit_rate: int | None,
) -> int:
    """Build an entry again, of the same content, and return the bytes that had to be received.

    The damaged one goes to the quarantine once the new one is whole; pods that have its files open keep them.

    - lock_wait, connections, limit_rate: as of a Request.

    Raises DownloaderError: USAGE, when it can not be told from where; and whatever keeps the rest from being fetched.
    """
    manifest = entry.manifest
    if manifest is None:
        raise _unknown(entry)
    source = _source_of(entry, manifest)
    hashes = {file.path: file.sha256 for file in manifest.files}
    request = Request(
        source,
        layout.root,
        hashes,
        commit=manifest.revision,
        lock_wait=lock_wait,
        connections=connections,
        limit_rate=limit_rate,
    )
    before = meter.received
    with held(take(layout, source.key, request.lock_wait, meter.say), meter.progress) as heartbeat:
        _keep_what_is_right(layout, entry, manifest, problems)
        Builder(request, layout, client, meter, heartbeat, replacing=replace(entry, state=State.DAMAGED)).build()
    return meter.received - before


def _source_of(entry: Entry, manifest: Manifest) -> Source:
    selection = manifest.selection
    try:
        source = parse_source(
            manifest.source, files=selection.files, include=selection.include, exclude=selection.exclude
        )
    except DownloaderError as error:
        raise _unknown(entry) from error
    if source.key != entry.key:
        raise _unknown(entry)
    return source


def _unknown(entry: Entry) -> DownloaderError:
    return DownloaderError(
        ExitCode.USAGE,
        f"{entry.path} can not be repaired: its manifest does not tell where it came from",
        f"Remove it (llmkube-downloader remove {entry.key}) and fetch it again.",
    )


def _keep_what_is_right(layout: Layout, entry: Entry, manifest: Manifest, problems: Sequence[Problem]) -> None:
    """Leave an attempt for the builder with all bytes of an entry that are right."""
    wrong = {problem.path: problem.good for problem in problems}
    states = states_in(entry.path, manifest)
    with storage_errors(f"copying what is right of {entry.path}"), leave_attempt(layout, manifest.key) as left:
        for file in manifest.files:
            identity = Identity(file.path, file.size, file.sha256, file.validator)
            good = wrong.get(file.path, ((0, file.size),))
            known = {CHECKPOINT_BYTES * (number + 1): state for number, state in enumerate(states.get(file.path, []))}
            if good and file.size:
                left.copy(entry.path / file.path, identity, list(good), known)
