"""Where the content of a source can be had: in other caches, at its mirrors, at the source itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.request import Refresh
from llmkube_downloader.sources import origin_of
from llmkube_downloader.sources.copies import plan_of_entry
from llmkube_downloader.store.entry import State, look
from llmkube_downloader.store.layout import Layout
from llmkube_downloader.transfer.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkube_downloader.key import Source
    from llmkube_downloader.request import Request
    from llmkube_downloader.sources.interface import Plan
    from llmkube_downloader.transfer.client import HttpClient

_Made = TypeVar("_Made")
# What one place lacks, another one may have.
_ELSEWHERE = (
    ExitCode.AUTH,
    ExitCode.NOT_FOUND,
    ExitCode.INTEGRITY,
    ExitCode.ORIGIN_UNAVAILABLE,
    ExitCode.RATE_LIMITED,
    ExitCode.TLS,
)


@dataclass(frozen=True)
class Place:
    """Somewhere to have a model from.

    - name: what messages call it.
    - resolve: asks it what the model consists of.
    """

    name: str
    resolve: Callable[[], Plan]


def places(request: Request, client: HttpClient) -> list[Place]:
    """Return where to ask, in order; the source itself is the last.

    Other caches are not asked when the source is to be looked at for changes: they know no more than the volume does.
    """
    source = request.source.at(request.commit) if request.commit else request.source
    found = [_mirror(source, client, address) for address in request.mirrors]
    found.append(Place(source.display, lambda: origin_of(source, client).resolve(source)))
    return found if request.refresh is not Refresh.NEVER else [*_caches(request), *found]


def from_first(candidates: list[Place], make: Callable[[Place], _Made], say: Callable[[str], None]) -> _Made:
    """Return what is made of the first place that has the model.

    Raises DownloaderError: that of the last place.
    """
    while len(candidates) > 1:
        place, *candidates = candidates
        try:
            return make(place)
        except DownloaderError as error:
            if error.code not in _ELSEWHERE:
                raise
            say(f"{error.cause}; trying {candidates[0].name}")
    return make(candidates[0])


def _caches(request: Request) -> list[Place]:
    entries = [look(Layout(root), request.source.key) for root in request.upstream]
    return [
        Place(str(entry.path), partial(plan_of_entry, entry.path, entry.manifest))
        for entry in entries
        if entry.state is State.COMPLETE and entry.manifest
    ]


def _mirror(source: Source, client: HttpClient, address: str) -> Place:
    """Return the place behind a mirror: another hub for a repository, else the whole address of the file."""
    name = parse_address(address).display
    if source.scheme == "hf":
        from llmkube_downloader.sources.huggingface import HuggingFaceOrigin

        origin = HuggingFaceOrigin(client, address.rstrip("/"))
        return Place(name, lambda: origin.resolve(source))
    from llmkube_downloader.sources.http import HttpOrigin

    return Place(name, lambda: HttpOrigin(client, address).resolve(source))
