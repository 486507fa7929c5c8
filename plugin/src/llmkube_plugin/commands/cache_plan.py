"""`helm llmkube cache plan`: what a release would keep and download, from nothing but what it renders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from llmkube_plugin import catalog, contract, options, pods, render, rendered, scan, units
from llmkube_plugin.entries import entries
from llmkube_plugin.errors import PluginError
from llmkube_plugin.model import IN_PLACE, MISSING
from llmkube_plugin.output import Column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from llmkube_plugin.kube import Object
    from llmkube_plugin.model import Cache, Entry
    from llmkube_plugin.output import Output
    from llmkube_plugin.scan import Snapshot

_EXPECTED = re.compile(r"--expect-size=([0-9]+)")
_HUB_PAGE = re.compile(r"https://huggingface\.co/([^/]+/[^/]+)/resolve/[^/]+/(.+)")
_REVISION = re.compile(r"(hf://[^/]+/[^/@]+)@[^/]+")
DECLARED, CATALOGUED = "values", "catalog"


@dataclass(frozen=True)
class Planned:
    """An entry that a release wants, with its size, who said that (DECLARED or CATALOGUED), and who downloads it."""

    entry: Entry
    bytes: int | None
    said_by: str
    fetched_by: tuple[str, ...]

    @property
    def in_place(self) -> bool:
        """Whether nothing is downloaded, because the model is served from where it is."""
        return self.entry.state == IN_PLACE


@dataclass(frozen=True)
class PlannedCache:
    """A claim with what is to lie on it."""

    cache: Cache
    entries: list[Planned]

    @property
    def is_made(self) -> bool:
        """Whether the release makes the claim, and does not expect it to be there."""
        return self.cache.phase != MISSING

    @property
    def known_bytes(self) -> int:
        """The size of all entries whose size is known."""
        return sum(planned.bytes or 0 for planned in self.entries)

    @property
    def unmeasured(self) -> int:
        """How many entries have no known size."""
        return sum(planned.bytes is None for planned in self.entries)

    @property
    def is_too_small(self) -> bool:
        """Whether the claim is smaller than what is to lie on it."""
        return self.cache.capacity is not None and self.known_bytes > self.cache.capacity


@click.command("plan")
@click.option(
    "-f", "--file", "name", required=True, metavar="FILE", help="What `helm template` printed; - reads it from a pipe."
)
@click.option(
    "-n", "--namespace", envvar="HELM_NAMESPACE", default="default", metavar="NS", help="Namespace of the release."
)
@options.output_options
def cache_plan(name: str, namespace: str, output: Output) -> None:
    """Show which caches a release would make and what it would download, from what `helm template` printed.

    Asks neither a cluster nor the origins: sizes are those of the release's values or of the catalog.
    """
    snapshot = rendered.read(name, namespace)
    planned = _planned(snapshot)
    caches = _caches(snapshot, planned)
    _show(caches, planned, output)
    for each in caches:
        if each.is_too_small:
            output.warn(
                f"claim {each.cache.claim} asks for {units.size(each.cache.capacity)}, and its entries take "
                f"{units.size(each.known_bytes)}: set modelCache.size to more"
            )


def _planned(snapshot: Snapshot) -> list[Planned]:
    sizes = dict(_declared(snapshot))
    catalog = _catalog()
    fetchers = _fetchers(snapshot)
    planned = []
    for entry in entries(snapshot, []):
        declared = sizes.get(entry.key)
        size = catalog.get(_place(entry.source)) if declared is None else declared
        said_by = DECLARED if declared is not None else CATALOGUED if size is not None else ""
        planned.append(Planned(entry, size, said_by, tuple(fetchers.get((entry.claim, entry.key), ()))))
    return planned


def _caches(snapshot: Snapshot, planned: list[Planned]) -> list[PlannedCache]:
    return [
        PlannedCache(cache, [each for each in planned if (each.entry.namespace, each.entry.claim) == place])
        for cache in scan.caches(snapshot)
        if cache.mode != contract.MODE_IN_PLACE
        for place in ((cache.namespace, cache.claim),)
    ]


def _declared(snapshot: Snapshot) -> Iterator[tuple[str, int]]:
    """Yield the keys whose size the values of a release say, as its downloads are told it."""
    for key, _, container in _fetches(snapshot):
        for match in map(_EXPECTED.fullmatch, container.get("args") or []):
            if match:
                yield key, int(match[1])


def _fetchers(snapshot: Snapshot) -> dict[tuple[str, str], list[str]]:
    """Return which workloads download each entry, by claim and key: a Job for it where there is one."""
    found: dict[tuple[str, str], list[str]] = {}
    for key, workload, _ in _fetches(snapshot):
        place = (pods.annotation(workload, contract.ANNOTATION_CLAIM), key)
        found.setdefault(place, []).append(f"{workload['kind']}/{pods.name(workload)}")
    return found


def _fetches(snapshot: Snapshot) -> Iterator[tuple[str, Object, Object]]:
    """Yield every container that downloads an entry, with the key and the workload."""
    for workload in (*snapshot.jobs, *snapshot.deployments):
        keys = {contract.CONTAINER_FETCH: pods.label(workload, contract.LABEL_KEY)}
        keys |= {each.container: each.key for each in pods.beside(workload)}
        spec = workload["spec"]["template"]["spec"]
        for container in (*(spec.get("initContainers") or []), *spec["containers"]):
            if keys.get(container["name"]):
                yield keys[container["name"]], workload, container


def _catalog() -> Mapping[str, int]:
    """Return the sizes that the chart's catalog knows, by source; none where the plugin was installed without it."""
    try:
        models = catalog.models()
    except PluginError:
        return {}
    return {_place(model.source): model.size for model in models}


def _place(source: str) -> str:
    """Return a source without what does not matter for its size: its revision, and how the hub's address is written."""
    page = _HUB_PAGE.fullmatch(source)
    return _REVISION.sub(r"\1", f"hf://{page[1]}/{page[2]}" if page else source)


def _show(caches: list[PlannedCache], planned: list[Planned], output: Output) -> None:
    if not output.for_people:
        document = {
            "schema": render.SCHEMA,
            "caches": [_cache_document(each) for each in caches],
            "entries": [_entry_document(each) for each in planned],
        }
        output.document(document, [each.entry.key for each in planned if each.entry.key])
        return
    output.rows(_CACHE_COLUMNS, caches)
    if caches and planned:
        output.text("")
    output.rows(_ENTRY_COLUMNS, planned)
    output.note(_sum(planned))


def _sum(planned: Iterable[Planned]) -> str:
    """Say what would be downloaded in all; what pods keep for themselves, each of them downloads."""
    wanted = [each for each in planned if not each.in_place]
    known = sum(each.bytes or 0 for each in wanted)
    unknown = sum(each.bytes is None for each in wanted)
    if not wanted:
        return "Nothing would be downloaded."
    count = "1 entry" if len(wanted) == 1 else f"{len(wanted)} entries"
    size = "of unknown size" if unknown == len(wanted) else f"{units.size(known)}"
    more = f", {unknown} of them of unknown size" if 0 < unknown < len(wanted) else ""
    each = "" if all(planned.entry.claim for planned in wanted) else " What has no claim is downloaded by each pod."
    return f"Would download {count}, {size}{more}.{each}"


_CACHE_COLUMNS: list[Column[PlannedCache]] = [
    Column("CLAIM", lambda each: each.cache.claim, shorten=True),
    Column("MODE", lambda each: each.cache.mode or "-"),
    Column("MADE", lambda each: "by this" if each.is_made else "is expected"),
    Column("SIZE", lambda each: units.size(each.cache.capacity)),
    Column("CLASS", lambda each: each.cache.storage_class or ("default" if each.is_made else "-")),
    Column("ACCESS", lambda each: ",".join(each.cache.access_modes) or "-"),
    Column("ENTRIES", lambda each: str(len(each.entries))),
    Column("TAKE", lambda each: units.size(each.known_bytes) + (" and more" if each.unmeasured else "")),
]
_ENTRY_COLUMNS: list[Column[Planned]] = [
    Column("RELEASE", lambda each: ",".join(each.entry.releases), shorten=True),
    Column("SOURCE", lambda each: each.entry.source or "-", shorten=True),
    Column("REVISION", lambda each: each.entry.revision or "-", wide=True),
    Column("KEY", lambda each: each.entry.key or "-"),
    Column("CLAIM", lambda each: "in place" if each.in_place else each.entry.claim or "each pod", shorten=True),
    Column("SIZE", lambda each: units.size(each.bytes) + (" (catalog)" if each.said_by == CATALOGUED else "")),
    Column("DOWNLOADED BY", lambda each: each.fetched_by[0] if each.fetched_by else "-", shorten=True),
]


def _cache_document(each: PlannedCache) -> dict[str, Any]:
    return {
        "namespace": each.cache.namespace,
        "claim": each.cache.claim,
        "mode": each.cache.mode or None,
        "made": each.is_made,
        "capacity": each.cache.capacity,
        "storageClass": each.cache.storage_class or None,
        "accessModes": list(each.cache.access_modes),
        "entries": [planned.entry.key for planned in each.entries],
        "bytes": each.known_bytes,
        "unmeasured": each.unmeasured,
    }


def _entry_document(each: Planned) -> dict[str, Any]:
    entry = each.entry
    return {
        "namespace": entry.namespace,
        "claim": entry.claim or None,
        "key": entry.key or None,
        "source": entry.source or None,
        "revision": entry.revision or None,
        "releases": list(entry.releases),
        "inPlace": each.in_place,
        "bytes": each.bytes,
        "sizeFrom": each.said_by or None,
        "downloadedBy": list(each.fetched_by),
    }
