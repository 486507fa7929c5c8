"""A node without a kubelet: the pods of Jobs are processes of this machine, whose logs the API server asks for here.

What the downloader does in them is real, and so is all that the API server says to who may do what; images, scheduling
and mounts are left to the tests on a cluster.
"""

from __future__ import annotations

import copy
import os
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from apiserver.client import Api
from chart.rendering import Object

_NODE = "player"
_PULLED = {"image": "x", "imageID": "x", "ready": False, "restartCount": 0}
_TIME = "2026-01-02T03:04:05Z"


class Player:
    """Plays the pod of every Job that is made, and forgets the pods of every Job that is deleted.

    - folder: holds a folder for each claim (`volume`), and what the pods wrote.
    """

    def __init__(self, api: Api, folder: Path) -> None:
        self._api = api
        self._folder = folder
        self._ends: dict[str, threading.Event] = {}  # by pod
        self._server = _log_server(api, self)
        self._serving = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._watching = threading.Thread(target=self._watch)
        self._playing: list[threading.Thread] = []
        self._register()
        self._changes = api.watch("/apis/batch/v1/jobs")
        self._serving.start()
        self._watching.start()

    def close(self) -> None:
        """Stop, and wait for what runs."""
        self._changes.close()
        self._watching.join()
        for thread in self._playing:
            thread.join()
        self._server.shutdown()
        self._server.server_close()
        self._serving.join()

    def volume(self, namespace: str, claim: str) -> Path:
        """Return the folder that stands for the volume of a claim."""
        found = self._folder / namespace / claim
        found.mkdir(parents=True, exist_ok=True)
        return found

    def log(self, pod: str) -> bytes:
        """Return what a pod's process has written, once it has ended."""
        self.wait_for(pod)
        path = self._folder / f"{pod}.log"
        return path.read_bytes() if path.exists() else b""

    def wait_for(self, pod: str) -> None:
        """Wait until the pod of this name is over, also when it has not begun."""
        self._end_of(pod).wait()

    def _end_of(self, pod: str) -> threading.Event:
        return self._ends.setdefault(pod, threading.Event())

    def _register(self) -> None:
        """Tell the API server of a node, so that it knows where to ask for logs."""
        self._api.done("POST", "/api/v1/nodes", {"metadata": {"name": _NODE}})
        port = {"kubeletEndpoint": {"Port": self._server.server_address[1]}}
        address = {"type": "InternalIP", "address": self._api.running.layout.host_address}
        status = {"addresses": [address], "daemonEndpoints": port}
        self._api.done("PATCH", f"/api/v1/nodes/{_NODE}/status", {"status": status})

    def _watch(self) -> None:
        for change in self._changes:
            job = change["object"]
            if change["type"] == "ADDED":
                self._playing.append(threading.Thread(target=self._play, args=(job,)))
                self._playing[-1].start()
            elif change["type"] == "DELETED":
                path = f"/api/v1/namespaces/{job['metadata']['namespace']}/pods/{_pod_name(job)}"
                self._api.ask("DELETE", f"{path}?gracePeriodSeconds=0")

    def _play(self, job: Object) -> None:
        """Run the pod of a Job from its beginning to its end."""
        namespace, name = job["metadata"]["namespace"], _pod_name(job)
        pod = copy.deepcopy(job["spec"]["template"])
        pod["metadata"] |= {"name": name}
        pod["metadata"]["labels"] |= {"job-name": job["metadata"]["name"]}
        pod["spec"]["nodeName"] = _NODE
        path = f"/api/v1/namespaces/{namespace}/pods"
        made = self._api.done("POST", path, pod)
        container = made["spec"]["containers"][0]
        self._tell(f"{path}/{name}", "Running", container, {"running": {"startedAt": _TIME}})
        code, told = self._run(container, made)
        ended = {"exitCode": code, "finishedAt": _TIME, "message": told}
        self._tell(f"{path}/{name}", "Failed" if code else "Succeeded", container, {"terminated": ended})
        self._end_of(name).set()

    def _tell(self, path: str, phase: str, container: Object, state: Object) -> None:
        """Set the status of a pod, unless it is gone."""
        status = {"phase": phase, "containerStatuses": [{"name": container["name"], **_PULLED, "state": state}]}
        self._api.ask("PATCH", f"{path}/status", {"status": status})

    def _run(self, container: Object, pod: Object) -> tuple[int, str]:
        """Run the downloader as a container would be; return its exit code and its report."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        report = self._folder / f"{name}.report"
        environment = {each["name"]: each["value"] for each in container["env"] if "value" in each}
        environment |= {"LLMKUBE_ROOT": str(self.volume(namespace, _claim(pod))), "LLMKUBE_REPORT": str(report)}
        environment |= {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "HOME": str(self._folder)}
        arguments = [text.replace("$$", "$") for text in container["args"]]
        with (self._folder / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", "llmkube_downloader", *arguments]
            done = subprocess.run(command, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
        return done.returncode, report.read_text() if report.exists() else ""


def _pod_name(job: Object) -> str:
    return f"{job['metadata']['name']}-0"


def _claim(pod: Object) -> str:
    """Return the claim that a pod has its models on."""
    claims = [each["persistentVolumeClaim"] for each in pod["spec"]["volumes"] if "persistentVolumeClaim" in each]
    return str(claims[0]["claimName"])


def _log_server(api: Api, player: Player) -> ThreadingHTTPServer:
    """Return a server that answers as a kubelet does; its certificate is the API server's own, which looks at none."""
    handler = type("Handler", (_Logs,), {"player": player})
    server = ThreadingHTTPServer((api.running.layout.host_address, 0), handler)
    server.daemon_threads = True
    pki = api.running.layout.state / "pki"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "apiserver.crt", pki / "apiserver.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


class _Logs(BaseHTTPRequestHandler):
    player: Player

    def log_message(self, *_: object) -> None:
        """Write nothing."""

    def do_GET(self) -> None:
        """Answer /containerLogs/NAMESPACE/POD/CONTAINER."""
        text = self.player.log(self.path.split("/")[3])
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
