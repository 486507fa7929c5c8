"""What the tests of the engines act with: manifests of values-examples/, and waiting for what the API server says."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import yaml

from cluster.local.bringup import LocalCluster
from e2e.kit import Space, report
from fakehub import FakeHub
from gitops.sources import Sources
from images.build import REPOSITORY

EXAMPLES = REPOSITORY / "values-examples"
SMALL = "hf://Qwen/Qwen2.5-0.5B-Instruct-GGUF/qwen2.5-0.5b-instruct-q4_k_m.gguf"
OTHER = "hf://Qwen/Qwen2.5-1.5B-Instruct-GGUF/qwen2.5-1.5b-instruct-q4_k_m.gguf"
PATIENCE = 300  # seconds; far above what anything here takes on a machine that does nothing else
_PATHS = {
    "application": "apis/argoproj.io/v1alpha1/namespaces/{}/applications",
    "helmrelease": "apis/helm.toolkit.fluxcd.io/v2/namespaces/{}/helmreleases",
    "deployment": "apis/apps/v1/namespaces/{}/deployments",
    "job": "apis/batch/v1/namespaces/{}/jobs",
    "service": "api/v1/namespaces/{}/services",
}
Accept = Callable[[Any], bool]


@dataclass(frozen=True)
class Stage:
    """The cluster with both engines, and the places from which they take the chart."""

    cluster: LocalCluster
    sources: Sources

    def example(self, path: str, space: Space, change: Callable[[str], str] = str) -> list[Any]:
        """The manifests of a file in values-examples/, with the addresses and the namespace of here.

        `change` edits the text before it is read.
        """
        return list(yaml.safe_load_all(change(self.example_text(path, space))))

    def example_text(self, path: str, space: Space) -> str:
        """The same as text."""
        text = self.sources.addresses.put_into((EXAMPLES / path).read_text())
        return text.replace("namespace: models\n", f"namespace: {space.name}\n")

    def apply(self, manifests: list[Any]) -> None:
        """Applies manifests, as a person would."""
        listed = {"apiVersion": "v1", "kind": "List", "items": manifests}
        self.cluster.kubectl("apply", "--filename", "-", stdin=json.dumps(listed))

    def until(self, what: str, namespace: str, name: str, accept: Accept, seconds: int = PATIENCE) -> Any:
        """Watches objects of a kind until one of that name is accepted, and returns it.

        A name that ends in `*` is the start of names.
        """
        seen: Any = None
        for seen in self._watch(what, namespace, name, seconds):
            if accept(seen):
                return seen
        message = f"{what} {namespace}/{name} did not come to it within {seconds} s: {json.dumps(seen)[:6000]}"
        raise AssertionError(message)

    def _watch(self, what: str, namespace: str, name: str, seconds: int) -> Iterator[Any]:
        deadline = time.monotonic() + seconds
        while (left := int(deadline - time.monotonic())) > 0:
            query = urlencode({"watch": 1, "timeoutSeconds": left})
            command = ["get", "--raw", f"/{_PATHS[what].format(namespace)}?{query}"]
            with self._kubectl(command) as watching:
                try:
                    assert watching.stdout is not None
                    for line in watching.stdout:
                        event = json.loads(line)
                        if event["type"] in ("ADDED", "MODIFIED") and _named(event["object"], name):
                            yield event["object"]
                finally:
                    watching.kill()

    def _kubectl(self, arguments: list[str]) -> subprocess.Popen[str]:
        command = [str(self.cluster.tools / "kubectl"), "--kubeconfig", str(self.cluster.kubeconfig), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _named(item: Any, name: str) -> bool:
    found = str(item["metadata"]["name"])
    return found.startswith(name[:-1]) if name.endswith("*") else found == name


def token() -> str:
    """A text that was never there before, by which an answer to a request is recognised."""
    return uuid.uuid4().hex


def serving(deployment: Any) -> bool:
    """Whether a Deployment's pods of its newest template are ready, and no others are left."""
    status, wanted = deployment["status"], deployment["spec"]["replicas"]
    current = status.get("observedGeneration") == deployment["metadata"]["generation"]
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return current and counts == [wanted] * 3


def another(gone: Any, found: Any) -> bool:
    """Whether an object is not the one that was there before."""
    return bool(found["metadata"]["uid"] != gone["metadata"]["uid"])


def desired(space: Space) -> dict[str, str]:
    """What the objects of a namespace are meant to be, by name: what changes here, somebody has changed."""
    kinds = "deployments,services,jobs,cronjobs,persistentvolumeclaims,serviceaccounts"
    return {
        f"{item['kind']}/{item['metadata']['name']}": json.dumps(
            [item["metadata"]["uid"], item["metadata"].get("generation"), item.get("spec")]
        )
        for item in space.get(kinds)
    }


def jobs(space: Space) -> dict[str, str]:
    """The Jobs of a namespace: name and UID."""
    return {job["metadata"]["name"]: job["metadata"]["uid"] for job in space.get("jobs")}


def claim_uid(space: Space) -> str:
    """The UID of the claim of the release `chat`."""
    return str(space.get("pvc", "chat-model-cache")["metadata"]["uid"])


def assert_other_model_by_its_own_job(space: Space, before: dict[str, str]) -> None:
    """The release `chat` serves OTHER, which a Job of its own downloaded in place of the ones of `before`."""
    assert space.chat("chat").strip()
    after = jobs(space)
    assert len(after) == len(before) == 1
    assert not before.items() & after.items()
    assert report(space.pods("chat", "server")[0])["source"] == OTHER


def assert_only_claim_left(space: Space, uid: str) -> None:
    """Of the release `chat` nothing is there but its claim, which is the same and bound."""
    assert space.get("deployments,jobs,services") == []
    kept = space.get("pvc", "chat-model-cache")
    assert (kept["metadata"]["uid"], kept["status"]["phase"]) == (uid, "Bound")


def assert_filled_before(space: Space, hub: FakeHub, begun: str) -> None:
    """The cache's two downloads were complete at the time `begun` (RFC 3339), and nothing was fetched besides."""
    assert begun >= max(job["status"]["completionTime"] for job in space.get("jobs"))
    assert report(space.pods("chat", "server")[0])["result"] == "hit"
    totals = [report(pod)["bytesTotal"] for pod in space.pods("model-cache", "preload")]
    assert len(totals) == 2
    assert sum(record.bytes for record in hub.requests if record.listener == "cdn") == sum(totals)
