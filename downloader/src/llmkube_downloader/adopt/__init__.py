"""Adopting: what others downloaded becomes entries, without being downloaded again.

Every file is read once: hashed, checked for being what its name says, and compared with what its origin promised,
where that is known. What is damaged or not whole is left where it is, with the reason.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from llmkube_downloader.adopt.candidate import Candidate, Left
from llmkube_downloader.adopt.entering import Entering, is_movable, refuse_renaming
from llmkube_downloader.adopt.folder import find_folder
from llmkube_downloader.adopt.hub_cache import find_in_hub_cache, repositories_in
from llmkube_downloader.adopt.in_root import find_in_root
from llmkube_downloader.adopt.origin import confirmed
from llmkube_downloader.adopt.reading import check_structure
from llmkube_downloader.adopt.workplace import put_back_interrupted
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.expectations import check_kept_hashes, expected_hashes
from llmkube_downloader.report import SCHEMA, usage_json
from llmkube_downloader.store.disk import names_in, storage_errors
from llmkube_downloader.store.entry import State, check_root, look
from llmkube_downloader.store.layout import MANIFEST_NAME, Layout
from llmkube_downloader.store.lease import held, holder_of, try_take
from llmkube_downloader.store.publish import refuse_foreign
from llmkube_downloader.store.volume import check_format, prepare, usage
from llmkube_downloader.units import human_size

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmkube_downloader.key import Source
    from llmkube_downloader.transfer.client import HttpClient
    from llmkube_downloader.transfer.progress import Meter


@dataclass(frozen=True)
class Wish:
    """What a user wants adopted, and how.

    - root: the directory that holds the entries; absolute.
    - place: where files of others lie; None for directories of the root.
    - source: what they are of; None when that is to be found out.
    - hashes: the expected SHA-256 of its files by path; the empty path stands for the only file.
    - move: whether they may be taken from where they lie, and renamed.
    - dry_run: whether to say only what would be done.
    """

    root: Path
    place: Path | None = None
    source: Source | None = None
    hashes: dict[str, str] = field(default_factory=dict)
    move: bool = False
    dry_run: bool = False


@dataclass
class _Result:
    """What adopting came to so far."""

    adopted: list[dict[str, Any]] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)


def adopt(wish: Wish, client: HttpClient | None, meter: Meter) -> dict[str, Any]:
    """Make entries of what others downloaded, as ``adopt -o json`` shows it.

    - client: asks the origins what the files should be; None when they are not to be asked.

    Raises DownloaderError: NOT_FOUND, when there is nothing where the user says; USAGE, when the user has to say what
    it is; VOLUME and so on. What one candidate lacks is no error but in the report.
    """
    layout = Layout(wish.root)
    result = _Result()
    _prepare(wish, layout, result)
    candidates, left = _candidates(wish, layout, meter.say)
    result.left += left
    for candidate in _marked(candidates):
        try:
            result.adopted.append(_adopt_one(candidate, wish, layout, client, meter))
        except DownloaderError as error:  # noqa: PERF203 - there are few
            result.left.append(Left(candidate.place, error))
    return {
        "schema": SCHEMA,
        "root": str(wish.root),
        "dryRun": wish.dry_run,
        "volume": usage_json(usage(wish.root)) if wish.root.is_dir() else None,
        "adopted": result.adopted,
        "left": [_left_json(left) for left in result.left],
    }


def exit_code(report: dict[str, Any]) -> int:
    """Return what the process ends with: the code of the first thing that could not be adopted."""
    return int(report["left"][0]["code"]) if report["left"] else ExitCode.OK


def _prepare(wish: Wish, layout: Layout, result: _Result) -> None:
    if wish.place is None:
        check_root(layout)
    if wish.dry_run:
        check_format(layout)
        return
    prepare(layout)
    result.left += [Left(place, error) for place, error in put_back_interrupted(layout)]


def _candidates(wish: Wish, layout: Layout, say: Callable[[str], None]) -> tuple[list[Candidate], list[Left]]:
    """Return what could become entries, and what could not."""
    if wish.source and look(layout, wish.source.key).state is State.COMPLETE:
        # Its files may have been taken by the adoption that made it.
        return [Candidate(wish.place or layout.root, wish.source.key, wish.source, None, ())], []
    if wish.place is None:
        return find_in_root(layout, wish.source)
    if not wish.place.exists():
        raise DownloaderError(ExitCode.NOT_FOUND, f"there is no {wish.place}", "Correct --from.")
    with storage_errors(f"reading {wish.place}"):
        repositories = repositories_in(wish.place)
        if repositories:
            return find_in_hub_cache(repositories, wish.source, say)
        if _is_of_cache(wish.place, layout):
            raise DownloaderError(
                ExitCode.POLICY,
                f"{wish.place} belongs to the cache {layout.root} itself",
                "Leave --from out to make directories of the root entries where they lie.",
            )
    if wish.source is None:
        raise DownloaderError(
            ExitCode.USAGE,
            f"{wish.place} does not say what it holds",
            "Name its source, such as --source hf://org/repo or --source https://host/model.gguf.",
        )
    return [find_folder(wish.place, wish.source)], []


def _is_of_cache(place: Path, layout: Layout) -> bool:
    """Return whether a place is part of an entry or of our own state, or holds the whole cache."""
    real, root = place.resolve(), layout.root.resolve()
    if not real.is_relative_to(root) or real == root:
        return root.is_relative_to(real)
    first = real.relative_to(root).parts[0]
    return first == layout.state.name or MANIFEST_NAME in names_in(root / first)


def _marked(candidates: list[Candidate]) -> list[Candidate]:
    """Mark what several candidates are made of: taken by the first one, the others would miss it."""
    uses = Counter(file.path for candidate in candidates for file in candidate.files)
    return [
        replace(
            candidate,
            files=tuple(replace(file, shared=file.shared or uses[file.path] > 1) for file in candidate.files),
        )
        for candidate in candidates
    ]


def _adopt_one(
    candidate: Candidate, wish: Wish, layout: Layout, client: HttpClient | None, meter: Meter
) -> dict[str, Any]:
    entry = look(layout, candidate.key)
    if entry.state is State.COMPLETE and entry.manifest:
        check_kept_hashes(wish.hashes, entry.manifest)
        return _adopted_json(layout, candidate, "present", 0)
    if not candidate.in_place:
        refuse_foreign(layout, entry)
    elif not wish.move:
        refuse_renaming(candidate, entry.path)
    if client is not None:
        candidate = confirmed(candidate, client)
    candidate = _expected(candidate, wish.hashes)
    if wish.dry_run:
        return _adopted_json(layout, candidate, "planned", _to_copy(candidate, wish))
    meter.say(f"adopting {candidate.place} as {candidate.title}: {human_size(candidate.size)}")
    copied = _enter(candidate, wish, layout, meter)
    return _adopted_json(layout, candidate, "adopted", copied)


def _expected(candidate: Candidate, hashes: dict[str, str]) -> Candidate:
    """Return a candidate whose files have to have the hashes that the user expects, too."""
    expected = expected_hashes(hashes, {file.name: file.sha256 for file in candidate.files})
    return replace(candidate, files=tuple(replace(file, sha256=expected[file.name]) for file in candidate.files))


def _enter(candidate: Candidate, wish: Wish, layout: Layout, meter: Meter) -> int:
    """Make an entry of a candidate, and return the bytes that were copied."""
    with storage_errors(f"taking the build lease of {candidate.key}"):
        lease = try_take(layout, candidate.key)
    if lease is None:
        raise _being_fetched(candidate, holder_of(layout, candidate.key) or "another process")
    meter.begin(candidate.size, 0)
    try:
        with held(lease, meter.progress) as heartbeat:
            entering = Entering(layout, heartbeat, meter, wish.move)
            return entering.in_place(candidate) if candidate.in_place else entering.from_elsewhere(candidate)
    finally:
        meter.end()


def _to_copy(candidate: Candidate, wish: Wish) -> int:
    """Return the bytes that adopting would copy where files can not share their blocks; refuse what is damaged."""
    with storage_errors(f"reading {candidate.place}"):
        for file in candidate.files:
            check_structure(file)
        if candidate.in_place:
            return 0
        root = next(path for path in (wish.root, *wish.root.parents) if path.exists())
        return sum(file.size for file in candidate.files if not (wish.move and is_movable(file, root)))


def _adopted_json(layout: Layout, candidate: Candidate, result: str, copied: int) -> dict[str, Any]:
    manifest = look(layout, candidate.key).manifest
    verified = all(file.sha256 for file in candidate.files)
    return {
        "result": result,
        "key": candidate.key,
        "entry": str(layout.entry(candidate.key)),
        "from": str(candidate.place),
        "source": manifest.source if manifest else candidate.title,
        "revision": manifest.revision if manifest else candidate.revision,
        "files": len(manifest.files) if manifest else len(candidate.files),
        "bytes": manifest.size if manifest else candidate.size,
        "bytesCopied": copied,
        "verified": manifest.verified if manifest else "sha256" if verified else "size",
    }


def _left_json(left: Left) -> dict[str, Any]:
    error = left.error
    return {"from": str(left.place), "code": int(error.code), "cause": error.cause, "action": error.action}


def _being_fetched(candidate: Candidate, holder: str) -> DownloaderError:
    return DownloaderError(
        ExitCode.POLICY, f"{candidate.key} is being fetched by {holder}", "Wait for it to end, then start again."
    )
