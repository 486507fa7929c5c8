"""`helm llmkube cache preload`: download weights into a cache before anything needs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from llmkube_plugin import contract, jobs, local, options, pods, render, rights, scan, units
from llmkube_plugin.connection import Connection, connect
from llmkube_plugin.errors import ForbiddenError, PluginError, UnreachableError, downloader_failure
from llmkube_plugin.runs import JobRun
from llmkube_plugin.sources import Selection, is_source, public_source

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_plugin.kube import Cluster, Object
    from llmkube_plugin.model import Cache
    from llmkube_plugin.output import Output
    from llmkube_plugin.scan import Snapshot


@click.command("preload")
@click.argument("target", metavar="RELEASE|SOURCE")
@options.cluster_options
@options.directory_option
@click.option(
    "--cache", "claim", metavar="CLAIM", help="Claim to download a SOURCE into; needed when there are several."
)
@options.selection_options
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait for the end and show progress.")
@click.option("--dry-run", is_flag=True, help="Only show the Jobs that would be made.")
@options.timeout_option
@options.output_options
def cache_preload(
    target: str,
    connection: Connection,
    directory: Path | None,
    claim: str | None,
    selection: Selection,
    wait: bool,
    dry_run: bool,
    timeout: float,
    output: Output,
) -> None:
    """Download weights into a cache before they are needed.

    RELEASE downloads what an installed release serves, SOURCE (hf://..., https://...) anything else. The work is done
    by a Job that goes on when this command is interrupted.
    """
    if directory is not None:
        options.refuse_with_directory(directory, {"--cache": claim, "--dry-run": dry_run, "--no-wait": not wait})
        _preload_directory(directory, target, selection, output)
        return
    cluster = connect(connection)
    manifests = _plan(scan.read(cluster, cluster.namespace), cluster.namespace, target, claim, selection)
    if dry_run:
        _preview(manifests, output)
        return
    rights.require(cluster, cluster.namespace, rights.AWAITED_DOWNLOAD if wait else rights.DOWNLOAD)
    runs = [_Preload(JobRun(cluster, manifest), manifest, cluster, output) for manifest in manifests]
    for run in runs:
        output.note(f"Job {run.job.name} in namespace {run.job.namespace} downloads {run.source} into {run.claim}.")
    failures = _finish(runs, timeout, output) if wait else []
    _show(runs, output)
    for failure in failures[:-1]:
        output.warn(failure.format_message())
    if failures:
        raise failures[-1]


def _preload_directory(directory: Path, source: str, selection: Selection, output: Output) -> None:
    if not is_source(source):
        raise click.UsageError(f"With --dir give a source such as hf://org/repo; {source!r} looks like a release.")
    shown = public_source(source)
    arguments = ["fetch", source, *selection.arguments()]
    report = local.find_downloader().run(directory, arguments, show=not output.quiet)
    if output.for_people:
        output.text(_sentence(shown, report))
    else:
        output.document(report, [str(report.get("key"))])


def _plan(snapshot: Snapshot, namespace: str, target: str, claim: str | None, selection: Selection) -> list[Object]:
    """Return the manifests of the Jobs to make."""
    caches = {cache.claim: cache for cache in scan.caches(snapshot)}
    if is_source(target):
        cache = _choose_cache(caches, claim, namespace)
        return [jobs.preload_source(cache, target, public_source(target), selection)]
    if claim or selection != Selection():
        raise click.UsageError("--cache and the selection are for a SOURCE; a RELEASE has both in its values.")
    return _plan_release(snapshot, caches, namespace, target)


def _choose_cache(caches: dict[str, Cache], claim: str | None, namespace: str) -> Cache:
    usable = {name: cache for name, cache in caches.items() if cache.maintenance is not None}
    if claim is not None and claim in caches:
        return caches[claim]
    known = ", ".join(sorted(usable)) or "none"
    if claim is not None:
        raise PluginError(f"no release in namespace {namespace} has the claim {claim!r}", f"There are: {known}.")
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
            "See `helm llmkube cache list -A` for releases; to download anything else give a source such as hf://org/repo.",
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


def _preview(manifests: list[Object], output: Output) -> None:
    if not output.for_people:
        names = [manifest["metadata"]["generateName"] for manifest in manifests]
        output.document({"schema": render.SCHEMA, "jobs": manifests}, names)
        return
    for manifest in manifests:
        metadata = manifest["metadata"]
        noted = metadata["annotations"]
        output.text(
            f"would make Job {metadata['generateName']}* in namespace {metadata['namespace']}: "
            f"download {noted[contract.ANNOTATION_SOURCE]} into {noted[contract.ANNOTATION_CLAIM]}"
        )


@dataclass
class _Preload:
    """A preload Job under way; hears how it gets on and shows it."""

    job: JobRun
    manifest: Object
    cluster: Cluster
    output: Output
    report: Object = field(default_factory=dict)
    followed: set[str] = field(default_factory=set)

    @property
    def source(self) -> str:
        return pods.annotation(self.manifest, contract.ANNOTATION_SOURCE)

    @property
    def claim(self) -> str:
        return pods.annotation(self.manifest, contract.ANNOTATION_CLAIM)

    def waiting(self, reason: str) -> None:
        """Say why the pod does not run yet."""
        self.output.note(f"{self.job.name}: waiting: {reason}")

    def running(self, pod: Object) -> None:
        """Show what the container writes until it ends. A log that breaks off is taken up at its last line."""
        uid = pod["metadata"]["uid"]
        tail = 1 if uid in self.followed else None
        self.followed.add(uid)
        try:
            name = pods.name(pod)
            for line in self.cluster.follow_log(self.job.namespace, name, contract.CONTAINER_FETCH, tail):
                self.output.note(line)
        except ForbiddenError as error:
            if tail is None:
                self.output.note(f"{self.job.name}: it downloads; how far it is can not be shown: {error.message}")
        except PluginError:
            return  # there was no more to read: how it went, the pod tells


def _finish(runs: list[_Preload], start_seconds: float, output: Output) -> list[PluginError]:
    """Wait for all Jobs and note their reports; return what went wrong."""
    failures = (_finish_one(run, start_seconds, output) for run in runs)
    return [failure for failure in failures if failure]


def _finish_one(run: _Preload, start_seconds: float, output: Output) -> PluginError | None:
    try:
        _, end = run.job.wait(contract.CONTAINER_FETCH, start_seconds, run)
    except (KeyboardInterrupt, UnreachableError) as error:
        output.warn(f"the download goes on without this command; see `helm llmkube cache status {run.claim}`")
        if isinstance(error, UnreachableError):
            return error
        raise
    except PluginError as error:
        return error
    run.report = end.report
    if end.exit_code == 0:
        return None
    return downloader_failure(end.error, end.exit_code, f"downloading {run.source} into {run.claim}")


def _show(runs: list[_Preload], output: Output) -> None:
    if output.for_people:
        for run in runs:
            if "result" in run.report:
                output.text(_sentence(run.source, run.report))
        return
    document = {"schema": render.SCHEMA, "jobs": [_document(run) for run in runs]}
    output.document(document, [run.job.name for run in runs])


def _document(run: _Preload) -> dict[str, Any]:
    return {
        "namespace": run.job.namespace,
        "job": run.job.name,
        "claim": run.claim,
        "source": run.source,
        "report": run.report or None,
    }


def _sentence(source: str, report: Object) -> str:
    """Say what a fetch came to: what was downloaded and what was there."""
    total = units.size(report.get("bytesTotal"))
    if report["result"] == "hit":
        return f"{source}: complete already ({total}), nothing downloaded"
    fetched, reused = report.get("bytesFetched", 0), report.get("bytesReused", 0)
    kept = f", {units.size(reused)} reused" if reused else ""
    return (
        f"{source}: {report['result']} {units.size(fetched)} in {report.get('seconds', 0):.0f}s{kept}, {total} in all"
    )
