"""What the plugin's doctor says of Pod Security is what the real admission does."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from apiserver.client import Api
from llmkube_plugin.doctor.security import violations
from llmkube_plugin.doctor.subject import Workload

pytestmark = pytest.mark.cluster

Change = Callable[[dict[str, Any]], object]
CONTAINER: dict[str, Any] = {
    "name": "fetch",
    "image": "downloader",
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
POD: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [CONTAINER],
    "volumes": [{"name": "tmp", "emptyDir": {}}],
}


def own(spec: dict[str, Any]) -> dict[str, Any]:
    """The security context of the container."""
    found: dict[str, Any] = spec["containers"][0]["securityContext"]
    return found


def volume(**source: Any) -> Change:
    return lambda spec: spec["volumes"].append({"name": "more", **source})


CHANGES: dict[str, Change] = {
    "nothing": lambda _: None,
    "no security context": lambda spec: spec.pop("securityContext"),
    "no context of the container": lambda spec: spec["containers"][0].pop("securityContext"),
    "privileged": lambda spec: own(spec).update(privileged=True, allowPrivilegeEscalation=True),
    "privilege escalation": lambda spec: own(spec).update(allowPrivilegeEscalation=True),
    "host network": lambda spec: spec.update(hostNetwork=True),
    "host processes": lambda spec: spec.update(hostPID=True),
    "host memory": lambda spec: spec.update(hostIPC=True),
    "a host port": lambda spec: spec["containers"][0].update(ports=[{"containerPort": 80, "hostPort": 80}]),
    "may be root": lambda spec: spec["securityContext"].update(runAsNonRoot=False),
    "may be root but for the container": lambda spec: (
        spec["securityContext"].pop("runAsNonRoot"),
        own(spec).update(runAsNonRoot=True),
    ),
    "the container may be root": lambda spec: own(spec).update(runAsNonRoot=False),
    "no profile": lambda spec: spec["securityContext"].pop("seccompProfile"),
    "unconfined": lambda spec: spec["securityContext"].update(seccompProfile={"type": "Unconfined"}),
    "the container unconfined": lambda spec: own(spec).update(seccompProfile={"type": "Unconfined"}),
    "a profile of the container": lambda spec: (
        spec["securityContext"].pop("seccompProfile"),
        own(spec).update(seccompProfile={"type": "RuntimeDefault"}),
    ),
    "all capabilities": lambda spec: own(spec).pop("capabilities"),
    "some capabilities dropped": lambda spec: own(spec).update(capabilities={"drop": ["KILL"]}),
    "ports below 1024": lambda spec: own(spec).update(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}),
    "owners may be changed": lambda spec: own(spec).update(capabilities={"drop": ["ALL"], "add": ["CHOWN"]}),
    "memory may be locked": lambda spec: own(spec).update(capabilities={"drop": ["ALL"], "add": ["IPC_LOCK"]}),
    "a directory of the node": volume(hostPath={"path": "/models"}),
    "a file server": volume(nfs={"server": "files", "path": "/models"}),
    "a claim": volume(persistentVolumeClaim={"claimName": "models"}),
    "a secret": volume(secret={"secretName": "hf"}),
    "an image": volume(image={"reference": "models:1"}),
    "an init container": lambda spec: spec.update(initContainers=[{"name": "chown", "image": "busybox"}]),
}


@pytest.fixture(scope="module", params=["baseline", "restricted"])
def level(request: pytest.FixtureRequest, api: Api) -> str:
    """A level, enforced in a namespace of its name."""
    labels = {"pod-security.kubernetes.io/enforce": request.param}
    metadata = {"name": request.param, "labels": labels}
    api.done("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    account = {"metadata": {"name": "default"}}
    api.done("POST", f"/api/v1/namespaces/{request.param}/serviceaccounts", account)
    return str(request.param)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_the_doctor_and_the_admission_agree(api: Api, level: str, change: Change) -> None:
    spec = copy.deepcopy(POD)
    change(spec)
    status, answer = api.ask(
        "POST", f"/api/v1/namespaces/{level}/pods?dryRun=All", {"metadata": {"name": "pod"}, "spec": spec}
    )
    assert status == 201 or "violates PodSecurity" in answer["message"], answer

    said = [broken for broken, _ in violations(Workload({}, {"spec": spec}, 1), level)]

    assert bool(said) == (status != 201), answer.get("message", said)
