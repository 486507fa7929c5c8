"""What the plugin knows about caches and their entries, however it came to know it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llmkube_plugin import contract, pods

if TYPE_CHECKING:
    from datetime import datetime

    from llmkube_plugin.kube import Object

# States of an entry. What reading a volume shows is named by the downloader: complete, partial, damaged or foreign.
PENDING = "pending"  # a release names it, and nothing has been heard of it yet
FETCHING = "fetching"
FAILED = "failed"
COMPLETE = "complete"
PARTIAL = "partial"  # an unfinished attempt
FOREIGN = "foreign"  # a directory that the downloader did not write
IN_PLACE = "in place"  # served from where it is: nothing of it was downloaded
ABSENT = "absent"  # a release names it, and the volume does not hold it

# Pods of these components list or maintain a volume for seconds and serve no entry.
_SHORT_LIVED = (contract.COMPONENT_CACHE, contract.COMPONENT_MAINTENANCE, contract.COMPONENT_ARTIFACTS)

MISSING = "Missing"  # phase of a claim that releases name and that does not exist


@dataclass(frozen=True)
class Failure:
    """The last thing that went wrong with an entry: the downloader's exit code and its name, the cause, what to do."""

    code: int
    name: str
    cause: str
    action: str
    time: datetime | None
    pod: str


@dataclass(frozen=True)
class Entry:
    """An entry of a cache, or one that a release wants there.

    `bytes` and `last_used` are None when unknown; `observed` is when the report or the scan saw the state and the size,
    and `scanned` tells the two apart. `users` are the pods that may have the entry open. `claim` is empty for an
    ephemeral cache; `key` for a source whose fetch has not reported yet, and for a foreign directory whose name
    (`directory`) is no key. `problem` says why an entry is damaged. `leases` are the UIDs of the pods that said on the
    volume, when it was read, that they use the key. `unfinished` are those of `bytes` that belong to attempts, or
    that were moved aside, which no pod can open.
    """

    namespace: str
    claim: str
    key: str
    state: str
    releases: tuple[str, ...] = ()
    source: str = ""
    revision: str = ""
    bytes: int | None = None
    observed: datetime | None = None
    scanned: bool = False
    users: tuple[str, ...] = ()
    last_used: datetime | None = None
    failure: Failure | None = None
    orphan: bool = False
    created: datetime | None = None
    problem: str = ""
    directory: str = ""
    leases: tuple[str, ...] = ()
    pinned: bool = False
    unfinished: int = 0


@dataclass(frozen=True)
class Volume:
    """What the downloader listed on a volume, and when.

    `entries` are as in `llmkube-downloader list -o json`; `total` and `free` are bytes, and so are `trash`, which was
    removed and is not gone yet, and `adopting`, which is to become entries.
    """

    namespace: str
    claim: str
    observed: datetime
    entries: tuple[dict[str, Any], ...]
    total: int | None = None
    free: int | None = None
    trash: int = 0
    adopting: int = 0


@dataclass(frozen=True)
class Cache:
    """A claim that holds entries.

    `release` is the one whose chart made the claim, empty for another's claim. `mounted_by` are the live pods that
    mount it, ours and others'. `maintenance` is the CronJob whose Jobs work on it, None when there is none.
    """

    namespace: str
    claim: str
    release: str = ""
    mode: str = ""
    phase: str = MISSING
    capacity: int | None = None
    access_modes: tuple[str, ...] = ()
    storage_class: str = ""
    mounted_by: tuple[Object, ...] = ()
    maintenance: Object | None = None

    @property
    def node(self) -> str:
        """The node that pods have to be on to mount the volume now, empty when any will do."""
        if {"ReadWriteMany", "ReadOnlyMany"} & set(self.access_modes):
            return ""
        nodes = (pod["spec"].get("nodeName", "") for pod in self.mounted_by)
        return next((node for node in nodes if node), "")

    def users(self, key: str) -> tuple[str, ...]:
        """Return the live pods that may have an entry open.

        A pod that does not say which entry it uses counts for all of them, except our short-lived maintenance pods. So
        does one that says it of another claim and copies from this one.
        """
        naming, others = self._positions
        using = (each for each in naming.get(key, ()) if not _has_copied(self.mounted_by[each], self.claim, key))
        return tuple(pods.name(self.mounted_by[each]) for each in sorted((*using, *others)))

    @cached_property
    def _positions(self) -> tuple[dict[str, list[int]], list[int]]:
        """Where in `mounted_by` the pods are that use only what they name, by key, and those that count for all keys.

        A cache may have a thousand entries and as many pods: to ask each pod for each entry takes seconds.
        """
        naming: dict[str, list[int]] = defaultdict(list)
        others = []
        for position, pod in enumerate(self.mounted_by):
            named = pods.keys(pod)
            if named and _uses_what_it_names(pod, self.claim):
                for key in named:
                    naming[key].append(position)
            elif named or not _is_short_lived(pod):
                others.append(position)
        return naming, others


def _uses_what_it_names(pod: Object, claim: str) -> bool:
    """Return whether the keys that a pod names are on a claim: as its own cache, or as one that it copies from."""
    return _is_of(pod, claim) or pods.mounts(pod, claim).startswith(contract.VOLUME_UPSTREAM)


def _is_of(pod: Object, claim: str) -> bool:
    return pods.annotation(pod, contract.ANNOTATION_CLAIM) in ("", claim)


def _has_copied(pod: Object, claim: str, key: str) -> bool:
    """Return whether a pod looked on a claim for what its own cache lacks, and has it now."""
    fetch = pods.fetch_container(pod, key)
    return not _is_of(pod, claim) and any(end.exit_code == 0 for end in pods.ended(pod, fetch))


def _is_short_lived(pod: Object) -> bool:
    """Return whether a pod of ours works on a volume for seconds, and serves no entry."""
    ours = bool(pods.label(pod, contract.LABEL_RELEASE))
    return ours and pods.label(pod, contract.LABEL_COMPONENT) in _SHORT_LIVED
