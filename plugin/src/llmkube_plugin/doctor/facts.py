"""What the cluster says: each kind is asked for once, and only when a check wants it. Nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_plugin.errors import ForbiddenError, NotFoundError
from llmkube_plugin.kube import Kind

if TYPE_CHECKING:
    from llmkube_plugin.kube import Cluster, Object

NODES = Kind("nodes", "/api/v1")
NAMESPACES = Kind("namespaces", "/api/v1")
VOLUMES = Kind("persistentvolumes", "/api/v1")
SECRETS = Kind("secrets", "/api/v1")
CONFIG_MAPS = Kind("configmaps", "/api/v1")
ACCOUNTS = Kind("serviceaccounts", "/api/v1")
QUOTAS = Kind("resourcequotas", "/api/v1")
LIMITS = Kind("limitranges", "/api/v1")
CLASSES = Kind("storageclasses", "/apis/storage.k8s.io/v1")
DRIVERS = Kind("csidrivers", "/apis/storage.k8s.io/v1")
DRIVER_NODES = Kind("csinodes", "/apis/storage.k8s.io/v1")
PRIORITIES = Kind("priorityclasses", "/apis/scheduling.k8s.io/v1")
RUNTIMES = Kind("runtimeclasses", "/apis/node.k8s.io/v1")
POLICIES = Kind("networkpolicies", "/apis/networking.k8s.io/v1")
DEVICES = Kind("resourceclaims", "/apis/resource.k8s.io/v1")
DEVICE_TEMPLATES = Kind("resourceclaimtemplates", "/apis/resource.k8s.io/v1")

# Verb, resource and namespace of a request that the user's rights do not suffice for; no namespace: of the cluster.
Denied = tuple[str, str, str]


class Facts:
    """The cluster as the checks see it, with one namespace as theirs.

    `check` is the name of the check that runs, or what is looked for before any does; `denied` collects what may not be
    read, and which checks wanted it.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.namespace = namespace
        self.check = "what releases there are"
        self.denied: dict[Denied, set[str]] = {}
        self._cluster = cluster
        self._lists: dict[tuple[str, str, str], list[Object] | None] = {}
        self._objects: dict[tuple[str, str, str], Object | None] = {}

    def all(self, kind: Kind) -> list[Object] | None:
        """Return the objects of a kind that belong to no namespace, or those of all; None when they may not be read."""
        return self._list(kind, "")

    def own(self, kind: Kind) -> list[Object] | None:
        """Return the objects of a kind in the namespace; None when they may not be read."""
        return self._list(kind, self.namespace)

    def _list(self, kind: Kind, namespace: str) -> list[Object] | None:
        place = (kind.api, kind.plural, namespace)
        if place not in self._lists:
            self._lists[place] = self._asked_list(kind, namespace)
        elif self._lists[place] is None:
            self.deny("list", kind.plural, namespace)
        return self._lists[place]

    def _asked_list(self, kind: Kind, namespace: str) -> list[Object] | None:
        try:
            return self._cluster.objects(kind, namespace or None)
        except ForbiddenError:
            self.deny("list", kind.plural, namespace)
            return None
        except NotFoundError:  # the cluster does not know the kind
            return []

    def one(self, kind: Kind, name: str, *, everywhere: bool = False) -> Object | None:
        """Return an object of the namespace, or of the cluster; None when it is not there or may not be read."""
        return self._one(kind, name, "" if everywhere else self.namespace)

    def home(self) -> Object | None:
        """Return the namespace itself; None when it may not be read. A Role in it suffices, as for what is in it."""
        return self._one(NAMESPACES, self.namespace, self.namespace)

    def _one(self, kind: Kind, name: str, namespace: str) -> Object | None:
        place = (f"{kind.api}/{kind.plural}", namespace, name)
        if place not in self._objects:
            self._objects[place] = self._asked_one(kind, namespace, name)
        elif self._objects[place] is None and ("get", kind.plural, namespace) in self.denied:
            self.deny("get", kind.plural, namespace)
        return self._objects[place]

    def misses(self, kind: Kind, name: str) -> bool:
        """Return whether an object of the namespace is certainly not there."""
        return self.one(kind, name) is None and ("get", kind.plural, self.namespace) not in self.denied

    def _asked_one(self, kind: Kind, namespace: str, name: str) -> Object | None:
        try:
            return self._cluster.get(kind, None if kind == NAMESPACES else namespace or None, name)
        except NotFoundError:
            return None
        except ForbiddenError:
            self.deny("get", kind.plural, namespace)
            return None

    def deny(self, verb: str, resource: str, namespace: str) -> None:
        """Note that the user may not do something that the present check needs."""
        self.denied.setdefault((verb, resource, namespace), set()).add(self.check)

    def serves(self, api_version: str, kind: str) -> bool:
        """Return whether the cluster knows a kind of object; what is not certain counts as known."""
        group, _, version = api_version.rpartition("/")
        if not group:
            return True
        answer = self.one(Kind(version, f"/apis/{group}"), "", everywhere=True)
        if answer is None:
            return ("get", version, "") in self.denied
        return any(each["kind"] == kind for each in answer.get("resources") or [])
