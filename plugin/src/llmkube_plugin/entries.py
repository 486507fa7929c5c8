"""From objects, reports and scans to the entries of caches: of all that was seen of an entry, the newest counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmkube_plugin import contract, pods, units
from llmkube_plugin.model import ABSENT, COMPLETE, FAILED, FETCHING, IN_PLACE, PARTIAL, PENDING, Entry, Failure, Volume

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from llmkube_plugin.kube import Object
    from llmkube_plugin.model import Cache
    from llmkube_plugin.scan import Snapshot

# What an entry is told apart by: namespace, claim, and key (the source while the key is unknown).
Identity = tuple[str, str, str]


@dataclass(frozen=True)
class _Sighting:
    """What was seen of an entry at one time, by a fetch or by reading the volume."""

    time: datetime | None
    state: str
    bytes: int | None = None
    failure: Failure | None = None
    scanned: bool = False
    created: datetime | None = None
    problem: str = ""
    leases: tuple[str, ...] = ()
    pinned: bool = False
    unfinished: int = 0


_UNSEEN = _Sighting(None, PENDING)


@dataclass
class _Evidence:
    """All that objects, reports and scans say about one entry."""

    key: str = ""
    source: str = ""
    revision: str = ""
    releases: set[str] = field(default_factory=set)
    fetchers: list[tuple[Object, str]] = field(default_factory=list)  # pods, each with its container that fetches
    sightings: list[_Sighting] = field(default_factory=list)
    in_place: bool = False  # served from where it is, so no entry at all
    directory: str = ""  # of what lies on the volume under a name that is no key

    @property
    def newest(self) -> _Sighting:
        """The newest sighting of any kind; a scan has just been made, whatever the clocks of the nodes say."""
        return max(self.sightings, key=lambda each: (each.scanned, _age(each)), default=_UNSEEN)

    @property
    def newest_fetch(self) -> _Sighting | None:
        """The newest sighting that a fetch reported."""
        return max((each for each in self.sightings if not each.scanned), key=_age, default=None)


def entries(snapshot: Snapshot, caches: Iterable[Cache], volumes: Iterable[Volume] = ()) -> list[Entry]:
    """Return the entries that workloads name, pods report or volumes hold, by namespace, claim and source."""
    found: dict[Identity, _Evidence] = {}
    for item in (*snapshot.deployments, *snapshot.jobs):
        _take_workload(found, item)
    for pod in snapshot.pods:
        if pods.label(pod, contract.LABEL_RELEASE):
            _take_pod(found, pod)
    for volume in volumes:
        _take_volume(found, volume)
    by_place = {(cache.namespace, cache.claim): cache for cache in caches}
    made = [_entry(identity, evidence, by_place.get(identity[:2])) for identity, evidence in found.items()]
    return sorted(made, key=lambda entry: (entry.namespace, entry.claim, entry.releases, entry.source, entry.key))


def identity(item: Object) -> Identity:
    """Return which entry a workload or pod of ours is about; all empty at the end when it is about none.

    A model that is served in place has no key, and is known by its source.
    """
    if pods.is_in_place(item):
        return (*pods.cache_place(item), pods.annotation(item, contract.ANNOTATION_SOURCE))
    key = pods.label(item, contract.LABEL_KEY) or _reported_key(item)
    if key or pods.label(item, contract.LABEL_COMPONENT) != contract.COMPONENT_PRELOAD:
        return (*pods.cache_place(item), key)
    return (*pods.cache_place(item), pods.annotation(item, contract.ANNOTATION_SOURCE))


def _reported_key(item: Object) -> str:
    ends = pods.ended(item, contract.CONTAINER_FETCH)
    return next((str(end.report["key"]) for end in ends if "key" in end.report), "")


def _take_workload(found: dict[Identity, _Evidence], item: Object) -> None:
    """Note that a workload names an entry. One without a key tells nothing that its pods do not tell better."""
    if pods.label(item, contract.LABEL_KEY) or pods.is_in_place(item):
        _note_names(found, item, identity(item))
    for named in pods.beside(item):
        _note_beside(found, item, named)


def _take_pod(found: dict[Identity, _Evidence], pod: Object) -> None:
    """Note which entries a pod of ours names, and what it reported about them."""
    meant = identity(pod)
    if meant[2]:
        _note_fetch(_note_names(found, pod, meant), pod, contract.CONTAINER_FETCH)
    for named in pods.beside(pod):
        _note_fetch(_note_beside(found, pod, named), pod, named.container)


def _note_fetch(evidence: _Evidence, pod: Object, container: str) -> None:
    evidence.fetchers.append((pod, container))
    evidence.sightings += [_fetch_sighting(end, pods.name(pod)) for end in pods.ended(pod, container)]


def _note_beside(found: dict[Identity, _Evidence], item: Object, named: pods.Beside) -> _Evidence:
    """Note an entry that a server loads beside its model."""
    evidence = found.setdefault((*pods.cache_place(item), named.key), _Evidence(named.key))
    evidence.source = evidence.source or named.source
    evidence.revision = evidence.revision or named.revision
    evidence.releases.add(pods.label(item, contract.LABEL_RELEASE))
    return evidence


def _note_names(found: dict[Identity, _Evidence], item: Object, meant: Identity) -> _Evidence:
    evidence = found.get(meant)
    if evidence is None:
        in_place = pods.is_in_place(item)
        key = "" if in_place else pods.label(item, contract.LABEL_KEY) or _reported_key(item)
        evidence = found[meant] = _Evidence(key, in_place=in_place)
    evidence.source = evidence.source or pods.annotation(item, contract.ANNOTATION_SOURCE)
    evidence.revision = evidence.revision or pods.annotation(item, contract.ANNOTATION_REVISION)
    # A Job of ours carries the label of the release whose volume it works on, which need not know the entry.
    if pods.annotation(item, contract.ANNOTATION_MADE_BY) != contract.MADE_BY_PLUGIN:
        evidence.releases.add(pods.label(item, contract.LABEL_RELEASE))
    return evidence


def _fetch_sighting(end: pods.Ended, pod: str) -> _Sighting:
    if end.exit_code == 0:
        return _Sighting(end.finished, COMPLETE, end.report.get("bytesTotal"))
    return _Sighting(end.finished, FAILED, failure=Failure(**end.error, time=end.finished, pod=pod))


def _take_volume(found: dict[Identity, _Evidence], volume: Volume) -> None:
    """Note which entries a volume holds, and of those that were expected there, which it does not hold."""
    place = (volume.namespace, volume.claim)
    held: dict[str, list[dict[str, Any]]] = {}
    for listed in volume.entries:
        held.setdefault(listed["key"] or _directory(listed), []).append(listed)
    for name, records in held.items():
        main = min(records, key=_rank)
        evidence = found.setdefault((*place, name), _Evidence(main["key"] or ""))
        evidence.source = evidence.source or main["source"] or ""
        evidence.revision = evidence.revision or main["revision"] or ""
        evidence.directory = "" if main["key"] else name
        evidence.sightings.append(_volume_sighting(volume, main, records))
    for identity, evidence in found.items():
        if identity[:2] == place and identity[2] not in held and not evidence.in_place:
            evidence.sightings.append(_Sighting(volume.observed, ABSENT, scanned=True))


def _volume_sighting(volume: Volume, main: dict[str, Any], records: list[dict[str, Any]]) -> _Sighting:
    """Return what the volume shows of a key: its entry, with all that lies beside it counted in."""
    return _Sighting(
        volume.observed,
        main["state"],
        bytes=sum(record["bytes"] for record in records),
        scanned=True,
        created=units.moment(main["created"]),
        problem=main.get("problem", ""),
        leases=tuple(main["pods"]),
        pinned=main.get("pinned", False),
        unfinished=sum(record["bytes"] for record in records if _is_aside(record)),
    )


def _rank(listed: dict[str, Any]) -> int:
    """Order what a volume holds of one key: the entry, then unfinished attempts and what was moved aside."""
    if listed["state"] == COMPLETE:
        return 0
    return 1 if _directory(listed) == listed["key"] and listed["state"] != PARTIAL else 2


def _is_aside(listed: dict[str, Any]) -> bool:
    """Return whether a directory is an attempt, or was moved aside, and not an entry that a pod can open."""
    return str(listed["entry"]).split("/")[-3:-1] in ([".llmkube", "staging"], [".llmkube", "quarantine"])


def _directory(listed: dict[str, Any]) -> str:
    return str(listed["entry"]).rpartition("/")[2]


def _entry(identity: Identity, evidence: _Evidence, cache: Cache | None) -> Entry:
    namespace, claim, _ = identity
    newest, fetch = evidence.newest, evidence.newest_fetch
    state, failure = _state(evidence, newest, fetch), None
    if fetch and state in (FAILED, FETCHING):
        # While a fetch is tried again, what ended the try before is still what its user needs to know.
        failure = fetch.failure
    if fetch and state == FAILED:
        newest = fetch
    return Entry(
        namespace,
        claim,
        evidence.key,
        state,
        releases=tuple(sorted(evidence.releases)),
        source=evidence.source,
        revision=evidence.revision,
        bytes=newest.bytes,
        observed=newest.time,
        scanned=newest.scanned,
        users=_users(evidence, cache),
        last_used=_last_used(evidence),
        failure=failure,
        orphan=not evidence.releases,
        created=newest.created,
        problem=newest.problem,
        directory=evidence.directory,
        leases=newest.leases,
        pinned=newest.pinned,
        unfinished=newest.unfinished,
    )


def _state(evidence: _Evidence, newest: _Sighting, fetch: _Sighting | None) -> str:
    if evidence.in_place:
        return IN_PLACE
    if any(pods.is_running(pod, container) for pod, container in evidence.fetchers):
        return FETCHING
    if newest.state == ABSENT and fetch and fetch.failure:
        return FAILED  # says more than that it is not there
    return newest.state


def _users(evidence: _Evidence, cache: Cache | None) -> tuple[str, ...]:
    """Return the pods that may have the entry open; of an ephemeral cache, or a key yet unknown, the live ones."""
    if cache and evidence.key:
        return cache.users(evidence.key)
    return tuple(pods.name(pod) for pod, _ in evidence.fetchers if not pods.is_over(pod))


def _last_used(evidence: _Evidence) -> datetime | None:
    """Return when a pod last started with the entry."""
    times = (each.time for each in evidence.sightings if each.state == COMPLETE and not each.scanned)
    return max((time for time in times if time), default=None)


def _age(sighting: _Sighting) -> float:
    """Order sightings by time; one without a time counts as the oldest."""
    return sighting.time.timestamp() if sighting.time else 0.0
