"""Asks in advance for the rights that work needs, so that nothing is left half-made for want of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkube_plugin import kube
from llmkube_plugin.errors import ForbiddenError, Request, refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmkube_plugin.kube import Cluster, Kind


@dataclass(frozen=True)
class Right:
    """A verb on a kind of object, or on a part of it such as the log of a pod."""

    verb: str
    kind: Kind
    part: str = ""

    @property
    def resource(self) -> str:
        """As in a Role: `pods`, `pods/log`."""
        return f"{self.kind.plural}/{self.part}" if self.part else self.kind.plural


DOWNLOAD = (Right("create", kube.JOBS),)
AWAITED_DOWNLOAD = (*DOWNLOAD, Right("watch", kube.PODS))
# A Job on a volume is made, waited for, read and deleted.
VOLUME_WORK = (*AWAITED_DOWNLOAD, Right("get", kube.PODS, "log"), Right("delete", kube.JOBS))


def require(cluster: Cluster, namespace: str, rights: Iterable[Right]) -> None:
    """Raise ForbiddenError for the first right in a namespace that the user lacks."""
    for right, reason in lacking(cluster, namespace, rights):
        request = Request(cluster.server, right.verb, right.resource, namespace)
        raise refused(403, reason or "it was asked before anything was made", request)


def lacking(cluster: Cluster, namespace: str, rights: Iterable[Right]) -> Iterator[tuple[Right, str]]:
    """Yield the rights in a namespace that the user lacks, each with what the API server says about it.

    It is asked what `kubectl auth can-i` asks, which keeps nothing in the cluster. Where not even that may be asked,
    the request that needs the right will tell.
    """
    for right in rights:
        if (namespace, right) in cluster.granted:
            continue
        try:
            answer = cluster.create(kube.ACCESS_REVIEWS, "", _review(right, namespace))
        except ForbiddenError:
            return
        status = answer["status"]
        if status["allowed"]:
            cluster.granted.add((namespace, right))
        else:
            yield right, str(status.get("reason") or "")


def _review(right: Right, namespace: str) -> kube.Object:
    group = right.kind.api.removeprefix("/apis/").rpartition("/")[0] if right.kind.api.startswith("/apis/") else ""
    asked = {"namespace": namespace, "verb": right.verb, "group": group, "resource": right.kind.plural}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {**asked, "subresource": right.part}},
    }
