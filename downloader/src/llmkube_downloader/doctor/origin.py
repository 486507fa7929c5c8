"""Can a source be had from here, and is there room for it? Its first byte is asked for, and nothing kept."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

from llmkube_downloader.doctor.finding import Finding, fine, of_error, problem
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sources.interface import Span
from llmkube_downloader.store.entry import State, look
from llmkube_downloader.store.volume import usage
from llmkube_downloader.units import human_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkube_downloader.key import Source
    from llmkube_downloader.sources.interface import Plan
    from llmkube_downloader.store.layout import Layout

_CHECK, _ROOM = "origin", "room"
_STALL_SECONDS = 20.0
_SMALLER = "Free space on the volume, enlarge the claim, or select less of the source."


def ask(source: Source, layout: Layout, allow_http: frozenset[str]) -> Iterator[Finding]:
    """Yield what an origin says of a source, and whether that fits on the volume."""
    if look(layout, source.key).state is State.COMPLETE:
        yield fine(_CHECK, "is on the volume already: the origin is not asked", source.base)
        return
    try:
        plan = _resolved(source, allow_http)
    except DownloaderError as error:
        yield of_error(_CHECK, source.base, error)
        return
    sizes = [file.size for file in plan.files]
    known = sum(size for size in sizes if size is not None)
    count = f"{len(sizes)} file{'s' if len(sizes) > 1 else ''}"
    unknown = " and what the origin does not say" if None in sizes else ""
    yield fine(_CHECK, f"can be had: {count}, {human_size(known)}{unknown}", source.base)
    free = usage(layout.root).free
    if known > free:
        what = f"it takes {human_size(known)}, and {human_size(free)} are free"
        yield problem(_ROOM, what, source.base, _SMALLER, ExitCode.NO_SPACE)


def _resolved(source: Source, allow_http: frozenset[str]) -> Plan:
    """Return what a source consists of, once a byte of it was handed out: a gated repository shows its list to all."""
    from llmkube_downloader.fetch import open_client
    from llmkube_downloader.sources import origin_of
    from llmkube_downloader.transfer.progress import Meter

    with open_client(allow_http, _STALL_SECONDS, Meter(sys.stderr)) as client:
        plan = origin_of(source, client).resolve(source)
        with closing(plan.files[0].open(Span(0, 1))):
            return plan
