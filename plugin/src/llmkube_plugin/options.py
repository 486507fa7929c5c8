"""Options that several commands share, and the checks that go with them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llmkube_plugin.connection import Connection
from llmkube_plugin.output import FORMATS, Output
from llmkube_plugin.sources import Selection
from llmkube_plugin.units import Duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Command = Callable[..., None]


def cluster_options(command: Command) -> Command:
    """Add -n, --kube-context and --kubeconfig, given to the command as `connection`.

    Helm takes them out of the arguments and hands them over as environment variables.
    """

    @click.option("-n", "--namespace", envvar="HELM_NAMESPACE", metavar="NS", help="Namespace of the release.")
    @click.option(
        "--kube-context",
        "--context",
        envvar="HELM_KUBECONTEXT",
        metavar="CONTEXT",
        help="Context of kubeconfig to use.",
    )
    @click.option("--kubeconfig", envvar="KUBECONFIG", metavar="FILE", help="Path of the kubeconfig file.")
    @functools.wraps(command)
    def with_connection(namespace: str | None, kube_context: str | None, kubeconfig: str | None, **rest: Any) -> None:
        command(connection=Connection(namespace, kube_context, kubeconfig), **rest)

    return with_connection


def output_options(command: Command) -> Command:
    """Add -o and -q, given to the command as `output`."""

    @click.option(
        "-o", "--output", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="Output format."
    )
    @click.option("-q", "--quiet", is_flag=True, help="No progress and no notes on standard error.")
    @functools.wraps(command)
    def with_output(form: str, quiet: bool, **rest: Any) -> None:
        command(output=Output(form, quiet), **rest)

    return with_output


def selection_options(command: Command) -> Command:
    """Add the options that choose part of a source, given to the command as `selection`."""

    @click.option("--revision", default="", metavar="REV", help="Branch, tag or commit of the source.")
    @click.option("--include", multiple=True, metavar="GLOB", help="Only files that match; may be repeated.")
    @click.option("--exclude", multiple=True, metavar="GLOB", help="No files that match; may be repeated.")
    @click.option("--file", "files", multiple=True, metavar="PATH", help="Only this file; may be repeated.")
    @click.option("--sha256", multiple=True, metavar="[PATH=]HEX", help="SHA-256 that a file must have.")
    @functools.wraps(command)
    def with_selection(
        revision: str,
        include: tuple[str, ...],
        exclude: tuple[str, ...],
        files: tuple[str, ...],
        sha256: tuple[str, ...],
        **rest: Any,
    ) -> None:
        command(selection=Selection(revision, include, exclude, files, sha256), **rest)

    return with_selection


directory_option = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="PATH",
    help="Work on this directory instead of a cluster. Needs llmkube-downloader.",
)

timeout_option = click.option(
    "--timeout",
    type=Duration(),
    default="5m",
    show_default=True,
    help="How long a pod may take to start.",
)

scan_option = click.option(
    "--scan", "scanning", is_flag=True, help="Read the volumes, through a short Job on each cache."
)

all_namespaces_option = click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces.")


def refuse_with_directory(directory: Path | None, given: Mapping[str, object]) -> None:
    """Refuse what only means something on a cluster; `given` maps options as users write them to their values."""
    for option, value in given.items():
        if directory is not None and value:
            raise click.UsageError(f"{option} is for a cluster and means nothing together with --dir.")
