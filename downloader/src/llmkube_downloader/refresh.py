"""Looking for a newer content of an entry that is there. Pods that use the old one keep it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_downloader.build import Builder
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.places import places
from llmkube_downloader.request import Refresh
from llmkube_downloader.store.entry import Entry, look
from llmkube_downloader.store.lease import held, take_or_join
from llmkube_downloader.store.volume import prepare

if TYPE_CHECKING:
    from llmkube_downloader.request import Request
    from llmkube_downloader.sources.interface import Plan, RemoteFile
    from llmkube_downloader.store.layout import Layout
    from llmkube_downloader.store.manifest import FileRecord, Manifest
    from llmkube_downloader.transfer.client import HttpClient
    from llmkube_downloader.transfer.progress import Meter

# What users asked for wrongly, or asked to end, is said; whatever else keeps us from a newer content, there is the old.
_FATAL = (ExitCode.USAGE, ExitCode.POLICY, ExitCode.TERMINATED)


def refresh(request: Request, layout: Layout, client: HttpClient, meter: Meter) -> tuple[Entry, bool]:
    """Return the entry to use, a newer one if there is a newer content, and whether nobody could be asked for one.

    Raises DownloaderError: USAGE, POLICY, TERMINATED; nothing else, because the entry that is there can be used.
    """
    try:
        return _newest(request, layout, client, meter), False
    except DownloaderError as error:
        if error.code in _FATAL:
            raise
        meter.say(f"{error.cause}; going on with the content that is there")
        return look(layout, request.source.key), True


def _newest(request: Request, layout: Layout, client: HttpClient, meter: Meter) -> Entry:
    plan = places(request, client)[-1].resolve()
    entry = look(layout, request.source.key)
    if _suits(request, plan, entry):
        return entry
    prepare(layout)
    lease = take_or_join(
        layout, request.source.key, request.lock_wait, meter.say, lambda entry: _suits(request, plan, entry)
    )
    if isinstance(lease, Entry):
        return lease
    with held(lease, meter.progress) as heartbeat:
        Builder(request, layout, client, meter, heartbeat, replacing=look(layout, request.source.key)).build()
    return look(layout, request.source.key)


def _suits(request: Request, plan: Plan, entry: Entry) -> bool:
    return request.refresh is Refresh.ON_CHANGE and entry.manifest is not None and is_same(plan, entry.manifest)


def is_same(plan: Plan, manifest: Manifest) -> bool:
    """Return whether an entry has the content that its origin has now, as far as the origin says."""
    if plan.revision and manifest.revision:
        return plan.revision == manifest.revision
    files = {file.origin: file for file in manifest.files}
    return files.keys() == {remote.path for remote in plan.files} and all(
        _is_same_file(remote, files[remote.path]) for remote in plan.files
    )


def _is_same_file(remote: RemoteFile, file: FileRecord) -> bool:
    if remote.sha256:
        return remote.sha256 == file.sha256
    if remote.validator and file.validator and remote.validator != file.validator:
        return False
    return remote.size in (None, file.size)
