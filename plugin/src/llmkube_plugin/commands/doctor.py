"""`helm llmkube doctor`: what would make an install fail or hang, before it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llmkube_plugin import options
from llmkube_plugin.connection import Connection, connect

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from llmkube_plugin.doctor.facts import Facts
    from llmkube_plugin.doctor.finding import Finding
    from llmkube_plugin.doctor.subject import Subject
    from llmkube_plugin.kube import Cluster
    from llmkube_plugin.output import Output

_RELEASE = "llmkube"  # what is rendered without a name


@click.command("doctor")
@click.argument("release", required=False)
@click.option("-f", "--values", multiple=True, metavar="FILE", help="Values of an install to come; may be repeated.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="A value of an install to come.")
@click.option("--set-json", "documents", multiple=True, metavar="PATH=JSON", help="The same, as JSON.")
@click.option("--chart", metavar="CHART", help="Chart to render these with; by default the plugin's own.")
@click.option("--manifests", metavar="FILE", help="What `helm template` wrote; - reads it from a pipe.")
@click.option("--online", is_flag=True, help="Also ask the origins, from a pod of the cluster that downloads nothing.")
@options.timeout_option
@options.cluster_options
@options.directory_option
@options.output_options
@click.pass_context
def doctor(
    context: click.Context,
    release: str | None,
    values: tuple[str, ...],
    settings: tuple[str, ...],
    documents: tuple[str, ...],
    chart: str | None,
    manifests: str | None,
    online: bool,
    timeout: float,
    connection: Connection,
    directory: Path | None,
    output: Output,
) -> None:
    """Find what would make an install fail or hang, before it does.

    Examines RELEASE, or all releases of the namespace; with -f, --set or --manifests an install to come. Each finding
    says what is wrong, what it would cause and which value to set. Nothing is changed; --online runs a short Job for
    each source.

    Exit codes: 0 without a problem, 1 with one; warnings and notes are none.
    """
    given = {"-f": values, "--set": settings, "--set-json": documents, "--chart": chart}
    options.refuse_with_directory(
        directory, {"RELEASE": release, "--manifests": manifests, "--online": online, **given}
    )
    if manifests is not None and (release or any(given.values())):
        raise click.UsageError("--manifests are rendered already: it goes without RELEASE and values.")
    if directory is not None:
        context.exit(_examine_directory(directory, output))
    from llmkube_plugin.doctor.facts import Facts

    cluster = connect(connection)
    facts = Facts(cluster, cluster.namespace)
    arguments = [f"--values={each}" for each in values] + [f"--set={each}" for each in settings]
    arguments += [f"--set-json={each}" for each in documents]
    subject, place = _subject(facts, release, chart, arguments, manifests)
    if not subject.objects:
        output.note(f"No releases found in namespace {facts.namespace}.")
    findings = _examine(subject, facts, cluster if online else None, timeout, output)
    context.exit(_report(findings, place, output, set().union(*facts.denied.values())))


def _subject(
    facts: Facts, release: str | None, chart: str | None, arguments: list[str], manifests: str | None
) -> tuple[Subject, str]:
    """Return what to examine, and what it is in words."""
    from llmkube_plugin import rendered
    from llmkube_plugin.doctor import reading

    where = f"namespace {facts.namespace}"
    if manifests is not None:
        shown = "standard input" if manifests == rendered.STDIN else manifests
        return reading.planned(facts, rendered.text(manifests), shown), f"{shown} in {where}"
    if arguments or chart:
        name = release or _RELEASE
        text = reading.render(name, chart, arguments, facts.namespace)
        return reading.planned(facts, text, "the chart"), f"release {name} to come in {where}"
    return reading.installed(facts, release), f"release {release} in {where}" if release else where


def _examine(subject: Subject, facts: Facts, online: Cluster | None, timeout: float, output: Output) -> list[Finding]:
    """Return what is found; `online` is the cluster to ask origins from, None to ask none."""
    from llmkube_plugin.doctor.checks import arranged, examine
    from llmkube_plugin.doctor.online import ask

    found = examine(subject, facts)
    if online:
        found += ask(subject, facts, online, timeout, output)
    return arranged(found, facts)


def _report(findings: list[Finding], place: str, output: Output, unread: Collection[str] = ()) -> int:
    from llmkube_plugin.doctor.finding import PROBLEM
    from llmkube_plugin.doctor.show import show

    show(findings, place, output, unread)
    return int(any(finding.severity == PROBLEM for finding in findings))


def _examine_directory(directory: Path, output: Output) -> int:
    from llmkube_plugin.doctor.directory import examine

    return _report(examine(directory), str(directory), output)
