"""The way of one fetch, from top to bottom.

What a warm start does not need (the network, threads, the hub's library) is imported by the functions that do.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, cast

from llmkube_downloader import __version__
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.report import Outcome
from llmkube_downloader.store.entry import Entry, State, look
from llmkube_downloader.store.layout import Layout, entry_names
from llmkube_downloader.store.manifest import FileRecord, Manifest, Selection
from llmkube_downloader.store.volume import usage
from llmkube_downloader.units import human_size

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.key import Source
    from llmkube_downloader.sources.interface import Plan
    from llmkube_downloader.store.beacon import Heartbeat
    from llmkube_downloader.transfer.client import HttpClient
    from llmkube_downloader.transfer.download import Received, Wanted
    from llmkube_downloader.transfer.progress import Meter

_TOOL = f"llmkube-downloader {__version__}"


@dataclass(frozen=True)
class Request:
    """What a user wants fetched, and how.

    - source: from where.
    - root: the directory that holds the entries; absolute.
    - hashes: the expected SHA-256 of files by path; the empty path stands for the only file.
    - allow_http: hosts that plain http is allowed to; ``*`` for all.
    - lock_wait: seconds to wait for another one that fetches the same.
    - stall_timeout: seconds of silence after which a connection counts as broken.
    - expect_size: bytes of all files together as the user knows it; None when unknown.
    - connections: how many may receive at the same time.
    - limit_rate: bytes per second of all connections together; None for no cap.
    """

    source: Source
    root: Path
    hashes: dict[str, str] = field(default_factory=dict)
    allow_http: frozenset[str] = frozenset()
    lock_wait: float = 12 * 3600.0
    stall_timeout: float = 60.0
    expect_size: int | None = None
    connections: int = 16
    limit_rate: int | None = None

    @property
    def most(self) -> int | None:
        """Bytes that the files may have at most: 1 % more than expected."""
        return None if self.expect_size is None else self.expect_size + self.expect_size // 100


def fetch(request: Request, meter: Meter) -> Outcome:
    """Make sure that the entry of a source is on the volume, and say how that went.

    Raises DownloaderError: with the code, the cause and what to do.
    """
    began = time.monotonic()
    layout = Layout(request.root)
    entry = look(layout, request.source.key)
    if entry.state is not State.COMPLETE:
        return _fetch_missing(request, layout, meter, began)
    return _hit(request, entry, began)


def _fetch_missing(request: Request, layout: Layout, meter: Meter, began: float) -> Outcome:
    from llmkube_downloader.sources import check_scheme
    from llmkube_downloader.store.lease import held, take_or_join
    from llmkube_downloader.store.volume import prepare

    check_scheme(request.source)
    prepare(layout)
    lease = take_or_join(layout, request.source.key, request.lock_wait, meter.say)
    if isinstance(lease, Entry):
        return _hit(request, lease, began)
    with held(lease, meter.progress) as heartbeat:
        client = _client(request, meter)
        with closing(client.pool):
            manifest = _build(request, layout, client, meter, heartbeat)
    volume = usage(layout.root)
    seconds = time.monotonic() - began
    entry = layout.entry(manifest.key)
    return Outcome("fetched", entry, manifest, meter.received, seconds, client.traffic.requests, volume, meter.reused)


def _hit(request: Request, entry: Entry, began: float) -> Outcome:
    manifest = cast(Manifest, entry.manifest)
    _check_kept_hashes(request, manifest)
    return Outcome("hit", entry.path, manifest, 0, time.monotonic() - began, 0, usage(request.root), manifest.size)


def _build(request: Request, layout: Layout, client: HttpClient, meter: Meter, heartbeat: Heartbeat) -> Manifest:
    """Receive everything into staging, prove it, and publish it. The build lease is ours meanwhile."""
    from llmkube_downloader.transfer.retry import BeginAgainError

    _clear_the_way(request, layout, meter)
    failures = 0
    while True:
        try:
            return _build_once(request, layout, client, meter, heartbeat)
        except BeginAgainError as error:  # noqa: PERF203 - it is rare
            failures += 1
            client.retries.rest(failures, error)


def _build_once(request: Request, layout: Layout, client: HttpClient, meter: Meter, heartbeat: Heartbeat) -> Manifest:
    from llmkube_downloader.sources import origin_of
    from llmkube_downloader.store.publish import publish
    from llmkube_downloader.store.staging import attempt
    from llmkube_downloader.transfer.download import Download, Limits, identity_of

    plan = origin_of(request.source, client).resolve(request.source)
    wanted = _wanted(request, plan)
    with attempt(layout, request.source.key, heartbeat) as opened:
        reused = opened.keep_only([identity_of(each) for each in wanted])
        total = _check_size(request, plan, reused)
        meter.say(f"fetching {request.source.display}: {_in_words(plan, total, reused)}")
        meter.begin(total, reused)
        download = Download(client.retries, meter, Limits(request.connections, request.limit_rate, request.most), total)
        try:
            received = download.receive(wanted, opened)
        finally:
            meter.end()
        states = b"".join(state for file in received for state in file.states)
        manifest = publish(layout, opened.files, _manifest(request, plan, wanted, received, states), states)
    _check_kept_hashes(request, manifest)
    return manifest


def _wanted(request: Request, plan: Plan) -> list[Wanted]:
    """Return the files of a plan with their names in the entry and the hashes they must have."""
    from llmkube_downloader.transfer.download import Wanted

    hashes = _expected_hashes(request, plan)
    names = entry_names([remote.path for remote in plan.files])
    return [Wanted(remote, names[remote.path], hashes[remote.path]) for remote in plan.files]


def _clear_the_way(request: Request, layout: Layout, meter: Meter) -> None:
    """Remove what dead attempts left, and refuse to work on what is not ours."""
    from llmkube_downloader.store.publish import refuse_foreign
    from llmkube_downloader.store.trash import empty_trash

    entry = look(layout, request.source.key)
    refuse_foreign(layout, entry)
    if entry.state is State.DAMAGED:
        meter.say(f"{entry.path} is damaged ({entry.problem}); it is fetched anew and then moved aside")
    empty_trash(layout)


def _client(request: Request, meter: Meter) -> HttpClient:
    from llmkube_downloader.credentials import hub_endpoint, hub_token
    from llmkube_downloader.transfer.address import AllowedHttp, parse_address
    from llmkube_downloader.transfer.client import HttpClient
    from llmkube_downloader.transfer.retry import Retries

    hub, token = parse_address(hub_endpoint()), hub_token()
    # Whoever sets an HF_ENDPOINT of http:// has thereby allowed it.
    allowed = request.allow_http | ({hub.host} if hub.scheme == "http" else set())
    tokens = {hub.origin: token} if token else {}
    return HttpClient(AllowedHttp(allowed), Retries(meter.say), request.stall_timeout, tokens)


def _expected_hashes(request: Request, plan: Plan) -> dict[str, str | None]:
    """Return what each remote file's SHA-256 has to be, as the user or the origin says, None when neither does."""
    names = entry_names([remote.path for remote in plan.files])
    _check_hashes_are_for(request, names)
    given = {path: _hash_for(request, path, names[path], only=len(names) == 1) for path in names}
    for remote in plan.files:
        if given[remote.path] and remote.sha256 and given[remote.path] != remote.sha256:
            raise _other_hash(remote.path, given[remote.path], f"its origin announces {remote.sha256}")
    return {remote.path: given[remote.path] or remote.sha256 for remote in plan.files}


def _check_hashes_are_for(request: Request, names: dict[str, str]) -> None:
    """Refuse an expectation that nothing would be compared with; ``names`` maps paths at the origin to the entry's."""
    unknown = set(request.hashes) - {"", *names, *names.values()}
    if unknown or ("" in request.hashes and len(names) > 1):
        raise DownloaderError(
            ExitCode.USAGE,
            f"--sha256 is for {', '.join(sorted(unknown)) or 'one file'}, selected are {', '.join(sorted(names))}",
            "Give --sha256 PATH=HEX with the path of a selected file.",
        )


def _hash_for(request: Request, origin: str, name: str, *, only: bool) -> str | None:
    hashes = request.hashes
    return hashes.get(origin) or hashes.get(name) or (hashes.get("") if only else None)


def _check_kept_hashes(request: Request, manifest: Manifest) -> None:
    """Compare what the user expects with what was proven when the entry was built."""
    _check_hashes_are_for(request, {file.origin: file.path for file in manifest.files})
    for file in manifest.files:
        expected = _hash_for(request, file.origin, file.path, only=len(manifest.files) == 1)
        if expected and expected != file.sha256:
            raise _other_hash(file.origin, expected, f"the entry {manifest.key} has {file.sha256}")


def _other_hash(path: str, expected: str | None, found: str) -> DownloaderError:
    return DownloaderError(
        ExitCode.INTEGRITY,
        f"{path} should have sha256 {expected}, {found}",
        "Correct --sha256 if the model is meant to have changed; otherwise do not trust this source.",
    )


def _check_size(request: Request, plan: Plan, reused: int) -> int | None:
    """Refuse a plan that is too large for the user or the volume; return its bytes, None when nobody knows."""
    from llmkube_downloader.store.volume import check_space
    from llmkube_downloader.transfer.download import too_large

    known = sum(remote.size or 0 for remote in plan.files)
    complete = all(remote.size is not None for remote in plan.files)
    if request.most is not None and known > request.most:
        raise too_large(f"{request.source.display} has {human_size(known)},", request.most)
    total = known if complete else request.expect_size
    check_space(request.root, max(known, total or 0) - reused)
    return total


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
