"""What a fetch finds under the name of its key, put there by others: the entry, when it is what the source has."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from llmkube_downloader.adopt.entering import Entering, refuse_renaming
from llmkube_downloader.adopt.in_root import find_in_root
from llmkube_downloader.adopt.origin import matching
from llmkube_downloader.adopt.reading import check_structure
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.expectations import expected_hashes
from llmkube_downloader.places import from_first, places
from llmkube_downloader.request import Refresh
from llmkube_downloader.store.disk import storage_errors
from llmkube_downloader.store.publish import refuse_foreign
from llmkube_downloader.units import human_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkube_downloader.adopt.candidate import Candidate
    from llmkube_downloader.places import Place
    from llmkube_downloader.request import Request
    from llmkube_downloader.sources.interface import Plan
    from llmkube_downloader.store.beacon import Heartbeat
    from llmkube_downloader.store.entry import Entry
    from llmkube_downloader.store.layout import Layout
    from llmkube_downloader.transfer.client import HttpClient
    from llmkube_downloader.transfer.progress import Meter

# What says that files are something else than the source, and not that a volume or an origin is in trouble.
_ANOTHER_MODEL = (ExitCode.INTEGRITY, ExitCode.NOT_FOUND, ExitCode.POLICY)


def adopt_found(
    request: Request, entry: Entry, layout: Layout, client: HttpClient, meter: Meter, heartbeat: Heartbeat
) -> None:
    """Make a directory of others the entry that a fetch wants. The build lease of its key is ours meanwhile.

    - entry: the directory, which has the name of the source's key.

    Raises DownloaderError: POLICY, when it is not what the source has, which changes nothing; and what an origin that
    can not be asked raises.
    """
    with _refused(layout, entry, _ANOTHER_MODEL):
        found, left = find_in_root(layout, request.source)
        if left:
            raise left[0].error
        [candidate] = found
        with storage_errors(f"reading {candidate.place}"):
            for file in candidate.files:
                check_structure(file)
    refuse_renaming(candidate, entry.path)
    entering = Entering(layout, heartbeat, meter, move=False)
    with _refused(layout, entry, (ExitCode.INTEGRITY,)):
        from_first(places(request, client), partial(_enter, request, candidate, entering), meter.say)


def _enter(request: Request, candidate: Candidate, entering: Entering, place: Place) -> None:
    """Make a candidate an entry when it is what a place has."""
    promised = _promised(request, candidate, place.resolve())
    meter = entering.meter
    meter.say(f"adopting {candidate.place} as {candidate.title}: {human_size(candidate.size)}")
    meter.begin(candidate.size, 0)
    try:
        entering.in_place(promised)
    finally:
        meter.end()


def _promised(request: Request, candidate: Candidate, plan: Plan) -> Candidate:
    """Return a candidate with the hashes that its origin and the user promise.

    Raises DownloaderError: INTEGRITY, when it is something else, or when too little is known to tell.
    """
    if request.most is not None and candidate.size > request.most:
        raise _doubtful(f"{candidate.place} has {human_size(candidate.size)}, {human_size(request.most)} are expected")
    hashes = expected_hashes(request.hashes, {remote.path: remote.sha256 for remote in plan.files})
    for remote in plan.files:
        if not hashes[remote.path] and (remote.size is None or request.refresh is Refresh.ALWAYS):
            raise _doubtful(f"nobody says which hash {remote.path} has to have")
    promised = matching(candidate, plan)
    return replace(promised, files=tuple(replace(file, sha256=hashes[file.name]) for file in promised.files))


@contextmanager
def _refused(layout: Layout, entry: Entry, codes: tuple[ExitCode, ...]) -> Iterator[None]:
    """Turn errors of these codes into the refusal of files that are not ours, with the reason."""
    try:
        yield
    except DownloaderError as error:
        if error.code not in codes:
            raise
        refuse_foreign(layout, entry, error.cause)
        raise


def _doubtful(cause: str) -> DownloaderError:
    return DownloaderError(ExitCode.INTEGRITY, cause, "Adopt the directory with llmkube-downloader adopt.")
