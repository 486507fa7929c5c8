"""Argo CD, as its users handle it: manifests, a refresh, the status of applications."""

from __future__ import annotations

import json
from typing import Any

from e2e.kit import Space
from gitops.kit import Stage

_NAMESPACE = "argocd"


class Argo:
    """Argo CD with the applications of one test."""

    def __init__(self, stage: Stage, space: Space) -> None:
        self.stage = stage
        self.space = space

    def install(self, path: str, *names: str) -> None:
        """Applies an example and waits until its applications are synced and healthy."""
        self.stage.apply(self.stage.example(path, self.space))
        for name in names:
            self.settled(name)

    def settled(self, name: str) -> Any:
        """Waits until an application is synced to its manifest as it is now, and healthy."""
        return self.stage.until("application", _NAMESPACE, name, _settled)

    def synced(self, name: str, commit: str) -> Any:
        """Waits until an application is synced to a commit."""

        def accept(application: Any) -> bool:
            operation = application["status"].get("operationState", {})
            return bool(operation.get("phase") == "Succeeded" and operation["syncResult"]["revision"] == commit)

        return self.stage.until("application", _NAMESPACE, name, accept)

    def health(self, name: str, health: str) -> Any:
        """Waits until an application's health is the one named."""
        return self.stage.until(
            "application",
            _NAMESPACE,
            name,
            lambda application: _current(application) and application["status"]["health"]["status"] == health,
        )

    def set_values(self, name: str, **values: object) -> None:
        """Changes top-level values of an application; nested ones are merged."""
        patch = {"spec": {"source": {"helm": {"valuesObject": values}}}}
        self.kubectl("patch", "application", name, "--type=merge", "--patch", json.dumps(patch))

    def refresh(self, name: str) -> Any:
        """`argocd app get --hard-refresh`: lets Argo CD render and compare anew, and waits until it has."""
        self.kubectl("annotate", "application", name, "--overwrite", "argocd.argoproj.io/refresh=hard")
        # The answer comes with the status of the comparison, in one write.
        return self.stage.until("application", _NAMESPACE, name, lambda application: not _asked(application))

    def get(self, name: str) -> Any:
        """An application."""
        return json.loads(self.kubectl("get", "application", name, "--output", "json"))

    def names(self) -> list[str]:
        """The names of all applications."""
        return self.kubectl("get", "applications", "--output", "jsonpath={.items[*].metadata.name}").split()

    def delete(self, kind: str, name: str) -> None:
        """Deletes an application or a set of them, and waits until its objects are deleted."""
        self.kubectl("delete", kind, name, "--timeout=300s")

    def kubectl(self, *arguments: str) -> str:
        """Runs kubectl in the namespace of Argo CD."""
        return self.stage.cluster.kubectl("--namespace", _NAMESPACE, *arguments)

    def remove(self) -> None:
        """Deletes all sets and applications, and waits until they are gone."""
        for kind in ("applicationsets", "applications"):
            self.kubectl("delete", kind, "--all", "--timeout=300s")


def _current(application: Any) -> bool:
    """Whether the status is about the manifest as it is now."""
    status = application.get("status", {})
    return bool(status.get("sync", {}).get("comparedTo", {}).get("source") == application["spec"]["source"])


def _settled(application: Any) -> bool:
    status = application.get("status", {})
    return (
        _current(application)
        and status["sync"]["status"] == "Synced"
        and status.get("health", {}).get("status") == "Healthy"
        and status.get("operationState", {}).get("phase") == "Succeeded"
    )


def _asked(application: Any) -> bool:
    return "argocd.argoproj.io/refresh" in application["metadata"].get("annotations", {})
