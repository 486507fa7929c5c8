"""Removing what users name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.maintenance.keys import checked_key, no_entry, opened
from llmkube_downloader.report import SCHEMA, usage_json
from llmkube_downloader.store.disk import size_of_tree, storage_errors
from llmkube_downloader.store.entry import State, inspect, quarantined
from llmkube_downloader.store.generations import generations
from llmkube_downloader.store.lease import holder_of
from llmkube_downloader.store.removal import Doomed, being_fetched, in_use, remove_all
from llmkube_downloader.store.trash import empty_trash
from llmkube_downloader.store.users import Use, who_uses
from llmkube_downloader.store.volume import usage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from llmkube_downloader.store.layout import Layout


@dataclass(frozen=True)
class Removal:
    """What removing a key comes to.

    - doomed: everything on the volume that belongs to the key.
    - bytes: what that takes.
    - harmed: who uses or fetches it, in words; empty unless forced.
    """

    doomed: Doomed
    bytes: int
    harmed: tuple[str, ...] = ()


def plan_removal(root: Path, keys: Sequence[str], *, force: bool, gone_pods: Collection[str] = ()) -> list[Removal]:
    """Return what removing keys would remove.

    - gone_pods: UIDs of pods that exist no more; their leases do not count.

    Raises DownloaderError: NOT_FOUND for a key that is not there; POLICY for one that is used, pinned or being fetched,
    or that holds files of others, unless forced.
    """
    layout = opened(root)
    keys = list(dict.fromkeys(map(checked_key, keys)))
    gone = frozenset(gone_pods)

    def counts(use: Use) -> bool:
        return use.pod not in gone

    with storage_errors(f"reading {root}"):
        return [_plan_one(layout, key, counts, force=force) for key in keys]


def remove(root: Path, removals: Sequence[Removal], *, force: bool) -> dict[str, Any]:
    """Remove what was planned, as ``remove -o json`` shows it.

    Raises DownloaderError: POLICY, when somebody began to use or fetch a key meanwhile: then nothing is removed;
    VOLUME, when the volume is read-only.
    """
    layout = opened(root)
    pending = remove_all(layout, [removal.doomed for removal in removals], force=force)
    with storage_errors(f"removing from {layout.trash}"):
        empty_trash(layout)
    return {
        "schema": SCHEMA,
        "root": str(root),
        "volume": usage_json(usage(root)),
        "removed": [{"key": removal.doomed.key, "bytes": removal.bytes} for removal in removals],
        **({"pendingBytes": pending} if pending else {}),
    }


def _plan_one(layout: Layout, key: str, counts: Callable[[Use], bool], *, force: bool) -> Removal:
    names = generations(layout, key)
    attempts = [layout.staging(key)] if layout.staging(key).exists() else []
    rest = (*attempts, *(damaged.path for damaged in quarantined(layout) if damaged.key == key))
    if not names and not rest:
        raise no_entry(layout, key)
    if not force:
        _refuse_foreign(layout, key, names)
    size = sum(size_of_tree(path) for path in (*(layout.root / name for name in names), *rest))
    return Removal(Doomed(key, tuple(names), rest, counts=counts), size, _harmed(layout, key, counts, force=force))


def _harmed(layout: Layout, key: str, counts: Callable[[Use], bool], *, force: bool) -> tuple[str, ...]:
    holder = holder_of(layout, key)
    users = who_uses(layout, key, counts)
    if holder and not force:
        raise being_fetched(key, holder)
    if users and not force:
        raise in_use(key, users)
    return (*users, *([f"the fetch of {holder}"] if holder else []))


def _refuse_foreign(layout: Layout, key: str, names: Sequence[str]) -> None:
    for name in names:
        if inspect(layout.root / name, key).state is State.FOREIGN:
            raise DownloaderError(
                ExitCode.POLICY,
                f"{layout.root / name} holds files that llmkube-downloader did not write",
                "Remove it all the same with --force.",
            )
