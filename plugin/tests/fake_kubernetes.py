"""A small Kubernetes API over HTTP: keeps objects, selects by labels and fields, watches, and plays a Job's pod.

It knows nothing of llmkube, so it can stand for the cluster in tests of what the plugin asks and understands. That a
real API server answers the same is proved by the tests on a cluster.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import ssl
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Object = dict[str, Any]

KINDS = {
    "Pod": ("v1", "pods"),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims"),
    "Event": ("v1", "events"),
    "Job": ("batch/v1", "jobs"),
    "CronJob": ("batch/v1", "cronjobs"),
    "Deployment": ("apps/v1", "deployments"),
    "Service": ("v1", "services"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "Secret": ("v1", "secrets"),
    "ConfigMap": ("v1", "configmaps"),
    "ResourceQuota": ("v1", "resourcequotas"),
    "LimitRange": ("v1", "limitranges"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "Node": ("v1", "nodes"),
    "Namespace": ("v1", "namespaces"),
    "PersistentVolume": ("v1", "persistentvolumes"),
    "StorageClass": ("storage.k8s.io/v1", "storageclasses"),
    "CSIDriver": ("storage.k8s.io/v1", "csidrivers"),
    "CSINode": ("storage.k8s.io/v1", "csinodes"),
    "PriorityClass": ("scheduling.k8s.io/v1", "priorityclasses"),
    "RuntimeClass": ("node.k8s.io/v1", "runtimeclasses"),
}
# Kinds whose objects belong to no namespace.
OF_THE_CLUSTER = {
    *("Node", "Namespace", "PersistentVolume", "StorageClass", "CSIDriver", "CSINode"),
    *("PriorityClass", "RuntimeClass"),
}
PLURALS = {plural: (api, kind) for kind, (api, plural) in KINDS.items()}


@dataclass
class Asked:
    """A request that came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: list[tuple[str, str]]
    body: Any = None


HELD = "held"


@dataclass
class Script:
    """What becomes of the pod of a Job: its states one after the other, and what its container writes.

    A state is a pod's status; None lets a watch end without news, a pod that is deleted is the text "deleted". The log
    may be in parts. HELD, among states or parts, keeps whoever watches waiting until the test calls `go_on`.
    """

    states: list[Object | str | None]
    log: str | list[str] = ""
    job_status: Object = field(default_factory=dict)


class FakeKubernetes:
    """The API server. `plays` is asked for the script of every Job that is created; with `tls` it speaks HTTPS."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.logs: dict[tuple[str, str], str | list[str]] = {}
        self.asked: list[Asked] = []
        self.answers: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        self.plays: Callable[[Object], Script] = lambda _: Script([])
        self.pages = 0
        self.gone = False
        self._vanishes = ("", "")
        self._numbers = itertools.count(1)
        self._news: dict[str, list[Object | str | None]] = {}
        self._lock = threading.RLock()
        self._closed = False
        self._goes_on = threading.Semaphore(0)
        self._is_held = threading.Semaphore(0)
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.tls = tls
        self._server.daemon_threads = True
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._closed = True
        self.go_on()
        self._server.shutdown()
        self._server.server_close()

    def go_on(self) -> None:
        """Let one of those go on whom HELD keeps waiting."""
        self._goes_on.release()

    def until_held(self) -> None:
        """Wait until somebody is kept waiting by HELD: what comes before it is done then."""
        assert self._is_held.acquire(timeout=60), "nobody came to where HELD is"

    def hold(self) -> None:
        """Wait for `go_on`; in the end nobody waits."""
        self._is_held.release()
        self._goes_on.acquire()
        if self._closed:
            self._goes_on.release()

    def add(self, *items: Object) -> None:
        """Put objects into the cluster, as their controllers or users would have."""
        for item in items:
            self._store(copy.deepcopy(item))

    def refuse(self, verb: str, plural: str, status: int, message: str, times: int = 1000) -> None:
        """Answer requests of a verb and kind with an error."""
        self.answers[verb, plural] += [(status, message)] * times

    def vanish(self, verb: str, plural: str) -> None:
        """From the next request of a verb and kind on answer nothing at all."""
        self._vanishes = (verb, plural)

    def is_gone(self, verb: str, plural: str) -> bool:
        if self._vanishes == (verb, plural):
            self.gone = True
        return self.gone

    def all(self, plural: str) -> list[Object]:
        return [item for (kind, _, _), item in self.objects.items() if kind == plural]

    def created(self, plural: str) -> list[Object]:
        """Return the manifests that were posted."""
        return [asked.body for asked in self.asked if asked.method == "POST" and asked.path.endswith(f"/{plural}")]

    def _store(self, item: Object) -> Object:
        with self._lock:
            number = next(self._numbers)
            metadata = item["metadata"]
            metadata.setdefault("namespace", "" if item["kind"] in OF_THE_CLUSTER else "default")
            if "name" not in metadata:
                metadata["name"] = f"{metadata['generateName']}x{number:04}"
            metadata.setdefault("uid", f"uid-{number}")
            metadata["resourceVersion"] = str(number)
            plural = KINDS[item["kind"]][1]
            self.objects[plural, metadata["namespace"], metadata["name"]] = item
            return item

    def create(self, item: Object) -> Object:
        created = self._store(item)
        if created["kind"] == "Job":
            created["spec"].setdefault("backoffLimit", 6)
            self._play(created)
        return created

    def _play(self, job: Object) -> None:
        """Make the Job's pod with its first status; the others come as news to whoever watches."""
        script = self.plays(job)
        job["status"] = {"startTime": "2026-01-02T03:04:05Z", **script.job_status}
        name = job["metadata"]["name"]
        template = copy.deepcopy(job["spec"]["template"])
        pod = {"apiVersion": "v1", "kind": "Pod", **template}
        pod["metadata"] |= {"name": f"{name}-pod", "namespace": job["metadata"]["namespace"]}
        pod["metadata"]["labels"] |= {"job-name": name}
        first, *later = script.states or [None]
        if isinstance(first, dict):
            self._store(pod | {"status": first})
        for container in template["spec"]["containers"]:
            self.logs[pod["metadata"]["name"], container["name"]] = script.log
        self._news[name] = later

    def news(self, labels: str) -> Iterator[Object]:
        """Yield the events that a watch on a Job's pods sees before it ends."""
        name = labels.partition("=")[2]
        pod = self.objects.get(("pods", "default", f"{name}-pod"))
        waiting = self._news.get(name, [])
        while waiting and (state := waiting.pop(0)) is not None:
            if state == HELD:
                self.hold()
                continue
            assert pod is not None
            if isinstance(state, dict):
                pod = self._store(pod | {"status": state})
            yield {"type": "DELETED" if state == "deleted" else "MODIFIED", "object": copy.deepcopy(pod)}

    def written(self, pod: str, container: str, *, follow: bool) -> Iterator[str]:
        """Yield the parts of a log, as they are written for whoever follows it."""
        log = self.logs[pod, container]
        for part in [log] if isinstance(log, str) else log:
            if part != HELD:
                yield part
            elif follow:
                self.hold()

    def delete(self, plural: str, namespace: str, name: str) -> bool:
        with self._lock:
            found = self.objects.pop((plural, namespace, name), None)
            self.objects.pop(("pods", namespace, f"{name}-pod"), None)
        return found is not None

    def select(self, plural: str, namespace: str, labels: str, fields: str) -> list[Object]:
        with self._lock:
            return [
                copy.deepcopy(item)
                for (kind, place, _), item in sorted(self.objects.items())
                if kind == plural
                and namespace in ("", place)
                and _has_labels(item, labels)
                and _has_fields(item, fields)
            ]


def _has_labels(item: Object, selector: str) -> bool:
    labels = item["metadata"].get("labels") or {}
    for term in filter(None, selector.split(",")):
        key, equals, value = term.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


def _has_fields(item: Object, selector: str) -> bool:
    for term in filter(None, selector.split(",")):
        path, _, value = term.partition("=")
        found: Any = item
        for step in path.split("."):
            found = found.get(step, {})
        if found != value:
            return False
    return True


class _Server(ThreadingHTTPServer):
    """Speaks TLS where it has a context for it; a client that does not come through the handshake is let go."""

    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with contextlib.suppress(OSError), self.tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)


class _Handler(BaseHTTPRequestHandler):
    fake: FakeKubernetes
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Write nothing: a test shows what matters."""

    def do_GET(self) -> None:
        plural, namespace, name, sub = self._look()
        verb = "watch" if "watch" in self.query else "get" if name else "list"
        if self._refused(verb, sub or plural):
            return
        if sub == "log":
            parts = self.fake.written(name, self.query["container"], follow="follow" in self.query)
            self._stream("text/plain", (part.encode() for part in parts))
        elif not plural:
            self._discover(self.path.partition("/apis/")[2])
        elif name:
            found = self.fake.objects.get((plural, namespace, name))
            self._json(200, found) if found else self._error(404, f'{plural} "{name}" not found')
        elif verb == "watch":
            events = self.fake.news(self.query.get("labelSelector", ""))
            self._stream("application/json", (json.dumps(event).encode() + b"\n" for event in events))
        else:
            self._list(plural, namespace)

    def _discover(self, api: str) -> None:
        """Tell which kinds of a group and version there are."""
        kinds = [{"kind": kind} for kind, (version, _) in KINDS.items() if version == api]
        if kinds:
            self._json(200, {"kind": "APIResourceList", "groupVersion": api, "resources": kinds})
        else:
            self._error(404, "the server could not find the requested resource")

    def do_POST(self) -> None:
        plural, _, _, _ = self._look()
        if self._refused("create", plural):
            return
        if plural == "selfsubjectaccessreviews":
            self._tell_whether_allowed(self.body["spec"]["resourceAttributes"])
        else:
            self._json(201, self.fake.create(copy.deepcopy(self.body)))

    def do_DELETE(self) -> None:
        plural, namespace, name, _ = self._look()
        if self._refused("delete", plural):
            return
        if self.fake.delete(plural, namespace, name):
            self._json(200, {"kind": "Status", "status": "Success"})
        else:
            self._error(404, f'{plural} "{name}" not found')

    def _tell_whether_allowed(self, asked: dict[str, str]) -> None:
        waiting = self.fake.answers[asked["verb"], asked["subresource"] or asked["resource"]]
        reason = waiting.pop(0)[1] if waiting and waiting[0][0] == 403 else ""
        self._json(201, {"status": {"allowed": not reason, "reason": reason}})

    def _look(self) -> tuple[str, str, str, str]:
        """Note the request; return plural, namespace, name and subresource of its path."""
        parts = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        self.body: Any = json.loads(self.rfile.read(length)) if length else None
        path = unquote(parts.path)
        self.fake.asked.append(Asked(self.command, path, self.query, self.headers.items(), self.body))
        steps = path.strip("/").split("/")
        steps = steps[2:] if steps[0] == "api" else steps[3:]
        namespace = ""
        if steps[:1] == ["namespaces"] and len(steps) > 2:
            namespace, steps = steps[1], steps[2:]
        plural, name, sub = [*steps, "", "", ""][:3]
        return plural, namespace, name, sub

    def _refused(self, verb: str, plural: str) -> bool:
        if self.fake.is_gone(verb, plural):
            self.close_connection = True
            return True
        waiting = self.fake.answers[verb, plural]
        if waiting:
            self._error(*waiting.pop(0))
            return True
        return False

    def _list(self, plural: str, namespace: str) -> None:
        items = self.fake.select(
            plural, namespace, self.query.get("labelSelector", ""), self.query.get("fieldSelector", "")
        )
        limit, start = int(self.query.get("limit", 0)), int(self.query.get("continue", 0))
        metadata = {"resourceVersion": "1"}
        if limit and self.fake.pages:
            limit = self.fake.pages
            if start + limit < len(items):
                metadata["continue"] = str(start + limit)
            items = items[start : start + limit]
        api, kind = PLURALS[plural]
        bare = [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in items]
        self._json(200, {"kind": f"{kind}List", "apiVersion": api, "metadata": metadata, "items": bare})

    def _error(self, status: int, message: str) -> None:
        self._json(status, {"kind": "Status", "status": "Failure", "code": status, "message": message})

    def _json(self, status: int, body: Any) -> None:
        self._send(status, "application/json", json.dumps(body).encode())

    def _stream(self, kind: str, parts: Iterable[bytes]) -> None:
        """Send the parts of an answer as they come, to whoever still listens."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            for part in filter(None, parts):  # an empty one would end the answer
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
