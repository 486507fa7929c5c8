"""Runs Jobs and waits for their pods by watching them."""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING, Protocol

from llmkube_plugin import contract, kube, pods
from llmkube_plugin.errors import ForbiddenError, NotFoundError, PluginError

if TYPE_CHECKING:
    from llmkube_plugin.kube import Cluster, Object


class Listener(Protocol):
    """Hears how a Job gets on."""

    def waiting(self, reason: str) -> None:
        """Hear why no container runs yet; called when the reason is a new one."""

    def running(self, pod: Object) -> None:
        """Hear that the container runs; called again whenever the running pod has changed."""


class JobRun:
    """A Job on the cluster that the plugin makes, or one that is there already (`existing`) and does the same."""

    def __init__(self, cluster: Cluster, manifest: Object, existing: Object | None = None) -> None:
        self._cluster = cluster
        self.namespace: str = manifest["metadata"]["namespace"]
        created = existing or cluster.create(kube.JOBS, self.namespace, manifest)
        self.name = pods.name(created)
        self._uid = created["metadata"]["uid"]
        self._retries = created["spec"]["backoffLimit"] > 0
        self._reason = ""
        self._created = time.monotonic()

    def delete(self) -> None:
        """Delete the Job and its pods; that it is gone already is fine."""
        with contextlib.suppress(NotFoundError):
            self._cluster.delete(kube.JOBS, self.namespace, self.name)

    def has_begun(self) -> bool:
        """Return whether a container of the Job's pods runs or has run, as far as the API server knows."""
        mine = self._cluster.objects(kube.PODS, self.namespace, labels=f"{contract.LABEL_JOB}={self.name}")
        return not all(pods.has_not_started(pod) for pod in mine)

    def wait(self, container: str, start_seconds: float, listener: Listener) -> tuple[Object, pods.Ended]:
        """Return the pod that decided the Job, and how its container ended.

        Raises PluginError when no container has started `start_seconds` after the Job was made, or when the Job failed
        without a pod that could tell why. How long a container runs is not limited.
        """
        deadline = self._created + start_seconds
        last: tuple[Object, pods.Ended] | None = None
        pod: Object | None = None
        for change in self._cluster.watch(kube.PODS, self.namespace, labels=f"{contract.LABEL_JOB}={self.name}"):
            if change.type != "IDLE":
                pod = None if change.type == "DELETED" else change.object
            end = pods.outcome(pod, container) if pod else None
            if pod and end:
                last, deadline = (pod, end), math.inf
            elif pod and pods.is_running(pod, container):
                deadline = math.inf
                listener.running(pod)
            else:
                self._tell_reason(pod, listener, idle=change.type == "IDLE")
            if last and self._is_decided(last[1]):
                return last
            if pod and end:
                listener.waiting(f"trying again, because {end.error.get('cause', 'its pod was lost')}")
            if change.type in ("IDLE", "DELETED") and not last:
                self._raise_if_failed()
            if time.monotonic() > deadline:
                raise self._not_started(start_seconds)
        raise AssertionError("a watch has no end")

    def _is_decided(self, end: pods.Ended) -> bool:
        """Return whether no further pod can change the outcome."""
        return end.exit_code == 0 or not self._retries or self._failure() is not None

    def _failure(self) -> str | None:
        """Return why the Job has failed, None when it has not."""
        # Who may list Jobs, as every verb has to, needs no right to get one.
        found = self._cluster.objects(kube.JOBS, self.namespace, fields=f"metadata.name={self.name}")
        if not found:
            return "it was deleted"
        for condition in found[0].get("status", {}).get("conditions") or []:
            if condition["type"] in ("Failed", "FailureTarget") and condition["status"] == "True":
                return str(condition.get("message") or condition.get("reason") or "it failed")
        return None

    def _raise_if_failed(self) -> None:
        failure = self._failure()
        if failure is not None:
            raise PluginError(f"Job {self.name} in namespace {self.namespace} failed: {failure}", self._hint())

    def _tell_reason(self, pod: Object | None, listener: Listener, *, idle: bool) -> None:
        """Tell the listener what the Job waits for, when that has changed.

        Events are asked for only when nothing else happens: they know of volumes that do not mount and of pods that
        may not be created.
        """
        reason = pods.why_waiting(pod) if pod else ""
        if not reason and idle:
            reason = self._newest_warning(pod["metadata"]["uid"] if pod else self._uid)
        if reason and reason != self._reason:
            self._reason = reason
            listener.waiting(reason)

    def _newest_warning(self, uid: str) -> str:
        """Return the newest warning among the events of an object, or why they can not be seen; empty without one."""
        try:
            events = self._cluster.objects(kube.EVENTS, self.namespace, fields=f"involvedObject.uid={uid},type=Warning")
        except ForbiddenError as error:
            return f"events would say for what, and {error.message}"
        newest = max(
            events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""), default={}
        )
        return str(newest.get("message") or "").strip()

    def _not_started(self, seconds: float) -> PluginError:
        reason = self._reason or "Kubernetes gives no reason"
        return PluginError(
            f"the pod of Job {self.name} in namespace {self.namespace} did not start within {seconds:.0f}s: {reason}",
            f"{self._hint()} --timeout waits longer.",
        )

    def _hint(self) -> str:
        return f"See `kubectl -n {self.namespace} describe job,pod -l {contract.LABEL_JOB}={self.name}`."
