"""The way of one fetch, from top to bottom.

What a warm start does not need (the network, threads, the hub's library) is imported by the functions that do.
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, cast

from llmkube_downloader.expectations import check_kept_hashes
from llmkube_downloader.report import Outcome
from llmkube_downloader.request import Refresh, VerifyOnStart
from llmkube_downloader.store.completeness import is_untidy
from llmkube_downloader.store.entry import Entry, State, look
from llmkube_downloader.store.layout import Layout
from llmkube_downloader.store.manifest import Manifest
from llmkube_downloader.store.use import announce, say_opened
from llmkube_downloader.store.volume import usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkube_downloader.maintenance.verifying import Problem
    from llmkube_downloader.request import Request
    from llmkube_downloader.transfer.client import HttpClient
    from llmkube_downloader.transfer.progress import Meter


def fetch(request: Request, meter: Meter) -> Outcome:
    """Make sure that the entry of a source is on the volume, and say how that went.

    Raises DownloaderError: with the code, the cause and what to do.
    """
    began = time.monotonic()
    layout = Layout(request.root)
    announce(layout, request.source.key, meter.say)
    outcome = _fetch(request, layout, meter, began)
    say_opened(layout, request.source.key, outcome.entry.name)
    return outcome


def _fetch(request: Request, layout: Layout, meter: Meter, began: float) -> Outcome:
    entry = look(layout, request.source.key)
    if entry.state is not State.COMPLETE:
        return _fetch_missing(request, layout, meter, began)
    _tidy(layout, entry)
    if request.verify_on_start is not VerifyOnStart.SIZE and (problems := _problems(request, entry)):
        return _repaired(request, layout, entry, problems, meter, began)
    if request.refresh is Refresh.NEVER:
        return _hit(request, entry, began)
    return _refresh(request, layout, entry, meter, began)


def _fetch_missing(request: Request, layout: Layout, meter: Meter, began: float) -> Outcome:
    from llmkube_downloader.build import Builder
    from llmkube_downloader.sources import check_scheme
    from llmkube_downloader.store.lease import held, take_or_join
    from llmkube_downloader.store.volume import prepare

    check_scheme(request.source)
    prepare(layout)
    # A root that was not there could not hold the lease of the pod either.
    announce(layout, request.source.key, meter.say)
    lease = take_or_join(layout, request.source.key, request.lock_wait, meter.say)
    if isinstance(lease, Entry):
        return _hit(request, lease, began)
    with (
        held(lease, meter.progress) as heartbeat,
        open_client(request.allow_http, request.stall_timeout, meter) as client,
    ):
        found = look(layout, request.source.key)
        if foreign := found.state is State.FOREIGN:
            from llmkube_downloader.adopt.by_fetch import adopt_found

            adopt_found(request, found, layout, client, meter, heartbeat)
        else:
            Builder(request, layout, client, meter, heartbeat).build()
        entry = look(layout, request.source.key)
    return _outcome("adopted" if foreign else "fetched", request, entry, meter, client, began)


def _tidy(layout: Layout, entry: Entry) -> None:
    manifest = cast(Manifest, entry.manifest)
    with suppress(OSError):
        # It is no condition of a start.
        if is_untidy(str(layout.root), manifest.key):
            from llmkube_downloader.store.tidying import tidy

            tidy(layout, manifest)


def _problems(request: Request, entry: Entry) -> list[Problem]:
    """Read an entry again, as much of it as was asked for, and return what is wrong with it."""
    from llmkube_downloader.maintenance.verifying import find_problems, sample_problems

    find = find_problems if request.verify_on_start is VerifyOnStart.FULL else sample_problems
    [found] = find([entry], lambda _: None)
    return found


def _repaired(
    request: Request, layout: Layout, entry: Entry, problems: list[Problem], meter: Meter, began: float
) -> Outcome:
    from llmkube_downloader.maintenance.repairing import repair
    from llmkube_downloader.maintenance.verifying import find_problems

    meter.say(f"{entry.path} is damaged: {problems[0].path} {problems[0].problem}; fetching again what is")
    # A sample does not tell what else is damaged.
    [everything] = find_problems([entry], lambda _: None)
    with open_client(request.allow_http, request.stall_timeout, meter) as client:
        repair(
            layout,
            entry,
            everything,
            client,
            meter,
            lock_wait=request.lock_wait,
            connections=request.connections,
            limit_rate=request.limit_rate,
        )
    return _outcome("fetched", request, look(layout, request.source.key), meter, client, began)


def _refresh(request: Request, layout: Layout, entry: Entry, meter: Meter, began: float) -> Outcome:
    from llmkube_downloader.refresh import refresh

    with open_client(request.allow_http, request.stall_timeout, meter) as client:
        newest, stale = refresh(request, layout, client, meter)
    result = "hit" if newest.path == entry.path else "refreshed"
    return _outcome(result, request, newest, meter, client, began, stale=stale)


def _hit(request: Request, entry: Entry, began: float) -> Outcome:
    manifest = cast(Manifest, entry.manifest)
    check_kept_hashes(request.hashes, manifest)
    return Outcome("hit", entry.path, manifest, 0, time.monotonic() - began, 0, usage(request.root), manifest.size)


def _outcome(
    result: str,
    request: Request,
    entry: Entry,
    meter: Meter,
    client: HttpClient,
    began: float,
    *,
    stale: bool = False,
) -> Outcome:
    from llmkube_downloader.store.staging import deleted_meanwhile

    manifest = entry.manifest
    if manifest is None:
        raise deleted_meanwhile(entry.path)
    reused = manifest.size if result in ("hit", "adopted") else meter.reused
    received = 0 if result == "adopted" else meter.received
    seconds, requests, volume = time.monotonic() - began, client.traffic.requests, usage(request.root)
    return Outcome(result, entry.path, manifest, received, seconds, requests, volume, reused, stale=stale)


@contextmanager
def open_client(allow_http: frozenset[str], stall_timeout: float, meter: Meter) -> Iterator[HttpClient]:
    """Yield what asks the network; its connections are closed afterwards."""
    from llmkube_downloader.credentials import authorizations, hub_endpoint
    from llmkube_downloader.transfer.address import AllowedHttp, parse_address
    from llmkube_downloader.transfer.client import HttpClient
    from llmkube_downloader.transfer.retry import Retries

    hub = parse_address(hub_endpoint())
    # Whoever sets an HF_ENDPOINT of http:// has thereby allowed it.
    allowed = allow_http | ({hub.host} if hub.scheme == "http" else set())
    client = HttpClient(AllowedHttp(allowed), Retries(meter.delay), stall_timeout, authorizations())
    with closing(client.pool):
        yield client
