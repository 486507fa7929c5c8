"""Asks origins from the cluster: in a pod like the one that would download, which downloads nothing.

That such a pod starts at all shows more than any look at objects: its image, its place and its Secrets are those of the
release. A claim that is still to be made is not made for it; a directory of the pod stands for it.
"""

from __future__ import annotations

import contextlib
import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from llmkube_plugin import contract, kube, pods, rights
from llmkube_plugin.doctor import directory
from llmkube_plugin.doctor.finding import NOTE, PROBLEM, WARNING, Finding
from llmkube_plugin.errors import ForbiddenError, PluginError
from llmkube_plugin.jobs import CONTROLLER_LABELS, TTL_SECONDS
from llmkube_plugin.runs import JobRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmkube_plugin.doctor.facts import Facts
    from llmkube_plugin.doctor.subject import Subject, Workload
    from llmkube_plugin.kube import Cluster, Object
    from llmkube_plugin.output import Output

CHECK = "origin"
_SELECTION = ("--revision=", "--include=", "--exclude=", "--file=")
_CACHE = "model-cache"  # the volume of the chart's pods that holds the cache
_UNTOLD = (contract.VARIABLE_POD_UID, "LLMKUBE_LINK", "LLMKUBE_REPORT")


class _Trial(NamedTuple):
    """A pod to ask an origin in: for which workload, of which source, and the Job's manifest."""

    workload: Workload
    source: str
    manifest: Object
    mirrored: bool
    on_claim: bool


class _Waiting:
    """Says what the pod of a trial waits for."""

    def __init__(self, source: str, output: Output) -> None:
        self._source, self._output = source, output

    def waiting(self, reason: str) -> None:
        """Say why the pod does not run yet."""
        self._output.note(f"{self._source}: waiting for a pod to ask from: {reason}")

    def running(self, pod: Object) -> None:
        """Hear that the pod runs: nothing to say about seconds."""


def ask(subject: Subject, facts: Facts, cluster: Cluster, seconds: float, output: Output) -> list[Finding]:
    """Return what the origins of all that is to be downloaded say; no Job is left behind."""
    facts.check = CHECK
    lacking = list(rights.lacking(cluster, subject.namespace, rights.VOLUME_WORK))
    for right, _ in lacking:
        facts.deny(right.verb, right.resource, subject.namespace)
    if lacking:
        return []
    found: list[Finding] = []
    with contextlib.ExitStack() as stack:
        runs = []
        for trial in _trials(subject):
            try:
                runs.append((trial, JobRun(cluster, trial.manifest)))
            except ForbiddenError:
                facts.deny("create", kube.JOBS.plural, subject.namespace)
                break
            except PluginError as error:
                found.append(_refused(trial, error))
                continue
            stack.callback(runs[-1][1].delete)
        for trial, run in runs:
            found += _answer(trial, run, cluster, seconds, output)
    return [replace(finding, check=CHECK) for finding in found]


def _trials(subject: Subject) -> Iterable[_Trial]:
    """Return one trial for each source, in the pod of a Job rather than of a server."""
    found: dict[str, _Trial] = {}
    for workload in sorted(subject.workloads, key=lambda each: each.item["kind"] == "Deployment"):
        for container in workload.fetches:
            arguments = container["args"][1:]
            found.setdefault("\n".join(arguments), _trial(workload, container, subject))
    return found.values()


def _trial(workload: Workload, container: Object, subject: Subject) -> _Trial:
    source, *rest = container["args"][1:]
    selection = [text for text in rest if text.startswith(_SELECTION)]
    template = copy.deepcopy(workload.template)
    spec, fetch = template["spec"], copy.deepcopy(container)
    fetch["name"] = contract.CONTAINER_FETCH
    fetch["args"] = ["doctor", source, *selection, "-o", "json"]
    fetch["env"] = [each for each in fetch.get("env") or [] if each["name"] not in _UNTOLD]
    mounted = {mount["name"] for mount in fetch.get("volumeMounts") or []}
    volumes = [_volume(each, subject) for each in spec.get("volumes") or [] if each["name"] in mounted]
    kept = ("imagePullSecrets", "securityContext", "nodeSelector", "affinity", "tolerations", "enableServiceLinks")
    made = {field: spec[field] for field in kept if field in spec}
    account = spec.get("serviceAccountName", "default")
    if not (subject.planned and subject.has("ServiceAccount", account)):
        made["serviceAccountName"] = account
    made |= {"automountServiceAccountToken": False, "restartPolicy": "Never", "containers": [fetch], "volumes": volumes}
    on_claim = any(each["name"] == _CACHE and "persistentVolumeClaim" in each for each in volumes)
    mirrored = any(text.startswith("--mirror=") for text in rest)
    return _Trial(workload, source.partition("?")[0], _job(workload, made, subject.namespace), mirrored, on_claim)


def _volume(volume: Object, subject: Subject) -> Object:
    """Return a volume as it can be had before the release is there."""
    claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
    if volume["name"] == _CACHE and claim and claim not in subject.live_claims:
        return {"name": volume["name"], "emptyDir": {}}
    secret = volume.get("secret") or {}
    if subject.planned and subject.has("Secret", secret.get("secretName", "")):
        return {**volume, "secret": {**secret, "optional": True}}
    return volume


def _job(workload: Workload, spec: dict[str, Any], namespace: str) -> Object:
    labels = {contract.LABEL_COMPONENT: contract.COMPONENT_MAINTENANCE}
    release = pods.label(workload.item, contract.LABEL_RELEASE)
    metadata: Object = {
        "generateName": f"{release[:40].rstrip('-.')}-doctor-",
        "namespace": namespace,
        "labels": {**labels, contract.LABEL_RELEASE: release},
        "annotations": {contract.ANNOTATION_MADE_BY: contract.MADE_BY_PLUGIN},
    }
    # Network policies choose pods by their labels, so these are those of the pods that would download.
    marked = {**(workload.template.get("metadata", {}).get("labels") or {}), **metadata["labels"]}
    for label in (contract.LABEL_KEY, *CONTROLLER_LABELS):
        marked.pop(label, None)
    template = {"metadata": {"labels": marked, "annotations": metadata["annotations"]}, "spec": spec}
    job = {"backoffLimit": 0, "ttlSecondsAfterFinished": TTL_SECONDS, "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": job}


def _answer(trial: _Trial, run: JobRun, cluster: Cluster, seconds: float, output: Output) -> Iterator[Finding]:
    """Yield what a trial came to; a pod that did not start, or left no report, is a problem too."""
    try:
        pod, end = run.wait(contract.CONTAINER_FETCH, seconds, _Waiting(trial.source, output))
        report = pods.parse_report(cluster.log(run.namespace, pods.name(pod), contract.CONTAINER_FETCH))
    except PluginError as error:
        yield _refused(trial, error)
        return
    if "findings" not in report:
        told = (report.get("error") or end.error).get("cause") or "it left no report"
        what = f"The pod that should ask the origin of {trial.source} ended without an answer: {told}"
        yield Finding(PROBLEM, (trial.workload.title,), what, "A download would end like that.")
        return
    for said in report["findings"]:
        yield from _said(trial, said)


def _said(trial: _Trial, said: Object) -> Iterator[Finding]:
    """Yield a finding of the downloader: of the volume only what is wrong, and only of the real one."""
    about_origin = said["check"] == CHECK
    if not about_origin and (not trial.on_claim or said["level"] == "ok"):
        return
    (finding,) = directory.findings({"findings": [said], "root": said["object"]}, trial.workload.title)
    what = f"{trial.source}: {said['what']}" if about_origin else finding.what
    severity = finding.severity
    if about_origin and trial.mirrored and severity == PROBLEM:
        severity = WARNING  # a mirror, which was not asked, may have it
    yield replace(finding, severity=severity, what=what, causes="" if severity == NOTE else finding.causes)


def _refused(trial: _Trial, error: PluginError) -> Finding:
    what = f"No pod to ask the origin of {trial.source} from: {error.message}"
    return Finding(PROBLEM, (trial.workload.title,), what, "A pod of the release would not start either.", error.action)
