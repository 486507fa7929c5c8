"""Removing what is not used, so that a volume does not fill up. What somebody uses, fetches or pinned stays."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.maintenance.holdings import Scope, holdings
from llmkube_downloader.maintenance.keys import opened
from llmkube_downloader.maintenance.planning import Criteria, Item, Kind, Plan, Victim, plan
from llmkube_downloader.report import SCHEMA, usage_json
from llmkube_downloader.store.disk import file_server_now, storage_errors
from llmkube_downloader.store.generations import generations, is_superseded
from llmkube_downloader.store.removal import Doomed, remove_all, remove_leftover
from llmkube_downloader.store.trash import empty_trash
from llmkube_downloader.store.volume import usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from llmkube_downloader.store.layout import Layout


@dataclass
class _Course:
    """How a prune went.

    - removed: what went, or would go.
    - refused: what somebody began to use meanwhile, with the reason.
    - pending: bytes that the volume does not give back yet.
    - plan: the last one made: what is still missing.
    """

    plan: Plan
    removed: list[Victim] = field(default_factory=list)
    refused: list[Item] = field(default_factory=list)
    pending: int = 0


def prune(root: Path, criteria: Criteria, scope: Scope, *, dry_run: bool) -> dict[str, Any]:
    """Remove what the criteria ask for, with what is of no use to anybody, as ``prune -o json`` shows it.

    - scope: what may be touched of it.
    - dry_run: change nothing, and say what would be removed.

    Raises DownloaderError: USAGE without criteria; NOT_FOUND; VOLUME.
    """
    if criteria.is_empty:
        raise DownloaderError(
            ExitCode.USAGE,
            "prune was not told what to remove",
            "Give --max-bytes, --older-than, --unused or --min-free, and --dry-run to see what that comes to.",
        )
    layout = opened(root)
    now = time.time() if dry_run else _now(layout)
    found, free = holdings(layout, now, scope), usage(root).free
    course = _Course(plan(found, criteria, now, free))
    if dry_run:
        course.removed = course.plan.victims
    else:
        _follow(layout, course, found, partial(plan, criteria=criteria, now=now), free, scope)
        with storage_errors(f"removing from {layout.trash}"):
            empty_trash(layout)
    return _report(root, course, dry_run=dry_run)


def _now(layout: Layout) -> float:
    with storage_errors(f"writing to {layout.state}"):
        layout.state.mkdir(exist_ok=True)
        return file_server_now(layout.state)


def _follow(
    layout: Layout, course: _Course, found: Sequence[Item], planned: Callable[..., Plan], free: int, scope: Scope
) -> None:
    """Remove one after the other, and plan again after each: somebody may have begun to use it."""
    left = list(found)
    while course.plan.victims:
        victim = course.plan.victims[0]
        left.remove(victim.item)
        try:
            course.pending += _remove(layout, victim.item, scope)
            course.removed.append(victim)
            free += victim.item.bytes
        except DownloaderError as error:
            if error.code is not ExitCode.POLICY:
                raise
            left.append(replace(victim.item, kept=error.cause))
            course.refused.append(left[-1])
        course.plan = planned(left, free=free)


def _remove(layout: Layout, item: Item, scope: Scope) -> int:
    """Remove an item and return the bytes that the volume does not give back yet.

    Raises DownloaderError: POLICY, when somebody uses it or fetches its key.
    """
    if item.kind in (Kind.ATTEMPT, Kind.DAMAGED):
        return remove_leftover(layout, item.key, item.path)
    if item.kind is Kind.SUPERSEDED:
        name = item.path.name
        superseded = Doomed(
            item.key,
            (name,),
            whole=False,
            counts=lambda use: scope.counts(use) and use.may_have(name),
            is_due=lambda: is_superseded(layout, item.key, name),
        )
        return remove_all(layout, [superseded], force=False)
    return remove_all(
        layout, [Doomed(item.key, tuple(generations(layout, item.key)), counts=scope.counts)], force=False
    )


def _report(root: Path, course: _Course, *, dry_run: bool) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "root": str(root),
        "volume": usage_json(usage(root)),
        "dryRun": dry_run,
        "removed": [{**_item_json(victim.item), "reason": victim.reason.value} for victim in course.removed],
        "kept": [{**_item_json(item), "cause": item.kept} for item in course.refused],
        "bytes": sum(victim.item.bytes for victim in course.removed),
        **({"pendingBytes": course.pending} if course.pending else {}),
        **({"overBytes": course.plan.over} if course.plan.over else {}),
        **({"shortBytes": course.plan.short} if course.plan.short else {}),
    }


def _item_json(item: Item) -> dict[str, Any]:
    return {
        "key": item.key,
        "entry": str(item.path),
        "kind": item.kind.value,
        "bytes": item.bytes,
        "lastUsed": datetime.fromtimestamp(item.used, timezone.utc).isoformat(timespec="seconds"),
    }
