"""From what a user wants to have preloaded to the manifests of the Jobs that do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmkube_plugin import catalog, contract, jobs, pods, scan
from llmkube_plugin.errors import PluginError
from llmkube_plugin.sources import Selection, is_source, public_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkube_plugin.kube import Object
    from llmkube_plugin.model import Cache
    from llmkube_plugin.scan import Snapshot

ONE_SOURCE = (
    "--revision, --include, --exclude, --file and --sha256 are for a single SOURCE; a RELEASE has them in its values."
)


def plan(
    snapshot: Snapshot, namespace: str, targets: Sequence[str], claim: str | None, selection: Selection
) -> list[Object]:
    """Return the manifests of the Jobs that download all targets; each of these is a release, a catalog id or a source.

    Raises PluginError or UsageError for the first target that can not be downloaded.
    """
    caches = {cache.claim: cache for cache in scan.caches(snapshot)}
    releases = _releases(snapshot)
    sources = {target: _source(target, releases, namespace) for target in targets}
    if selection != Selection() and (len(targets) > 1 or not sources[targets[0]]):
        raise click.UsageError(ONE_SOURCE)
    if claim and not any(sources.values()):
        raise click.UsageError("--cache is for a SOURCE or a CATALOG-ID; a RELEASE has its claim in its values.")
    made: list[Object] = []
    for target, source in sources.items():
        if source:
            cache = _choose_cache(caches, claim, namespace)
            made.append(jobs.preload_source(cache, source, public_source(source), selection))
        else:
            made += _plan_release(snapshot, caches, namespace, target)
    return made


def _releases(snapshot: Snapshot) -> set[str]:
    """Return the names of the releases that have any workload."""
    return {pods.label(item, contract.LABEL_RELEASE) for item in snapshot.workloads}


def _source(target: str, releases: set[str], namespace: str) -> str:
    """Return the source that a target names; empty for a release, which goes before an id of the catalog."""
    if is_source(target):
        return target
    if target in releases:
        return ""
    model = catalog.find(target)
    if model:
        return model.source
    near = catalog.did_you_mean(target, [*sorted(releases), *(model.id for model in catalog.models())])
    raise PluginError(
        f"{target!r} is no release in namespace {namespace} and no model of the catalog",
        f"{near}See `helm llmkube cache list -A` for releases and `helm llmkube catalog list` for models; "
        "to download anything else give a source such as hf://org/repo.",
    )


def _choose_cache(caches: dict[str, Cache], claim: str | None, namespace: str) -> Cache:
    usable = {name: cache for name, cache in caches.items() if cache.maintenance is not None}
    if claim is not None and claim in caches:
        return caches[claim]
    known = ", ".join(sorted(usable)) or "none"
    if claim is not None:
        raise PluginError(f"no release in namespace {namespace} has the claim {claim!r}", f"There are: {known}.")
    if not usable:
        raise PluginError(
            f"namespace {namespace} has no cache to download into",
            "Make one with `helm llmkube cache create NAME --size 100Gi`, or choose a namespace with -n.",
        )
    if len(usable) != 1:
        raise PluginError(
            f"namespace {namespace} has {len(usable)} caches to download into", f"Choose one with --cache: {known}."
        )
    return next(iter(usable.values()))


def _plan_release(snapshot: Snapshot, caches: dict[str, Cache], namespace: str, release: str) -> list[Object]:
    """Return Jobs like the preload Jobs of a release, or without these some like its server's init containers."""
    mine = [item for item in (*snapshot.jobs, *snapshot.deployments) if _belongs(item, release)]
    preloads = {pods.label(job, contract.LABEL_KEY): job for job in sorted(mine, key=_created) if _is_preload(job)}
    servers = [item for item in mine if pods.label(item, contract.LABEL_COMPONENT) == contract.COMPONENT_SERVER]
    origins = [*preloads.values()] or servers
    if not origins:
        raise PluginError(
            f"release {release!r} in namespace {namespace} has no model to download",
            "It is a cache: give a source such as hf://org/repo, or an id of `helm llmkube catalog list`.",
        )
    return [job for origin in origins for job in _like(origin, caches, release)]


def _like(origin: Object, caches: dict[str, Cache], release: str) -> list[Object]:
    claim = pods.cache_place(origin)[1]
    if pods.is_in_place(origin):
        raise PluginError(
            f"release {release!r} serves its model from where it is: there is nothing to download",
            f"Its source is {pods.annotation(origin, contract.ANNOTATION_SOURCE)}.",
        )
    if not claim:
        raise PluginError(
            f"release {release!r} keeps its weights in a directory of each pod: there is nothing to download into",
            "Set modelCache.mode to perModel, shared or existingClaim.",
        )
    if origin["kind"] == "Job":
        return [jobs.preload_copy(origin, caches[claim])]
    return [jobs.preload_from_server(origin, caches[claim], entry) for entry in (None, *pods.beside(origin))]


def _belongs(item: Object, release: str) -> bool:
    """Return whether a release rendered an object. Jobs of its schedules may be older than its values."""
    made_by = pods.annotation(item, contract.ANNOTATION_MADE_BY) or item["metadata"].get("ownerReferences")
    return pods.label(item, contract.LABEL_RELEASE) == release and not made_by


def _is_preload(item: Object) -> bool:
    return pods.label(item, contract.LABEL_COMPONENT) == contract.COMPONENT_PRELOAD


def _created(item: Object) -> str:
    return str(item["metadata"].get("creationTimestamp", ""))
