"""Makes the manifests of Jobs from what the chart rendered, so that image, security and placement are the chart's."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from llmkube_plugin import contract, pods
from llmkube_plugin.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from llmkube_plugin.kube import Object
    from llmkube_plugin.model import Cache
    from llmkube_plugin.sources import Selection

TTL_SECONDS = 3600  # a finished Job is kept so long for its report
_NAME_LIMIT = 63 - 6  # a Job's name is a label's value, and the API server appends a dash and five characters
_RETRIES = 6
_REPAIR = "--repair"  # the one kind of maintenance that asks origins
# What Kubernetes adds to the pod template of a Job that it accepted.
CONTROLLER_LABELS = (
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    contract.LABEL_JOB,
)
# A server's pod says under its UID that it uses the entry, and finds it through a link in a directory of its own. The
# pod of a Job will have ended without having used anything, and nobody follows its link.
_OF_A_SERVER = (contract.VARIABLE_POD_UID, contract.VARIABLE_LINK, contract.VOLUME_ENTRIES)
_OUR_LABELS = (contract.LABEL_RELEASE, contract.LABEL_KEY)
_OUR_ANNOTATIONS = (
    contract.ANNOTATION_SOURCE,
    contract.ANNOTATION_REVISION,
    contract.ANNOTATION_CLAIM,
    contract.ANNOTATION_MODE,
)


def maintenance(cache: Cache, arguments: Sequence[str]) -> Object:
    """Return a Job that runs the downloader once with `arguments` on the volume of a cache."""
    cronjob = maintenance_cronjob(cache)
    template = copy.deepcopy(cronjob["spec"]["jobTemplate"]["spec"]["template"])
    container = _container(template["spec"]["containers"], contract.CONTAINER_MAINTENANCE, cronjob)
    container["args"] = _literal(arguments)
    if _REPAIR not in arguments:
        _leave_out_credentials(template["spec"], container)
    spec = {"backoffLimit": 0, "template": template}
    return _job(spec, contract.COMPONENT_MAINTENANCE, origin=cronjob, cache=cache)


def preload_copy(job: Object, cache: Cache) -> Object:
    """Return a Job that does again what a release's preload Job did."""
    kept = ("activeDeadlineSeconds", "backoffLimit", "podFailurePolicy")
    spec = {name: copy.deepcopy(job["spec"][name]) for name in (*kept, "template") if name in job["spec"]}
    return _job(spec, contract.COMPONENT_PRELOAD, origin=job, cache=cache)


def preload_from_server(deployment: Object, cache: Cache, entry: pods.Beside | None = None) -> Object:
    """Return a Job that fetches what a release's server pods fetch before they start: one of their init containers.

    - entry: what to fetch, None for the model.
    """
    template = copy.deepcopy(deployment["spec"]["template"])
    spec = template["spec"]
    name = entry.container if entry else contract.CONTAINER_FETCH
    fetch = _container(spec.pop("initContainers", []), name, deployment)
    fetch["name"] = contract.CONTAINER_FETCH
    _leave_out(_OF_A_SERVER, spec, fetch)
    mounted = {mount["name"] for mount in fetch.get("volumeMounts", [])}
    spec["containers"] = [fetch]
    spec["volumes"] = [volume for volume in spec.get("volumes", []) if volume["name"] in mounted]
    for unwanted in ("resourceClaims", "topologySpreadConstraints", "terminationGracePeriodSeconds"):
        spec.pop(unwanted, None)
    return _job(_retrying(template, fetch), contract.COMPONENT_PRELOAD, origin=_about(deployment, entry), cache=cache)


def _about(deployment: Object, entry: pods.Beside | None) -> Object:
    """Return a server as if one of the entries beside its model were the model."""
    if entry is None:
        return deployment
    metadata = deployment["metadata"]
    noted = {**(metadata.get("annotations") or {}), contract.ANNOTATION_SOURCE: entry.source}
    noted[contract.ANNOTATION_REVISION] = entry.revision
    labels = {**(metadata.get("labels") or {}), contract.LABEL_KEY: entry.key}
    return {**deployment, "metadata": {**metadata, "labels": labels, "annotations": noted}}


def preload_source(cache: Cache, source: str, shown: str, selection: Selection) -> Object:
    """Return a Job that fetches any source into a cache; `shown` is the source without credentials."""
    cronjob = maintenance_cronjob(cache)
    template = copy.deepcopy(cronjob["spec"]["jobTemplate"]["spec"]["template"])
    container = _container(template["spec"]["containers"], contract.CONTAINER_MAINTENANCE, cronjob)
    container["name"] = contract.CONTAINER_FETCH
    container["args"] = _literal(("fetch", source, *selection.arguments()))
    annotations = {contract.ANNOTATION_SOURCE: shown}
    if selection.revision:
        annotations[contract.ANNOTATION_REVISION] = selection.revision
    spec = _retrying(template, container)
    return _job(spec, contract.COMPONENT_PRELOAD, origin=cronjob, cache=cache, annotations=annotations)


def _literal(arguments: Iterable[str]) -> list[str]:
    """Return arguments as they are meant: Kubernetes expands $(NAME) in them, which could print a token."""
    return [text.replace("$", "$$") for text in arguments]


def maintenance_cronjob(cache: Cache) -> Object:
    """Return the CronJob whose pods can work on the volume of a cache."""
    if cache.maintenance is None:
        raise PluginError(
            f"claim {cache.claim} in namespace {cache.namespace} has no maintenance CronJob to run a Job from",
            "Upgrade a release that uses the claim with the llmkube chart, which renders one.",
        )
    return cache.maintenance


def _container(containers: list[Object], name: str, owner: Object) -> Object:
    for container in containers:
        if container["name"] == name:
            return container
    raise PluginError(
        f"{pods.name(owner)} in namespace {pods.namespace(owner)} has no container {name!r}",
        "Upgrade the release with a chart of the plugin's version, so that both agree.",
    )


def _leave_out_credentials(spec: Object, container: Object) -> None:
    """Give a pod that asks no origin nothing that only origins are told."""
    _leave_out((contract.VARIABLE_CREDENTIALS, contract.VOLUME_CREDENTIALS), spec, container)


def _leave_out(names: Collection[str], spec: Object, container: Object) -> None:
    """Take variables and volumes away from a pod and its container."""
    for place, kind in ((container, "env"), (container, "volumeMounts"), (spec, "volumes")):
        place[kind] = [item for item in place.get(kind, []) if item["name"] not in names]


def _retrying(template: Object, fetch: Object) -> dict[str, Any]:
    """Return the spec of a Job that tries again, unless another attempt would only repeat the failure."""
    final = list(contract.FINAL_EXIT_CODES)
    if any(text.startswith("--sha256") for text in fetch.get("args", [])):
        final.append(contract.EXIT_INTEGRITY)  # the origin has other bytes than the user expects, and will again
    codes = {"containerName": contract.CONTAINER_FETCH, "operator": "In", "values": sorted(final)}
    rules = [
        {"action": "FailJob", "onExitCodes": codes},
        # A drained node is no failure of the fetch.
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]
    return {"backoffLimit": _RETRIES, "podFailurePolicy": {"rules": rules}, "template": template}


def _job(
    spec: dict[str, Any],
    component: str,
    *,
    origin: Object,
    cache: Cache,
    annotations: dict[str, str] | None = None,
) -> Object:
    """Return the manifest around a Job's spec.

    Labels and annotations are chosen, not copied: those of Helm, Argo CD and Flux would make the Job look like theirs.
    """
    template = spec["template"]
    noted = {name: pods.annotation(origin, name) for name in _OUR_ANNOTATIONS if pods.annotation(origin, name)}
    noted |= {**(annotations or {}), contract.ANNOTATION_MADE_BY: contract.MADE_BY_PLUGIN}
    labels = {name: pods.label(origin, name) for name in _OUR_LABELS if pods.label(origin, name)}
    labels[contract.LABEL_COMPONENT] = component
    _mark_template(template, labels, noted)
    if cache.node:
        _bind_to_node(template["spec"], cache.node)
    base = f"{pods.name(origin)}-{component}" if component not in pods.name(origin) else pods.name(origin)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "generateName": base[:_NAME_LIMIT].rstrip("-.") + "-",
            "namespace": pods.namespace(origin),
            "labels": labels,
            "annotations": noted,
            "ownerReferences": [_owner(cache.maintenance or origin)],
        },
        "spec": {"ttlSecondsAfterFinished": TTL_SECONDS, **spec},
    }


def _mark_template(template: Object, labels: dict[str, str], annotations: dict[str, str]) -> None:
    """Label the pod like its Job, whatever it was before: a Service must not find it."""
    metadata = template.setdefault("metadata", {})
    inherited = metadata.get("labels") or {}
    kept = {name: value for name, value in inherited.items() if name not in CONTROLLER_LABELS}
    metadata["labels"] = {**kept, **labels}
    inherited = metadata.get("annotations") or {}
    own = {
        name: text for name, text in inherited.items() if name not in (*_OUR_ANNOTATIONS, contract.ANNOTATION_ENTRIES)
    }
    metadata["annotations"] = {**own, **annotations}
    template["spec"]["restartPolicy"] = "Never"


def _owner(item: Object) -> Object:
    """Return a reference that lets the Job go when its origin goes.

    It names no controller: a CronJob controller would count the Job against its history and delete it too early.
    """
    metadata = item["metadata"]
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], "name": metadata["name"], "uid": metadata["uid"]}


def _bind_to_node(spec: Object, node: str) -> None:
    """Let the pod run only on the node that has the volume. Terms are alternatives, so each one gets the condition."""
    affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    required = affinity.setdefault("requiredDuringSchedulingIgnoredDuringExecution", {"nodeSelectorTerms": []})
    terms = required["nodeSelectorTerms"] or [{}]
    for term in terms:
        fields = {"key": "metadata.name", "operator": "In", "values": [node]}
        term.setdefault("matchFields", []).append(fields)
    required["nodeSelectorTerms"] = terms
