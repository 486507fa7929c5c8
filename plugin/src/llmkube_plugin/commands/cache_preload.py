"""`helm llmkube cache preload`: download weights into a cache before anything needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from llmkube_plugin import contract, interrupts, local_downloads, options, preload_plan, render, rights, scan, units
from llmkube_plugin.connection import Connection, connect
from llmkube_plugin.downloads import Downloads
from llmkube_plugin.sources import Selection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llmkube_plugin.downloads import Download
    from llmkube_plugin.errors import PluginError
    from llmkube_plugin.kube import Object
    from llmkube_plugin.output import Output


@click.command("preload")
@click.argument("targets", nargs=-1, required=True, metavar="RELEASE|CATALOG-ID|SOURCE...")
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
    targets: tuple[str, ...],
    connection: Connection,
    directory: Path | None,
    claim: str | None,
    selection: Selection,
    wait: bool,
    dry_run: bool,
    timeout: float,
    output: Output,
) -> None:
    """Download weights into a cache before they are needed, several at once.

    RELEASE downloads what an installed release serves, CATALOG-ID a model of `catalog list`, SOURCE (hf://...,
    https://...) anything else. The work is done by Jobs that go on when this command is interrupted. What is complete
    is not downloaded again, and a download that is under way is followed.
    """
    if directory is not None:
        options.refuse_with_directory(directory, {"--cache": claim, "--dry-run": dry_run, "--no-wait": not wait})
        _preload_directory(directory, targets, selection, output)
        return
    cluster = connect(connection)
    snapshot = scan.read(cluster, cluster.namespace)
    manifests = preload_plan.plan(snapshot, cluster.namespace, targets, claim, selection)
    if dry_run:
        _preview(manifests, output)
        return
    rights.require(cluster, cluster.namespace, rights.AWAITED_DOWNLOAD if wait else rights.DOWNLOAD)
    downloads = Downloads(cluster, output)
    with interrupts.leaving(lambda: downloads.left(connection)):
        downloads.begin(manifests, snapshot)
        if wait:
            downloads.wait(timeout)
    if downloads.cut_off():
        output.warn(downloads.left(connection, downloads.cut_off()))
    _report(downloads.all, output)
    _raise_last(downloads.failures, output)


def _preload_directory(directory: Path, targets: Sequence[str], selection: Selection, output: Output) -> None:
    downloads = local_downloads.run(directory, targets, selection, output)
    reports = [download.report for download in downloads if download.report]
    if output.for_people:
        for download in downloads:
            if download.report:
                output.text(_sentence(download.source, download.report))
    elif len(targets) == 1:
        for report in reports:
            output.document(report, [str(report.get("key"))])
    else:
        output.document({"schema": render.SCHEMA, "reports": reports}, [str(each.get("key")) for each in reports])
    _raise_last([download.failure for download in downloads if download.failure], output)


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


def _report(downloads: list[Download], output: Output) -> None:
    if output.for_people:
        for download in downloads:
            if "result" in download.report:
                output.text(_sentence(download.source, download.report))
        return
    document = {"schema": render.SCHEMA, "jobs": [_document(download) for download in downloads]}
    output.document(document, [download.job.name for download in downloads])


def _raise_last(failures: Sequence[PluginError], output: Output) -> None:
    output.raise_first([*failures[-1:], *failures[:-1]])


def _document(download: Download) -> dict[str, Any]:
    return {
        "namespace": download.job.namespace,
        "job": download.job.name,
        "followed": download.followed,
        "claim": download.claim,
        "source": download.source,
        "report": download.report or None,
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
