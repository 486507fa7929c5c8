"""What the user and the origin promise of a model: hashes and sizes, held against each other and against the volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.layout import entry_names
from llmkube_downloader.units import human_size

if TYPE_CHECKING:
    from llmkube_downloader.request import Request
    from llmkube_downloader.sources.interface import Plan
    from llmkube_downloader.store.manifest import Manifest


def expected_hashes(request: Request, plan: Plan) -> dict[str, str | None]:
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


def check_kept_hashes(request: Request, manifest: Manifest) -> None:
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


def check_size(request: Request, plan: Plan, allocated: int) -> int | None:
    """Refuse a plan that is too large for the user or the volume; return its bytes, None when nobody knows.

    - allocated: bytes that the volume has given to its files already.
    """
    from llmkube_downloader.store.volume import check_budget, check_space
    from llmkube_downloader.transfer.download import too_large

    known = sum(remote.size or 0 for remote in plan.files)
    complete = all(remote.size is not None for remote in plan.files)
    if request.most is not None and known > request.most:
        raise too_large(f"{request.source.display} has {human_size(known)},", request.most)
    total = known if complete else request.expect_size
    needed = max(0, max(known, total or 0) - allocated)
    if request.budget is not None:
        check_budget(request.root, needed, request.budget)
    check_space(request.root, needed)
    return total
