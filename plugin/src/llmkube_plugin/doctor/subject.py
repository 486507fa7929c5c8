"""What is examined: the objects of releases, rendered or live, as the checks want to see them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llmkube_plugin import contract, kube, pods

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkube_plugin.doctor.facts import Facts
    from llmkube_plugin.kube import Object

CLAIM = "PersistentVolumeClaim"
_WORKLOADS = ("Deployment", "Job", "CronJob")
_MOST_BY_KEDA = 100  # what KEDA takes where a ScaledObject does not say


@dataclass(frozen=True)
class Workload:
    """Something that makes pods: `template` is theirs, `replicas` how many there are at a time at most."""

    item: Object
    template: Object
    replicas: int

    @property
    def title(self) -> str:
        """The object as findings name it."""
        return title(self.item)

    @property
    def component(self) -> str:
        """Which part of a release it is."""
        return pods.label(self.item, contract.LABEL_COMPONENT)

    @property
    def spec(self) -> Object:
        """The spec of its pods."""
        spec: Object = self.template["spec"]
        return spec

    @property
    def containers(self) -> list[Object]:
        """All containers of its pods."""
        return [*(self.spec.get("initContainers") or []), *(self.spec.get("containers") or [])]

    @property
    def fetches(self) -> list[Object]:
        """The containers that fetch an entry."""
        return [each for each in self.containers if (each.get("args") or [""])[0] == "fetch"]

    @property
    def claims(self) -> set[str]:
        """The claims that its pods mount."""
        return pods.claims(self.template)


@dataclass(frozen=True)
class Subject:
    """Objects of releases in a namespace. `planned` is True when they are to be installed.

    Pods and claims that are there, of releases or not, are asked of `cluster` each time, which notes what checks want.
    """

    cluster: Facts
    objects: tuple[Object, ...]
    planned: bool

    @property
    def namespace(self) -> str:
        """The namespace of the releases."""
        return self.cluster.namespace

    @cached_property
    def workloads(self) -> list[Workload]:
        """What makes pods: servers, Jobs that are not over, and CronJobs."""
        made = (self._workload(item) for item in self.objects if item["kind"] in _WORKLOADS)
        return [workload for workload in made if workload]

    @cached_property
    def running(self) -> list[Workload]:
        """Those of them whose pods are there at the same time: CronJobs are left out."""
        return [workload for workload in self.workloads if workload.item["kind"] != "CronJob"]

    @cached_property
    def claims(self) -> list[Object]:
        """The claims of the releases."""
        return self.of_kind(CLAIM)

    @property
    def live_claims(self) -> dict[str, Object]:
        """The claims that are there, by name; none when they may not be read."""
        return {pods.name(item): item for item in self.cluster.own(kube.CLAIMS) or []}

    @property
    def knows_claims(self) -> bool:
        """Whether the claims that are there may be read: without them, none is missing and none is new."""
        return self.cluster.own(kube.CLAIMS) is not None

    @property
    def knows_pods(self) -> bool:
        """The same of pods."""
        return self.cluster.own(kube.PODS) is not None

    @property
    def all_pods(self) -> list[Object]:
        """The pods that are there, also those that have ended; none when they may not be read."""
        return self.cluster.own(kube.PODS) or []

    @property
    def live_pods(self) -> list[Object]:
        """Those of them that have not ended."""
        return [item for item in self.all_pods if not pods.is_over(item)]

    def of_kind(self, kind: str) -> list[Object]:
        """Return the objects of a kind."""
        return [item for item in self.objects if item["kind"] == kind]

    def has(self, kind: str, name: str) -> bool:
        """Return whether an object is one of those examined."""
        return any(pods.name(item) == name for item in self.of_kind(kind))

    def users(self, claim: str) -> list[Workload]:
        """Return what mounts a claim."""
        return [workload for workload in self.workloads if claim in workload.claims]

    def _workload(self, item: Object) -> Workload | None:
        spec = item["spec"]
        if item["kind"] == "CronJob":
            return Workload(item, spec["jobTemplate"]["spec"]["template"], 1)
        if item["kind"] == "Job":
            return None if _is_over(item) else Workload(item, spec["template"], 1)
        return Workload(item, spec["template"], self._replicas(item))

    def _replicas(self, deployment: Object) -> int:
        for scaler in (*self.of_kind("HorizontalPodAutoscaler"), *self.of_kind("ScaledObject")):
            if scaler["spec"]["scaleTargetRef"]["name"] == pods.name(deployment):
                most = scaler["spec"].get("maxReplicas") or scaler["spec"].get("maxReplicaCount")
                return int(most or _MOST_BY_KEDA)
        replicas = deployment["spec"].get("replicas")
        return 1 if replicas is None else int(replicas)


def _is_over(job: Object) -> bool:
    conditions = job.get("status", {}).get("conditions") or []
    return any(each["type"] in ("Complete", "Failed") and each["status"] == "True" for each in conditions)


def title(item: Object) -> str:
    """Return an object as findings name it."""
    return f"{item['kind']} {pods.name(item)}"


def variables(container: Object) -> Iterator[tuple[str, Any]]:
    """Yield the names of a container's environment with their plain values, None for one that comes from elsewhere."""
    for variable in container.get("env") or []:
        yield variable["name"], None if "valueFrom" in variable else variable.get("value", "")
