"""Building an entry: receiving what the source consists of into staging, proving it, and publishing it."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from llmkube_downloader import __version__
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.expectations import check_kept_hashes, check_size, expected_hashes
from llmkube_downloader.places import from_first, places
from llmkube_downloader.sources.copies import with_copies
from llmkube_downloader.store.disk import storage_errors
from llmkube_downloader.store.entry import State, look
from llmkube_downloader.store.layout import entry_names
from llmkube_downloader.store.manifest import FileRecord, Manifest, Selection
from llmkube_downloader.store.publish import publish, refuse_foreign
from llmkube_downloader.store.refs import refer
from llmkube_downloader.store.staging import attempt
from llmkube_downloader.store.trash import empty_trash, quarantine
from llmkube_downloader.transfer.download import Download, Limits, Wanted, identity_of, states_of
from llmkube_downloader.transfer.retry import BeginAgainError
from llmkube_downloader.units import human_size

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.places import Place
    from llmkube_downloader.request import Request
    from llmkube_downloader.sources.interface import Plan
    from llmkube_downloader.store.beacon import Heartbeat
    from llmkube_downloader.store.entry import Entry
    from llmkube_downloader.store.layout import Layout
    from llmkube_downloader.store.staging import Attempt
    from llmkube_downloader.transfer.client import HttpClient
    from llmkube_downloader.transfer.download import Received
    from llmkube_downloader.transfer.progress import Meter

_TOOL = f"llmkube-downloader {__version__}"


class Builder:
    """Builds the entry of a source. The build lease is ours meanwhile."""

    def __init__(
        self,
        request: Request,
        layout: Layout,
        client: HttpClient,
        meter: Meter,
        heartbeat: Heartbeat,
        replacing: Entry | None = None,
    ) -> None:
        """Prepare to build.

        - replacing: an entry that is there: damaged, then it goes to the quarantine, or complete, then a new content is
          published beside it.
        """
        self._replacing = replacing
        self._request = request
        self._layout = layout
        self._client = client
        self._meter = meter
        self._heartbeat = heartbeat

    def build(self) -> Manifest:
        """Build the entry from the first place that has the model, and return its manifest.

        Raises DownloaderError: that of the last place.
        """
        self._clear_the_way()
        return from_first(places(self._request, self._client), self._build_from, self._meter.say)

    def _clear_the_way(self) -> None:
        """Empty the trash, and refuse to work on what is not ours."""
        entry = look(self._layout, self._request.source.key)
        refuse_foreign(self._layout, entry)
        if entry.state is State.DAMAGED:
            self._meter.say(f"{entry.path} is damaged ({entry.problem}); it is fetched anew and then moved aside")
        empty_trash(self._layout)

    def _build_from(self, place: Place) -> Manifest:
        """Build from one place, beginning again when it changes meanwhile, or a copy on a volume is damaged."""
        failures, copies = 0, True
        while True:
            resolved = place.resolve()
            roots = [self._request.root, *self._request.upstream] if copies else []
            plan = with_copies(resolved, roots, self._damaged())
            try:
                return self._build_once(plan)
            except BeginAgainError as error:
                failures += 1
                self._client.retries.rest(failures, error)
            except DownloaderError as error:
                if error.code is not ExitCode.INTEGRITY or plan == resolved:
                    raise
                self._meter.say(f"{error.cause}; not using copies on the volume")
                copies = False

    def _damaged(self) -> Path | None:
        """Return the entry that is to be replaced because it is damaged."""
        old = self._replacing
        return old.path if old is not None and old.state is State.DAMAGED else None

    def _build_once(self, plan: Plan) -> Manifest:
        request, meter = self._request, self._meter
        wanted = _wanted(request, plan)
        with attempt(self._layout, request.source.key, self._heartbeat) as opened:
            reused = opened.keep_only([identity_of(each) for each in wanted])
            shared = _share(opened, wanted)
            total = check_size(request, plan, opened.allocated())
            meter.say(f"fetching {request.source.display}: {_in_words(plan, total, reused)}")
            meter.begin(total, reused + shared)
            limits = Limits(request.connections, request.limit_rate, request.most)
            try:
                received = Download(self._client.retries, meter, limits, total).receive(wanted, opened)
            finally:
                meter.end()
            states = states_of(received)
            manifest = self._publish(opened, _manifest(request, plan, wanted, received, states), states)
        check_kept_hashes(request.hashes, manifest)
        return manifest

    def _publish(self, opened: Attempt, manifest: Manifest, states: bytes) -> Manifest:
        old, layout = self._replacing, self._layout
        if old is None or old.manifest is None:
            return publish(layout, opened.files, manifest, states)
        if old.state is State.DAMAGED:
            with storage_errors(f"moving {old.path} aside"):
                quarantine(layout, old)
            return publish(layout, opened.files, manifest, states, old.path)
        if old.manifest.content == manifest.content:
            return old.manifest
        entry = layout.generation(manifest.key, manifest.content)
        published = publish(layout, opened.files, manifest, states, entry)
        refer(layout, manifest.key, entry.name)
        return published


def _wanted(request: Request, plan: Plan) -> list[Wanted]:
    """Return the files of a plan with their names in the entry and the hashes they must have."""
    hashes = expected_hashes(request.hashes, {remote.path: remote.sha256 for remote in plan.files})
    names = entry_names([remote.path for remote in plan.files])
    return [Wanted(remote, names[remote.path], hashes[remote.path]) for remote in plan.files]


def _share(opened: Attempt, wanted: list[Wanted]) -> int:
    """Let copies share the blocks of what they are copies of, where the file system can; return the bytes of these.

    They are hashed where they lie then, like what an earlier attempt received.
    """
    copies = [(each, each.remote.copy) for each in wanted if each.sha256]
    return sum(opened.share(copy, identity_of(each)) for each, copy in copies if copy)


def _manifest(request: Request, plan: Plan, wanted: list[Wanted], received: list[Received], states: bytes) -> Manifest:
    source = request.source
    records = (
        FileRecord(
            path=each.name,
            origin=each.remote.path,
            size=file.size,
            sha256=file.sha256,
            verified="sha256" if each.sha256 else "size",
            validator=file.validator,
        )
        for each, file in zip(wanted, received, strict=True)
    )
    return Manifest(
        key=source.key,
        source=source.display,
        selection=Selection(source.files, source.include, source.exclude),
        revision=plan.revision,
        files=tuple(records),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        tool=_TOOL,
        checkpoints=hashlib.sha256(states).hexdigest() if states else None,
    )


def _in_words(plan: Plan, total: int | None, reused: int) -> str:
    count = f"{len(plan.files)} file{'s' if len(plan.files) > 1 else ''}"
    size = f", {human_size(total)}" if total is not None else ""
    return f"{count}{size}" + (f", of which {human_size(reused)} are here from an earlier attempt" if reused else "")
