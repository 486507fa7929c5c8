"""What lies on a volume: entries that are damaged or not ours, and what dead processes left."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from llmkube_downloader.doctor.finding import Finding, fine, of_error, problem, warning
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.beacon import is_stale
from llmkube_downloader.store.disk import names_in, size_of_tree, storage_errors
from llmkube_downloader.store.entry import Entry, State, survey
from llmkube_downloader.store.lease import is_abandoned
from llmkube_downloader.store.life import Life, life_of_attempt
from llmkube_downloader.store.volume import check_format
from llmkube_downloader.units import human_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from llmkube_downloader.store.layout import Layout

_FORMAT, _ENTRIES, _LEFTOVERS = "format", "entries", "leftovers"
# Directories that a process makes beside the entries for moments, by the beginning of their names.
_PASSING = ".llmkube."


def examine(layout: Layout) -> list[Finding]:
    """Return what is found on a volume that can be read."""
    checks = ((_FORMAT, _format), (_ENTRIES, _entries), (_LEFTOVERS, _leftovers))
    return [finding for check, look in checks for finding in _found(check, look, layout)]


def _found(check: str, look: Callable[[Layout], list[Finding]], layout: Layout) -> list[Finding]:
    """Return what one look finds; that it was not possible is a finding, too."""
    try:
        with storage_errors(f"reading {layout.root}"):
            return look(layout)
    except DownloaderError as error:
        return [of_error(check, layout.root, error)]


def _format(layout: Layout) -> list[Finding]:
    check_format(layout)
    known = layout.format.name in names_in(layout.state)
    return [fine(_FORMAT, "known" if known else "none: nothing was fetched here yet", layout.root)]


def _entries(layout: Layout) -> list[Finding]:
    entries = [entry for entry in survey(layout) if layout.state not in entry.path.parents]
    whole = [entry.manifest for entry in entries if entry.state is State.COMPLETE and entry.manifest]
    size = human_size(sum(manifest.size for manifest in whole))
    found = [fine(_ENTRIES, f"{len(whole)} complete, {size}", layout.root)]
    found += [_damaged(entry) for entry in entries if entry.state is State.DAMAGED]
    foreign = [entry for entry in entries if entry.state is State.FOREIGN]
    found += [_in_the_way(entry, layout) for entry in foreign if entry.key]
    others = [entry.path for entry in foreign if not entry.key]
    if others:
        found.append(fine(_ENTRIES, f"directories of others: {len(others)}, {_size(others)}", layout.root))
    return found


def _damaged(entry: Entry) -> Finding:
    action = "Fetch its source again, which moves this one aside; or remove it."
    return problem(_ENTRIES, f"damaged: {entry.problem}", entry.path, action, ExitCode.INTEGRITY)


def _in_the_way(entry: Entry, layout: Layout) -> Finding:
    action = f"Make it an entry with `llmkube-downloader adopt --root {layout.root}`, or move it away."
    return warning(_ENTRIES, f"{_size([entry.path])} without a manifest, in the way of an entry", entry.path, action)


def _leftovers(layout: Layout) -> list[Finding]:
    found = [finding for key in names_in(layout.all_leases) for finding in _abandoned_lease(layout, key)]
    found += [finding for key in names_in(layout.all_staging) for finding in _dead_attempts(layout, key)]
    found += [finding for name in names_in(layout.adopting) for finding in _adoption(layout, name)]
    found += [_in_trash(layout.trash / name) for name in names_in(layout.trash)]
    found += [_aside(layout.quarantine / name) for name in names_in(layout.quarantine)]
    passing = [layout.root / name for name in names_in(layout.root) if name.startswith(_PASSING)]
    found += [_probe(path) for path in passing if _is_silent(path)]
    return found or [fine(_LEFTOVERS, "none", layout.root)]


def _abandoned_lease(layout: Layout, key: str) -> list[Finding]:
    with suppress(OSError):
        # Where nothing can be written, the time of the file server can not be asked for: the lease may be alive.
        if is_abandoned(layout, key):
            action = f"Fetch the source of {key} again, which takes the lease over, or remove {key}."
            return [warning(_LEFTOVERS, "the lease of a process that died fetching", layout.leases(key), action)]
    return []


def _dead_attempts(layout: Layout, key: str) -> list[Finding]:
    attempts = [layout.staging(key) / name for name in names_in(layout.staging(key))]
    dead = [attempt for attempt in attempts if not _may_live(attempt)]
    if not dead:
        return []
    action = f"Fetch the source of {key} again, which goes on with it, or remove {key}."
    return [warning(_LEFTOVERS, f"{_size(dead)} of a fetch that was cut off", layout.staging(key), action)]


def _adoption(layout: Layout, name: str) -> list[Finding]:
    path = layout.adopting / name
    if _may_live(path):
        return []
    action = f"Run `llmkube-downloader adopt --root {layout.root}`: first of all it puts back what was taken."
    return [warning(_LEFTOVERS, f"{_size([path])} of an adoption that was cut off", path, action)]


def _in_trash(path: Path) -> Finding:
    action = "Any `remove` or `fetch` tries again to free the space."
    return warning(_LEFTOVERS, f"{_size([path])} in the trash, still open somewhere", path, action)


def _aside(path: Path) -> Finding:
    action = f"Remove it with the rest of its key: llmkube-downloader remove {path.name.partition('.')[0]}."
    return warning(_LEFTOVERS, f"{_size([path])} of a damaged entry that was moved aside", path, action)


def _probe(path: Path) -> Finding:
    return warning(_LEFTOVERS, "a probe that was cut off", path, "Remove this directory.")


def _may_live(attempt: Path) -> bool:
    with suppress(OSError):
        return life_of_attempt(attempt) is Life.LIVE
    return True


def _is_silent(path: Path) -> bool:
    """Return whether nothing happened for a minute; where that can not be found out, something may have."""
    with suppress(OSError):
        return is_stale(path)
    return False


def _size(paths: Iterable[Path]) -> str:
    return human_size(sum(map(size_of_tree, paths)))
