"""What the user and the origin promise of a model: hashes and sizes, held against each other and against the volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.layout import entry_names
from llmkube_downloader.units import human_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkube_downloader.request import Request
    from llmkube_downloader.sources.interface import Plan
    from llmkube_downloader.store.manifest import Manifest


def expected_hashes(hashes: Mapping[str, str], announced: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return what each file's SHA-256 has to be, as the user or the origin says, None when neither does.

    - hashes: what the user expects, by the path at the source or in the entry; the empty path stands for the only file.
    - announced: what the origin says of each file, by its path there.

    Raises DownloaderError: USAGE, when one is for no such file; INTEGRITY, when both say something else.
    """
    names = entry_names(list(announced))
    _check_hashes_are_for(hashes, names)
    given = {path: _hash_for(hashes, path, names[path], only=len(names) == 1) for path in names}
    for path, sha256 in announced.items():
        if given[path] and sha256 and given[path] != sha256:
            raise _other_hash(path, given[path], f"its origin announces {sha256}")
    return {path: given[path] or announced[path] for path in names}


def _check_hashes_are_for(hashes: Mapping[str, str], names: dict[str, str]) -> None:
    """Refuse an expectation that nothing would be compared with; ``names`` maps paths at the origin to the entry's."""
    unknown = set(hashes) - {"", *names, *names.values()}
    if unknown or ("" in hashes and len(names) > 1):
        raise DownloaderError(
            ExitCode.USAGE,
            f"--sha256 is for {', '.join(sorted(unknown)) or 'one file'}, selected are {', '.join(sorted(names))}",
            "Give --sha256 PATH=HEX with the path of a selected file.",
        )


def _hash_for(hashes: Mapping[str, str], origin: str, name: str, *, only: bool) -> str | None:
    return hashes.get(origin) or hashes.get(name) or (hashes.get("") if only else None)


def check_kept_hashes(hashes: Mapping[str, str], manifest: Manifest) -> None:
    """Compare what the user expects with what was proven when the entry was built.

    Raises DownloaderError: as ``expected_hashes`` does.
    """
    _check_hashes_are_for(hashes, {file.origin: file.path for file in manifest.files})
    for file in manifest.files:
        expected = _hash_for(hashes, file.origin, file.path, only=len(manifest.files) == 1)
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
