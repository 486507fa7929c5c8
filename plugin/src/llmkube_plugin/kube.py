"""The few requests to the Kubernetes API that the plugin makes, in raw JSON."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkube_plugin.errors import ExpiredError, Request, refused, unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import urllib3

    from llmkube_plugin.transport import Transport

Object = dict[str, Any]
_Query = list[tuple[str, str]]

_PAGE = 500  # objects in one answer, as kubectl asks for them
_ANSWER_SECONDS = 60
_GRACE_SECONDS = 15  # how much later than announced a watch may end


@dataclass(frozen=True)
class Kind:
    """A kind of object: its name in requests, and where the API keeps it."""

    plural: str
    api: str

    def path(self, namespace: str | None, name: str = "") -> str:
        """Return the URL path of an object, or of all objects of a namespace or (None) of the cluster."""
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{self.api}{scope}/{self.plural}" + (f"/{name}" if name else "")


PODS = Kind("pods", "/api/v1")
NAMESPACES = Kind("namespaces", "/api/v1")
CLAIMS = Kind("persistentvolumeclaims", "/api/v1")
EVENTS = Kind("events", "/api/v1")
JOBS = Kind("jobs", "/apis/batch/v1")
CRONJOBS = Kind("cronjobs", "/apis/batch/v1")
DEPLOYMENTS = Kind("deployments", "/apis/apps/v1")
ACCESS_REVIEWS = Kind("selfsubjectaccessreviews", "/apis/authorization.k8s.io/v1")  # a question, not an object


@dataclass(frozen=True)
class Change:
    """What a watch saw. `type` is ADDED, MODIFIED, DELETED, or IDLE without an object: nothing changed for a while."""

    type: str
    object: Object


class Cluster:
    """A Kubernetes API server, the user's rights on it and the namespace to work in.

    Every method raises PluginError that names verb, resource and namespace. `window` is the seconds after which a
    watch reports that nothing changed.
    """

    def __init__(self, transport: Transport, namespace: str, window: int = 10):
        self.namespace = namespace
        self.server: str = transport.host
        self.granted: set[tuple[str, Any]] = set()  # rights that the user is known to have, by namespace
        self._transport = transport
        self._window = window

    def objects(self, kind: Kind, namespace: str | None, labels: str = "", fields: str = "") -> list[Object]:
        """Return the objects of a kind in a namespace, or (None) in all, that match the selectors."""
        try:
            return self._objects(kind, namespace, labels, fields, _PAGE)[0]
        except ExpiredError:  # the pages took longer than the API server keeps a state: all in one then
            return self._objects(kind, namespace, labels, fields, None)[0]

    def _objects(
        self, kind: Kind, namespace: str | None, labels: str, fields: str, page: int | None
    ) -> tuple[list[Object], str]:
        """Return the objects and the resource version from which a watch sees all later changes."""
        request = Request(self.server, "list", kind.plural, namespace)
        query = _query(labelSelector=labels, fieldSelector=fields, limit=page)
        found: list[Object] = []
        more = ""
        while True:
            answer = self._json(request, "GET", kind.path(namespace), [*query, *_query(**{"continue": more})])
            kind_of_items = {"apiVersion": answer["apiVersion"], "kind": answer["kind"].removesuffix("List")}
            for item in answer.get("items") or []:
                item.update(kind_of_items)
                found.append(item)
            more = answer["metadata"].get("continue") or ""
            if not more:
                return found, answer["metadata"].get("resourceVersion", "")

    def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """Return one object, of the cluster without a namespace; NotFoundError when it does not exist."""
        request = Request(self.server, "get", kind.plural, namespace, name)
        return self._json(request, "GET", kind.path(namespace, name))

    def create(self, kind: Kind, namespace: str, manifest: Object) -> Object:
        """Create an object and return it as the API server has it."""
        request = Request(self.server, "create", kind.plural, namespace)
        return self._json(request, "POST", kind.path(namespace), body=manifest)

    def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object and, in the background, what it owns."""
        request = Request(self.server, "delete", kind.plural, namespace, name)
        self._json(request, "DELETE", kind.path(namespace, name), body={"propagationPolicy": "Background"})

    def watch(self, kind: Kind, namespace: str, labels: str = "", fields: str = "") -> Iterator[Change]:
        """Yield the objects that exist, then every change; never ends by itself.

        When nothing more is reported for a while it yields IDLE, so that the caller can look at something else.
        """
        while True:
            objects, version = self._objects(kind, namespace, labels, fields, None)
            yield from (Change("ADDED", item) for item in objects)
            with contextlib.suppress(ExpiredError):
                while True:
                    for change in self._window_of_changes(kind, namespace, labels, fields, version):
                        version = change.object["metadata"]["resourceVersion"]
                        if change.type != "BOOKMARK":
                            yield change
                    yield Change("IDLE", {})

    def _window_of_changes(
        self, kind: Kind, namespace: str, labels: str, fields: str, version: str
    ) -> Iterator[Change]:
        request = Request(self.server, "watch", kind.plural, namespace)
        query = _query(labelSelector=labels, fieldSelector=fields, resourceVersion=version, watch="true")
        query += _query(timeoutSeconds=self._window, allowWatchBookmarks="true")
        seconds = self._window + _GRACE_SECONDS
        for line in self._lines(request, kind.path(namespace), query, seconds):
            event = json.loads(line)
            if event["type"] == "ERROR":
                status = event["object"]
                raise refused(status.get("code", 500), status.get("message", ""), request)
            yield Change(event["type"], event["object"])

    def log(self, namespace: str, pod: str, container: str, tail: int | None = None) -> str:
        """Return what a container has written, both streams; `tail` limits it to the last lines."""
        request = Request(self.server, "get", "pods/log", namespace, pod)
        query = _query(container=container, tailLines=tail)
        return self._read(request, "GET", PODS.path(namespace, pod) + "/log", query).decode(errors="replace")

    def follow_log(self, namespace: str, pod: str, container: str, tail: int | None = None) -> Iterator[str]:
        """Yield the lines a container writes, until it ends or the connection does."""
        request = Request(self.server, "get", "pods/log", namespace, pod)
        query = _query(container=container, tailLines=tail, follow="true")
        return self._lines(request, PODS.path(namespace, pod) + "/log", query, None)

    def _json(
        self,
        request: Request,
        method: str,
        path: str,
        query: _Query | None = None,
        body: Object | None = None,
    ) -> Object:
        answer: Object = json.loads(self._read(request, method, path, query or [], body))
        return answer

    def _read(self, request: Request, method: str, path: str, query: _Query, body: Object | None = None) -> bytes:
        """Send a request and return the whole answer."""
        import urllib3

        answer = self._send(request, method, path, query, body, _ANSWER_SECONDS)
        try:
            return answer.read()
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(error, self.server) from error

    def _lines(self, request: Request, path: str, query: _Query, seconds: float | None) -> Iterator[str]:
        """Yield the lines of an answer as they come.

        A connection that breaks only ends them: every caller asks again, and then learns if there is no way through.
        """
        import urllib3

        answer = self._send(request, "GET", path, query, None, seconds)
        rest = b""
        try:
            for chunk in answer.stream(None, decode_content=False):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
            if rest:
                yield rest.decode(errors="replace")
        except urllib3.exceptions.HTTPError:
            return
        finally:
            answer.close()

    def _send(
        self,
        request: Request,
        method: str,
        path: str,
        query: _Query,
        body: Object | None,
        seconds: float | None,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request with the user's credentials; return the open answer when it is a success."""
        import urllib3

        try:
            answer = self._transport.send(method, path, query, body, seconds)
            if not 200 <= answer.status < 300:
                raise refused(answer.status, _detail(answer.read()), request)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(error, self.server) from error
        return answer


def _query(**parameters: str | int | None) -> _Query:
    """Return the parameters that have a value."""
    return [(name, str(value)) for name, value in parameters.items() if value not in (None, "")]


def _detail(body: bytes) -> str:
    """Return what the API server says about a request that it did not fulfil."""
    try:
        return str(json.loads(body).get("message") or "")
    except (ValueError, AttributeError):
        return body.decode(errors="replace").strip()[:300]
