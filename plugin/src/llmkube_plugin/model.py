"""What the plugin knows about caches and their entries, however it came to know it."""

from __future__ import annotations

from dataclasses import dataclass
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
        return tuple(pods.name(pod) for pod in self.mounted_by if _may_use(pod, self.claim, key))


def _may_use(pod: Object, claim: str, key: str) -> bool:
    named = pods.keys(pod)
    if named and pods.annotation(pod, contract.ANNOTATION_CLAIM) in ("", claim):
        return key in named
    if named and pods.mounts(pod, claim).startswith(contract.VOLUME_UPSTREAM):
        # It looks here for what its own cache lacks, and no more once it has it.
        done = any(end.exit_code == 0 for end in pods.ended(pod, pods.fetch_container(pod, key)))
        return key in named and not done
    if named:
        return True
    ours = bool(pods.label(pod, contract.LABEL_RELEASE))
    return not (ours and pods.label(pod, contract.LABEL_COMPONENT) in _SHORT_LIVED)
