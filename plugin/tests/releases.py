"""The objects of releases as the chart renders them, and pods in the states that tests need."""

from __future__ import annotations

import copy
import functools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml
from fake_kubernetes import Script

Object = dict[str, Any]

REPOSITORY = Path(__file__).resolve().parents[2]
TINY = "hf://org/repo/tiny.gguf"
TINY_KEY = "a6372a71da5d60b2"


def helm(variable: str = "HELM") -> str:
    """Return the helm to use: an environment variable names it, so that no test depends on what is on PATH."""
    path = os.environ.get(variable, "")
    assert path, f"set {variable} to the path of a helm program, or run `make test-unit`, which builds one"
    return path


@functools.cache
def rendered(release: str, values: str) -> str:
    done = subprocess.run(
        [helm(), "template", release, str(REPOSITORY / "charts" / "llmkube"), "--values", "-"],
        input=values,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def release(name: str, **values: Any) -> list[Object]:
    """Return the objects of a release, without those that the plugin never asks for."""
    known = ("Deployment", "Job", "CronJob", "PersistentVolumeClaim")
    items = yaml.safe_load_all(rendered(name, json.dumps(values)))
    return [copy.deepcopy(item) for item in items if item and item["kind"] in known]


def serving(name: str = "web", source: str = TINY, **cache: Any) -> list[Object]:
    """Return a release that serves a model from a cache of its own."""
    return release(name, model={"source": source}, modelCache={"size": "1Gi", **cache})


def of_kind(items: list[Object], kind: str) -> Object:
    return next(item for item in items if item["kind"] == kind)


def pod_of(workload: Object, name: str, status: Object, node: str = "node-1") -> Object:
    """Return a pod as a workload's controller makes it."""
    template = copy.deepcopy(workload["spec"]["template"])
    template["metadata"]["name"] = name
    template["spec"]["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", **template, "status": status}


def stranger(name: str, claim: str) -> Object:
    """Return a running pod of somebody else that mounts a claim."""
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    spec = {"nodeName": "node-2", "volumes": volumes, "containers": [{"name": "notebook"}]}
    return {"kind": "Pod", "metadata": {"name": name}, "spec": spec, "status": {"phase": "Running"}}


def ended(
    code: int = 0, report: Object | str | None = None, at: str = "2026-01-02T03:04:05Z", reason: str = ""
) -> Object:
    """Return the state of a container that has ended and left a report."""
    message = report if isinstance(report, str) else json.dumps(report) if report else ""
    told = {"exitCode": code, "finishedAt": at, "reason": reason or ("Error" if code else "Completed")}
    return {"terminated": told | ({"message": message} if message else {})}


def served(report: Object | None = None, at: str = "2026-01-02T03:04:05Z") -> Object:
    """Return the status of a server's pod that runs."""
    return {
        "phase": "Running",
        "initContainerStatuses": [{"name": "fetch", "state": ended(0, report or fetched(), at)}],
        "containerStatuses": [{"name": "server", "state": {"running": {}}}],
    }


def job_pod(state: Object, phase: str, container: str = "fetch") -> Object:
    """Return the status of a Job's pod whose container is in a state."""
    return {"phase": phase, "containerStatuses": [{"name": container, "state": state}]}


def fetched(key: str = TINY_KEY, source: str = TINY, size: int = 4096, **more: Any) -> Object:
    """Return the report of a fetch that downloaded everything."""
    return {
        "schema": 1,
        "result": "fetched",
        "key": key,
        "entry": f"/models/{key}",
        "source": source,
        "bytesTotal": size,
        "bytesFetched": size,
        "bytesReused": 0,
        "seconds": 2.5,
        **more,
    }


def failed(code: int, name: str, cause: str, action: str) -> Object:
    """Return the report of a fetch that failed."""
    return {"schema": 1, "error": {"code": code, "name": name, "cause": cause, "action": action}}


def maintenance_says(report: Object) -> Script:
    """Return the script of a maintenance Job that ends well with a report in its log."""
    log = f"a message before it\n{json.dumps(report)}\n"
    return Script([job_pod(ended(), "Succeeded", "maintenance")], log)


def volume(*entries: Object) -> Script:
    """Return the script of a maintenance Job that finds entries on the volume."""
    space = {"total": 1 << 30, "free": 1 << 29}
    return maintenance_says({"schema": 1, "root": "/models", "volume": space, "entries": entries})


def on_volume(key: str | None, state: str = "complete", **more: Any) -> Object:
    """Return an entry as the downloader lists it."""
    found = {"key": key, "entry": f"/models/{key}", "state": state, "source": TINY, "revision": None}
    return {**found, "bytes": 5000, "files": 1, "created": "2026-01-01T00:00:00Z", "pinned": False, "pods": [], **more}
