"""What the origin of a candidate says that it should be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmkube_downloader.adopt.candidate import Candidate, Original
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.key import parse_source
from llmkube_downloader.sources import origin_of

if TYPE_CHECKING:
    from llmkube_downloader.sources.interface import Plan, RemoteFile
    from llmkube_downloader.transfer.client import HttpClient


def confirmed(candidate: Candidate, client: HttpClient) -> Candidate:
    """Return a candidate with the files, hashes and revision that its origin has.

    Raises DownloaderError: POLICY, when the source is not known; INTEGRITY, when the candidate lacks a file, or has one
    of another size; and what the origin raises.
    """
    source = candidate.source
    if source is None:
        raise DownloaderError(
            ExitCode.POLICY,
            f"the origin of {candidate.place} can not be asked: its source is not known",
            "Name it with --source, or adopt without --verify-origin.",
        )
    if source.scheme == "hf" and candidate.revision:
        # What the branch has become since says nothing about these files.
        source = parse_source(
            f"hf://{source.location}",
            revision=candidate.revision,
            files=source.files,
            include=source.include,
            exclude=source.exclude,
        )
    return matching(candidate, origin_of(source, client).resolve(source))


def matching(candidate: Candidate, plan: Plan) -> Candidate:
    """Return a candidate with the files, hashes and revision of a plan.

    Raises DownloaderError: INTEGRITY, when it lacks a file, or has one of another size.
    """
    present = {file.name: file for file in candidate.files}
    wanted = {remote.path: remote for remote in plan.files}
    missing = sorted(wanted.keys() - present.keys())
    if missing:
        raise _differs(f"{candidate.place} lacks {missing[0]}, which {candidate.title} has")
    strange = sorted(present.keys() - wanted.keys())
    if strange and candidate.in_place:
        raise _differs(f"{candidate.place} holds {strange[0]}, which {candidate.title} has not")
    files = tuple(_confirmed(present[path], wanted[path]) for path in sorted(wanted))
    return replace(candidate, files=files, revision=plan.revision)


def _confirmed(original: Original, remote: RemoteFile) -> Original:
    if remote.size is not None and remote.size != original.size:
        raise _differs(f"{original.path} has {original.size} bytes, its origin says {remote.size}")
    if original.sha256 and remote.sha256 and original.sha256 != remote.sha256:
        raise _differs(f"{original.path} is named by sha256 {original.sha256}, its origin says {remote.sha256}")
    return replace(original, sha256=remote.sha256 or original.sha256)


def _differs(cause: str) -> DownloaderError:
    return DownloaderError(
        ExitCode.INTEGRITY, cause, "Correct --source or its revision, or fetch the source instead of adopting this."
    )
