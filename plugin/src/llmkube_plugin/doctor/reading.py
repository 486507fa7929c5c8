"""Where releases to examine come from: the cluster, manifests, or values that are rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_plugin import contract, helm, kube, pods, rendered
from llmkube_plugin.doctor.subject import Subject
from llmkube_plugin.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkube_plugin.doctor.facts import Facts
    from llmkube_plugin.kube import Object

_KINDS = (kube.DEPLOYMENTS, kube.JOBS, kube.CRONJOBS, kube.CLAIMS)


def installed(cluster: Facts, release: str | None) -> Subject:
    """Return a release that is there, or all of the namespace.

    Raises PluginError when there is no release of that name.
    """
    listed = [item for kind in _KINDS for item in cluster.own(kind) or []]
    wanted = [item for item in listed if pods.label(item, contract.LABEL_RELEASE)]
    found = tuple(item for item in wanted if release in (None, pods.label(item, contract.LABEL_RELEASE)))
    if release and not found and not cluster.denied:
        known = ", ".join(sorted({pods.label(item, contract.LABEL_RELEASE) for item in wanted})) or "none"
        raise PluginError(
            f"there is no release {release!r} in namespace {cluster.namespace}; there are: {known}",
            "One that is not installed yet is examined by its values (-f, --set) or its manifests (--manifests).",
        )
    return Subject(cluster, found, planned=False)


def planned(cluster: Facts, text: str, origin: str) -> Subject:
    """Return what manifests would install; `origin` says where they come from.

    Raises PluginError when they are no YAML, or have nothing of the chart.
    """
    objects = tuple(each for each in rendered.parsed(text, origin) if not _is_test(each))
    if not any(pods.label(each, contract.LABEL_RELEASE) for each in objects):
        raise PluginError(
            f"{origin} holds no object of the llmkube chart",
            "Give it what a release renders: helm template RELEASE CHART | helm llmkube doctor --manifests -",
        )
    return Subject(cluster, objects, planned=True)


def _is_test(item: Object) -> bool:
    """Return whether only `helm test` makes an object."""
    return "test" in pods.annotation(item, "helm.sh/hook")


def render(release: str, chart: str | None, arguments: Sequence[str], namespace: str) -> str:
    """Return the manifests that helm renders from values.

    Raises PluginError with what helm said when it refuses them, or when there is no helm or chart.
    """
    done = helm.start(["template", release, helm.find_chart(chart), "--namespace", namespace, *arguments])
    if done.returncode:
        raise PluginError(f"helm does not render these values: {helm.last_words(done)}", "Correct them.")
    return done.stdout
