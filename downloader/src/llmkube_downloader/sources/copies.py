"""Content that a volume holds already, under another key or in another cache: copied instead of fetched."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmkube_downloader.sources.file import open_local
from llmkube_downloader.sources.interface import Plan, RemoteFile
from llmkube_downloader.store.entry import State, survey
from llmkube_downloader.store.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llmkube_downloader.store.manifest import Manifest


def plan_of_entry(entry: Path, manifest: Manifest) -> Plan:
    """Return the plan to copy an entry of another cache."""
    files = (
        RemoteFile(file.origin, file.size, file.sha256, open_local(place), file.validator, copy=place)
        for file in manifest.files
        for place in [entry / file.path]
    )
    return Plan(manifest.revision, tuple(files))


def with_copies(plan: Plan, roots: Sequence[Path], damaged: Path | None = None) -> Plan:
    """Return a plan in which files are copied that one of the caches has, as their hash says.

    - roots: the caches, in the order in which they are preferred.
    - damaged: an entry that is known not to have what its manifest says.
    """
    wanted = {remote.sha256 for remote in plan.files if remote.sha256 and not remote.copy}
    held = _held(wanted, roots, damaged) if wanted else {}
    return replace(plan, files=tuple(_copied(remote, held) for remote in plan.files))


def _held(wanted: set[str], roots: Sequence[Path], damaged: Path | None) -> dict[str, Path]:
    """Map the hashes that a cache has to files."""
    held: dict[str, Path] = {}
    for root in roots:
        entries = survey(Layout(root)) if root.is_dir() else []
        for entry in entries:
            if entry.state is State.COMPLETE and entry.manifest and entry.path != damaged:
                found = ((file.sha256, entry.path / file.path) for file in entry.manifest.files)
                held = {**{sha256: path for sha256, path in found if sha256 in wanted}, **held}
    return held


def _copied(remote: RemoteFile, held: dict[str, Path]) -> RemoteFile:
    if remote.copy or remote.sha256 not in held:
        return remote
    return replace(remote, open=open_local(held[remote.sha256]), copy=held[remote.sha256])
