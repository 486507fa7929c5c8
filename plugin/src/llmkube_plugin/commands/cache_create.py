"""`helm llmkube cache create`: a cache without a model, as a release of the chart.

A cache is what the chart renders: claim, maintenance CronJob, a Job that binds the claim, their labels. It is made by
Helm from the chart and not by requests of our own, so that there is one description of a cache, which `helm upgrade`
can change, `helm uninstall` can remove and GitOps can take over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from llmkube_plugin import contract, helm, interrupts, kube, options, pods, render, scan, units
from llmkube_plugin.connection import Connection, connect
from llmkube_plugin.errors import PluginError
from llmkube_plugin.runs import JobRun

if TYPE_CHECKING:
    from llmkube_plugin.kube import Cluster, Object
    from llmkube_plugin.output import Output

_CONTAINER_INIT = "init"
_ACCESS_MODES = ("ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany")


@dataclass(frozen=True)
class _Plan:
    """The release to install: its values, and the objects that the chart makes of them."""

    name: str
    namespace: str
    chart: str
    values: dict[str, Any]
    arguments: list[str]
    objects: list[Object]

    @property
    def claim(self) -> str:
        """The claim that the objects work on."""
        named = (pods.annotation(item, contract.ANNOTATION_CLAIM) for item in self.objects)
        return next(filter(None, named), "")

    def of_component(self, kind: str, component: str) -> list[Object]:
        """Return the objects of a kind and a component."""
        found = (item for item in self.objects if item["kind"] == kind)
        return [item for item in found if pods.label(item, contract.LABEL_COMPONENT) == component]


@click.command("create")
@click.argument("name")
@options.cluster_options
@click.option("--size", metavar="SIZE", help="How large the claim is: 500Gi.")
@click.option("--storage-class", metavar="CLASS", help="Storage class of the claim; the cluster's default without it.")
@click.option(
    "--access-mode", type=click.Choice(_ACCESS_MODES), help="Access mode of the claim; ReadWriteOnce without it."
)
@click.option("--shared", is_flag=True, help="Make the claim that releases with modelCache.mode=shared use.")
@click.option("--claim", metavar="CLAIM", help="Use this claim, which exists and stays yours, in place of a new one.")
@click.option(
    "-f", "--values", "files", multiple=True, metavar="FILE", help="More values of the chart; may be repeated."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A value of the chart; may be repeated.")
@click.option(
    "--chart", metavar="REF", help="Chart to install: a directory, a package or a reference, as helm takes it."
)
@click.option("--chart-version", metavar="VERSION", help="Version of a chart that comes from a repository.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until a pod has mounted the claim.")
@click.option("--dry-run", is_flag=True, help="Only show the values and what the chart makes of them.")
@options.timeout_option
@options.output_options
def cache_create(
    name: str,
    connection: Connection,
    size: str | None,
    storage_class: str | None,
    access_mode: str | None,
    shared: bool,
    claim: str | None,
    files: tuple[str, ...],
    settings: tuple[str, ...],
    chart: str | None,
    chart_version: str | None,
    wait: bool,
    dry_run: bool,
    timeout: float,
    output: Output,
) -> None:
    """Make a cache without a model: the claim, and what maintains it.

    NAME is a release of the llmkube chart that Helm installs; change it with `helm upgrade` and remove it with `helm
    uninstall`, which leaves the claim. With GitOps, commit the values that --dry-run prints instead.
    """
    values = _values(size, storage_class, access_mode, claim, shared=shared)
    more = [part for file in files for part in ("--values", file)]
    more += [part for setting in settings for part in ("--set", setting)]
    more += ["--version", chart_version] if chart_version else []
    if dry_run:
        _preview(_render(name, connection, helm.find_chart(chart), values, more), output)
        return
    cluster = connect(connection)
    connection = Connection(cluster.namespace, connection.context, connection.kubeconfig)
    plan = _render(name, connection, helm.find_chart(chart), values, more)
    _refuse_what_is_there(cluster, plan)
    _install(plan, connection)
    if wait:
        for job in plan.of_component("Job", contract.COMPONENT_CACHE):
            _wait_for_mount(cluster, plan, pods.name(job), timeout, output)
    _report(plan, output)


def _values(
    size: str | None, storage_class: str | None, access_mode: str | None, claim: str | None, *, shared: bool
) -> dict[str, Any]:
    """Return the values of the chart that stand for the options."""
    if claim and (shared or size or storage_class is not None):
        raise click.UsageError(
            "--claim names a claim that exists: --shared, --size and --storage-class are for a new one."
        )
    given: dict[str, Any] = {"mode": "shared", "create": True} if shared else {}
    given |= {"mode": "existingClaim", "claimName": claim} if claim else {}
    options_given = {"size": size, "storageClass": storage_class, "accessMode": access_mode}
    return {"modelCache": given | {key: value for key, value in options_given.items() if value is not None}}


def _render(name: str, connection: Connection, chart: str, values: dict[str, Any], more: list[str]) -> _Plan:
    """Let Helm render the release, which needs no cluster and tells what is wrong with the values."""
    import yaml

    place = ["--namespace", connection.namespace] if connection.namespace else []
    rendered = helm.run("template", [name, chart, *place, *more], json.dumps(values), f"rendering {chart}")
    objects = [item for item in yaml.safe_load_all(rendered) if item]
    plan = _Plan(name, connection.namespace or "default", chart, values, more, objects)
    if plan.of_component("Deployment", contract.COMPONENT_SERVER):
        raise PluginError(
            "the values name a model to serve, and `cache create` makes a cache without one",
            f"Leave model.source out, or use `helm install {name}`.",
        )
    if not plan.claim:
        raise PluginError(
            f"the chart {chart} makes no cache of these values: nothing that it renders names a claim",
            "Name the llmkube chart with --chart.",
        )
    return plan


def _preview(plan: _Plan, output: Output) -> None:
    import yaml

    if not output.for_people:
        output.document(_document(plan) | {"manifests": plan.objects}, [plan.claim])
        return
    output.text(yaml.safe_dump(plan.values, sort_keys=False).rstrip())
    output.note(f"would install release {plan.name} of {plan.chart}, which makes in namespace {plan.namespace}:")
    for item in plan.objects:
        output.note(f"  {item['kind']} {pods.name(item)}")


def _refuse_what_is_there(cluster: Cluster, plan: _Plan) -> None:
    """Refuse a name or a claim that is taken. A claim that a release of this name left behind is used again."""
    snapshot = scan.read(cluster, cluster.namespace)
    if any(pods.label(item, contract.LABEL_RELEASE) == plan.name for item in snapshot.workloads):
        raise PluginError(
            f"release {plan.name} in namespace {cluster.namespace} exists already",
            f"Change it with `helm upgrade {plan.name}`, or choose another name.",
        )
    rendered = {pods.name(item) for item in plan.objects if item["kind"] == "PersistentVolumeClaim"}
    for claim in snapshot.claims:
        owner = pods.label(claim, contract.LABEL_RELEASE)
        if pods.name(claim) in rendered and owner != plan.name:
            raise PluginError(
                f"claim {pods.name(claim)} in namespace {cluster.namespace} exists already"
                + (f", made by release {owner}" if owner else ""),
                f"Choose another name, or use it as it is with --claim {pods.name(claim)}.",
            )


def _install(plan: _Plan, connection: Connection) -> None:
    arguments = [plan.name, plan.chart, *helm.connection_flags(connection), *plan.arguments]
    helm.run(
        "install", arguments, json.dumps(plan.values), f"installing release {plan.name} in namespace {plan.namespace}"
    )


class _Mounting:
    """Hears how the Job that mounts the claim gets on."""

    def __init__(self, claim: str, output: Output) -> None:
        self._claim = claim
        self._output = output

    def waiting(self, reason: str) -> None:
        """Say what keeps the pod from mounting the claim."""
        self._output.note(f"{self._claim}: waiting: {reason}")

    def running(self, pod: Object) -> None:
        """Hear that the claim is mounted: nothing to say about seconds of work."""


def _wait_for_mount(cluster: Cluster, plan: _Plan, job: str, timeout: float, output: Output) -> None:
    """Wait until the Job that binds the claim has ended; the cache stays whatever comes of it."""
    existing = cluster.get(kube.JOBS, cluster.namespace, job)
    run = JobRun(cluster, existing, existing)
    with interrupts.leaving(
        f"Release {plan.name} is installed; see `helm llmkube cache status {plan.claim} -n {plan.namespace}`, "
        f"or remove it with `helm uninstall {plan.name} -n {plan.namespace}`."
    ):
        _, end = run.wait(_CONTAINER_INIT, timeout, _Mounting(plan.claim, output))
    if end.exit_code:
        raise PluginError(
            f"release {plan.name} is installed, but claim {plan.claim} can not be used: {end.error['cause']}",
            end.error["action"] or f"See `kubectl -n {plan.namespace} describe job {job}`.",
        )


def _report(plan: _Plan, output: Output) -> None:
    if not output.for_people:
        output.document(_document(plan), [plan.claim])
        return
    claims = [item for item in plan.objects if item["kind"] == "PersistentVolumeClaim"]
    sizes = [claim["spec"]["resources"]["requests"]["storage"] for claim in claims if pods.name(claim) == plan.claim]
    size = f", {units.size(units.quantity(sizes[0]))}" if sizes else ""
    output.text(f"release {plan.name} in namespace {plan.namespace}: cache {plan.claim}{size}")
    output.note(
        f"Fill it:  helm llmkube cache preload SOURCE --cache {plan.claim} -n {plan.namespace}\n"
        f"Use it:   helm install ... --set {_how_to_use(plan)}"
    )


def _how_to_use(plan: _Plan) -> str:
    if plan.values["modelCache"].get("mode") == "shared":
        return "modelCache.mode=shared"
    return f"modelCache.mode=existingClaim,modelCache.claimName={plan.claim}"


def _document(plan: _Plan) -> dict[str, Any]:
    return {
        "schema": render.SCHEMA,
        "release": plan.name,
        "namespace": plan.namespace,
        "chart": plan.chart,
        "claim": plan.claim,
        "values": plan.values,
        "objects": [{"kind": item["kind"], "name": pods.name(item)} for item in plan.objects],
    }
