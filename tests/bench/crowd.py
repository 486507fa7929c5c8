"""Fills an API server with the objects of many teams, as controllers, kubelets and provisioners would leave them.

There is no node: pods carry the status that a kubelet would have written, reports of the downloader included.
"""

from __future__ import annotations

import copy
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from apiserver.client import Api
from chart.rendering import Object, Renderer, nested

ENTRIES = 50  # of one team
_BYTES = 4_661_211_808
_TIME = "2026-01-02T03:04:05Z"
_LISTED = ("ServiceAccount", "PersistentVolumeClaim", "Deployment", "Job", "CronJob")
_PATHS = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "CronJob": "/apis/batch/v1/namespaces/{}/cronjobs",
}


def fill(api: Api, chart: Renderer, *, teams: int, servers: int) -> None:
    """Give every team a namespace with 50 entries and 50 pods.

    - servers: how many of the entries belong to releases that serve them from a claim of their own; a cache-only
      release has preloaded the others into a shared one.
    """
    objects = _team(chart, servers)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: _fill_namespace(api, f"team-{number:02}", objects), range(teams)))


def _team(chart: Renderer, servers: int) -> list[Object]:
    """Return what one team has installed; every team has the same."""
    found: list[Object] = []
    models = {f"m{number:02}": {"source": f"hf://acme/preloaded-{number:02}"} for number in range(ENTRIES - servers)}
    cache = {"modelCache.mode": "shared", "modelCache.create": True, "modelCache.size": "1Ti"}
    found += chart.objects(nested({**cache, "preload.models": models}), "cache")
    for number in range(servers):
        source = f"hf://acme/served-{number:02}/model-q4_k_m.gguf"
        values = {"model.source": source, "modelCache.size": "20Gi", "preload.enabled": False}
        found += chart.objects(nested(values), f"chat-{number:02}")
    return [item for item in found if item["kind"] in _LISTED]


def _fill_namespace(api: Api, namespace: str, objects: list[Object]) -> None:
    api.done("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    api.done("POST", _PATHS["ServiceAccount"].format(namespace), {"metadata": {"name": "default"}})
    for item in sorted(objects, key=lambda each: _LISTED.index(each["kind"])):
        path = _PATHS[item["kind"]].format(namespace)
        made = api.done("POST", path, {**item, "metadata": {**item["metadata"], "namespace": namespace}})
        if item["kind"] == "PersistentVolumeClaim":
            capacity = item["spec"]["resources"]["requests"]
            bound = {"phase": "Bound", "capacity": capacity, "accessModes": item["spec"]["accessModes"]}
            api.done("PATCH", f"{path}/{item['metadata']['name']}/status", {"status": bound})
        if item["kind"] in ("Job", "Deployment"):
            _add_pod(api, namespace, {**made, "kind": item["kind"], "apiVersion": item["apiVersion"]})


def _add_pod(api: Api, namespace: str, owner: Object) -> None:
    """Make the pod of a Job that has succeeded, or of a Deployment that serves."""
    pod = copy.deepcopy(owner["spec"]["template"])
    name = f"{owner['metadata']['name'][:50]}-7c9d8f6b5d"
    reference = {key: owner[key] for key in ("apiVersion", "kind")}
    reference |= {key: owner["metadata"][key] for key in ("name", "uid")}
    pod["metadata"] |= {"name": name, "ownerReferences": [{**reference, "controller": True}]}
    pod["spec"]["nodeName"] = "node-1"
    path = f"/api/v1/namespaces/{namespace}/pods"
    made = api.done("POST", path, pod)
    api.done("PATCH", f"{path}/{name}/status", {"status": _status(made)})


def _status(pod: Object) -> Object:
    """Return what a kubelet says of a pod whose fetch has ended well and whose server, if it has one, runs."""
    serves = "initContainers" in pod["spec"]
    starting = [_container(each, _ended(pod)) for each in pod["spec"].get("initContainers", [])]
    running: Object = {"running": {"startedAt": _TIME}}
    main = [_container(each, running if serves else _ended(pod)) for each in pod["spec"]["containers"]]
    told = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    return {
        "phase": "Running" if serves else "Succeeded",
        "conditions": [{"type": each, "status": "True", "lastTransitionTime": _TIME} for each in told],
        "hostIP": "10.0.0.1",
        "podIP": "10.244.0.7",
        "startTime": _TIME,
        "qosClass": "Burstable",
        "initContainerStatuses": starting,
        "containerStatuses": main,
    }


def _container(container: Object, state: Object) -> Object:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": f"sha256:{'0' * 64}",
        "containerID": f"containerd://{'1' * 64}",
        "ready": True,
        "started": "running" in state,
        "restartCount": 0,
        "state": state,
    }


def _ended(pod: Object) -> Object:
    metadata = pod["metadata"]
    key, source = metadata["labels"]["llmkube.dev/key"], metadata["annotations"]["llmkube.dev/source"]
    files = [{"path": f"part-{number}", "size": _BYTES // 4, "sha256": f"{number:064}"} for number in range(4)]
    report: dict[str, Any] = {
        "schema": 1,
        "result": "fetched",
        "key": key,
        "entry": f"/models/{key}",
        "source": source,
        "revision": "0" * 40,
        "files": files,
        "bytesTotal": _BYTES,
        "bytesFetched": _BYTES,
        "bytesReused": 0,
        "seconds": 97.3,
        "verified": "sha256",
        "requests": 42,
        "volume": {"total": 1 << 40, "free": 1 << 39},
    }
    ended = {"exitCode": 0, "reason": "Completed", "startedAt": _TIME, "finishedAt": _TIME}
    return {"terminated": {**ended, "message": json.dumps(report)}}
