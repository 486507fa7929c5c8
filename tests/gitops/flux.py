"""Flux, as its users handle it: manifests, `flux reconcile`, conditions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from e2e.kit import Space
from gitops.kit import Stage, token


class Flux:
    """Flux with the HelmReleases of one namespace."""

    def __init__(self, stage: Stage, space: Space) -> None:
        self.stage = stage
        self.space = space

    def install(self, path: str, change: Callable[[str], str] = str) -> None:
        """Applies an example and waits until its releases are ready. `change` edits the text of the example."""
        self.apply(path, change)
        for release in self.space.get("helmreleases"):
            self.ready(release["metadata"]["name"])

    def apply(self, path: str, change: Callable[[str], str] = str) -> None:
        """Applies an example."""
        manifests = self.stage.example(path, self.space, change)
        for manifest in manifests:
            if manifest["kind"] == "OCIRepository":
                manifest["spec"]["insecure"] = True  # the registry of the tests has no certificate
        self.stage.apply(manifests)

    def ready(self, name: str) -> Any:
        """Waits until a release is what its manifest says, with all that it waits for."""
        return self.stage.until("helmrelease", self.space.name, name, lambda release: _is(release, "True"))

    def failed(self, name: str) -> Any:
        """Waits until a release is reported as failed, and returns what is said about it."""
        release = self.stage.until("helmrelease", self.space.name, name, lambda release: _is(release, "False"))
        return next(item for item in release["status"]["conditions"] if item["type"] == "Ready")

    def set_values(self, name: str, **values: object) -> None:
        """Changes top-level values of a release; nested ones are merged."""
        self.space.kubectl(
            "patch", "helmrelease", name, "--type=merge", "--patch", json.dumps({"spec": {"values": values}})
        )

    def reconcile(self, name: str) -> Any:
        """`flux reconcile helmrelease NAME`: lets Flux look at a release again, and waits until it has."""
        asked = self._ask("helmrelease", name)
        self.stage.until(
            "helmrelease",
            self.space.name,
            name,
            lambda release: release["status"].get("lastHandledReconcileAt") == asked,
        )
        return self.ready(name)

    def reconcile_source(self, kind: str, name: str) -> None:
        """`flux reconcile source ...`: lets Flux look for something new at a source."""
        self._ask(kind, name)

    def _ask(self, kind: str, name: str) -> str:
        asked = token()
        self.space.kubectl("annotate", kind, name, "--overwrite", f"reconcile.fluxcd.io/requestedAt={asked}")
        return asked

    def drift(self) -> list[str]:
        """What Flux has said about objects that are not as they should be."""
        found = self.space.get("events", "--field-selector=reason=DriftDetected")
        return [event["message"] for event in found]

    def remove(self) -> None:
        """Deletes the releases, and waits until they are uninstalled."""
        self.space.kubectl("delete", "helmreleases", "--all", "--timeout=300s")


def _is(release: Any, status: str) -> bool:
    """Whether the condition Ready has a status, Flux is done, and it is about the manifest as it is now.

    A reconciliation that begins carries over what the one before it found; one that failed waits to be tried again.
    """
    found = release.get("status", {})
    conditions = {item["type"]: item for item in found.get("conditions", [])}
    ready, generation = conditions.get("Ready", {}), release["metadata"]["generation"]
    is_busy = conditions.get("Reconciling", {}).get("reason") not in (None, "ProgressingWithRetry")
    return (ready.get("status"), ready.get("observedGeneration"), is_busy) == (status, generation, False)
