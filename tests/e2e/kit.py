"""What the end-to-end tests and the demo act with: helm, a namespace of the cluster, and a model to serve."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.provider import Cluster, tools_folder
from images.build import DOWNLOADER, MODEL_SERVER, REPOSITORY, Image

CHART = REPOSITORY / "charts" / "llmkube"
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
# kube-proxy learns of a ready pod a moment after the API server does, and tells nobody: until then nobody answers at
# the Service, so the client knocks until it is let in. The question itself is asked once.
ASK = """
import json, socket, sys, time, urllib.parse, urllib.request
address = urllib.parse.urlsplit(sys.argv[1])
deadline = time.monotonic() + 20
while True:
    try:
        socket.create_connection((address.hostname, address.port), timeout=1).close()
        break
    except (ConnectionRefusedError, TimeoutError):
        if time.monotonic() > deadline:
            raise
        time.sleep(0.05)
body = json.dumps({"messages": [{"role": "user", "content": sys.argv[2]}], "max_tokens": 24, "temperature": 0}).encode()
request = urllib.request.Request(sys.argv[1] + "/v1/chat/completions", body, {"Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=120).read().decode())
"""


@dataclass(frozen=True)
class Helm:
    """A helm binary that works on one cluster, with folders of its own for plugins and caches."""

    binary: Path
    cluster: Cluster
    home: Path

    @classmethod
    def with_plugin(cls, cluster: Cluster, name: str, home: Path) -> Helm:
        """The Helm of that name (`helm` or `helm3`) with the plugin installed from this checkout."""
        helm = cls(tools_folder([name]) / name, cluster, home)
        helm("plugin", "install", str(REPOSITORY / "plugin"))
        return helm

    def __call__(self, *arguments: str, check: bool = True, env: Mapping[str, str] | None = None) -> Done:
        """Runs helm; with `check` a failure raises with what helm said."""
        environment = os.environ | {
            f"HELM_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")
        }
        if self.cluster.kubeconfig:
            environment["KUBECONFIG"] = str(self.cluster.kubeconfig)
        context = ["--kube-context", self.cluster.context] if self.cluster.context else []
        done = Done.of([str(self.binary), *arguments, *context], environment | dict(env or {}))
        if check and done.code:
            message = f"helm {' '.join(arguments)}: exit {done.code}\n{done.out}\n{done.err}"
            raise AssertionError(message)
        return done


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @classmethod
    def of(cls, command: list[str], environment: Mapping[str, str]) -> Done:
        """Runs a command to its end."""
        done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
        return cls(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Space:
    """One namespace, in which releases are installed with the images and the hub of the tests."""

    name: str
    cluster: Cluster
    helm: Helm
    hub_endpoint: str

    def kubectl(self, *arguments: str) -> str:
        """Runs kubectl in the namespace."""
        return self.cluster.kubectl("--namespace", self.name, *arguments)

    def get(self, *arguments: str) -> Any:
        """What `kubectl get` finds, as JSON; of a list its items."""
        found = json.loads(self.kubectl("get", *arguments, "--output", "json"))
        return found.get("items", found)

    def install(self, release: str, *flags: str, wait: bool = True, check: bool = True, **values: object) -> Done:
        """`helm upgrade --install`: values by path with `__` for dots; waits for ready pods unless told not to."""
        paths = {name.replace("__", "."): value for name, value in (self.images() | values).items()}
        sets = [part for path, value in paths.items() for part in ("--set-json", f"{path}={json.dumps(value)}")]
        waiting = ["--wait", "--timeout", "4m"] if wait else []
        return self.helm(
            "upgrade", "--install", release, str(CHART), "--namespace", self.name, *sets, *waiting, *flags, check=check
        )

    def images(self) -> dict[str, object]:
        """The values that every release of the tests needs: images on the node, the hub, small claims, one thread."""
        return {
            "downloader__image": self.image(DOWNLOADER),
            "runtime__image": self.image(MODEL_SERVER),
            "runtime__threads": 1,
            "runtime__contextSize": 512,
            "downloader__hfEndpoint": self.hub_endpoint,
            "modelCache__size": "256Mi",
            "server__probes__startup": {"periodSeconds": 1, "failureThreshold": 120},
        }

    def image(self, image: Image) -> dict[str, str]:
        """A loaded image as the chart's values name it. One without a registry is on the nodes or nowhere."""
        repository, _, tag = self.cluster.reference(image).rpartition(":")
        return {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"}

    def chat(self, release: str, question: str = "hello") -> str:
        """Asks the model through the release's Service, by its DNS name, from inside the cluster."""
        url = f"http://{release}.{self.name}.svc.cluster.local:8080"
        inside = ["exec", f"deployment/{release}", "--container", "server", "--"]
        answer = self.kubectl(*inside, "python3", "-c", ASK, url, question)
        return str(json.loads(answer)["choices"][0]["message"]["content"])

    def pods(self, release: str, component: str) -> list[Any]:
        """The pods of one component of a release, the newest first."""
        selector = f"llmkube.dev/release={release},app.kubernetes.io/component={component}"
        found = self.get("pods", "--selector", selector)
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)

    def await_servers(self, release: str, count: int = 1) -> None:
        """Waits until a release's server has pods, in whatever state: without `wait` helm ends before they are made."""
        self.kubectl("wait", f"--for=jsonpath={{.status.replicas}}={count}", f"deployment/{release}", "--timeout=60s")

    def restart(self, release: str) -> None:
        """Deletes the server's pod and waits until another one serves."""
        for pod in self.pods(release, "server"):
            self.kubectl("delete", "pod", pod["metadata"]["name"], "--wait")
        self.kubectl("rollout", "status", f"deployment/{release}", "--timeout", "120s")

    def llmkube(self, *arguments: str, check: bool = True) -> Done:
        """Runs `helm llmkube` in the namespace."""
        return self.helm("llmkube", *arguments, "--namespace", self.name, check=check)


def report(pod: Any, container: str = "fetch") -> Any:
    """The report that a container of a pod left in its termination message."""
    status = pod["status"]
    for state in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        ended = state["state"].get("terminated")
        if state["name"] == container and ended and ended.get("message"):
            return json.loads(ended["message"])
    message = f"container {container} of pod {pod['metadata']['name']} left no report: {json.dumps(status)[:2000]}"
    raise AssertionError(message)
