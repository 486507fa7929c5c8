"""One release that becomes one example after the other: which may follow which, and what an upgrade did."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from apiserver.client import Api
from chart.rendering import CHART, Object
from chart.validity import identity_of

RELEASE = "chat"
# Changes that concern no download.
UNRELATED = {"server": {"terminationGracePeriodSeconds": 7, "service": {"port": 8081}}, "tests": {"enabled": False}}

Identities = dict[tuple[str, str], str]  # UIDs by kind and name


@dataclass(frozen=True)
class Example:
    """One set of values with what it renders."""

    name: str
    values: Mapping[str, Any]
    objects: list[Object] = field(repr=False)

    @property
    def claims(self) -> dict[str, Object]:
        """What can not be changed of its claims, by name."""
        found = [each for each in self.objects if each["kind"] == "PersistentVolumeClaim"]
        return {each["metadata"]["name"]: {**each["spec"], "resources": None} for each in found}

    @property
    def jobs(self) -> set[str]:
        """The names of its Jobs."""
        return {each["metadata"]["name"] for each in self.objects if each["kind"] == "Job"}

    def may_follow(self, other: Example) -> bool:
        """Whether no claim of the other one is in the way: a claim can grow, and nothing else of it can change."""
        return all(self.claims.get(name, spec) == spec for name, spec in other.claims.items())


@dataclass(frozen=True)
class Step:
    """One upgrade: from which example to which, what was there before and after it, and what helm said if it failed."""

    before: str
    after: Example
    had: Identities
    has: Identities
    error: str = ""


def groups(examples: Iterable[Example]) -> list[list[Example]]:
    """Return groups in which any example may follow any other, directly or after others."""
    found: list[list[Example]] = []
    claimless = [example for example in examples if not example.claims]
    for example in examples:
        if example.claims:
            fitting = [group for group in found if all(example.may_follow(other) for other in group)]
            if fitting:
                fitting[0].append(example)
            else:
                found.append([example])
    return [group + claimless for group in found]


def walks(group: list[Example], strides: int) -> Iterator[tuple[int, list[Example]]]:
    """Yield walks through a group in which each example is followed by the one 1, 2, 3 ... places further on."""
    for stride in range(1, min(strides, len(group) - 1) + 1):
        left = set(range(len(group)))
        while left:
            place = min(left)
            walk = [group[place]]
            while place in left:
                left.remove(place)
                place = (place + stride) % len(group)
                walk.append(group[place])
            yield stride, walk


class Walker:
    """Installs a release in a namespace of its own and upgrades it from example to example.

    - helm: the binary; its version decides how objects are changed.
    """

    def __init__(self, helm: Path, api: Api, namespace: str, home: Path) -> None:
        self.api = api
        self.namespace = namespace
        self._helm = helm
        self._sizes: dict[str, str] = {}
        homes = {f"HELM_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        self._environment = {**os.environ, **homes, "KUBECONFIG": str(api.running.kubeconfig)}

    def walk(self, examples: list[Example], *, unrelated: bool) -> list[Step]:
        """Return every step, from each example to the next one; with `unrelated` each is first changed otherwise."""
        steps = []
        error = self._upgrade(examples[0], {})
        assert not error, f"{examples[0].name} can not be installed: {error}"
        for before, after in itertools.pairwise(examples):
            if unrelated:
                steps.append(self._step(f"{before.name}, changed", before, UNRELATED))
            steps.append(self._step(before.name, after, {}))
        return steps

    def _step(self, before: str, after: Example, more: Mapping[str, Any]) -> Step:
        self._bind_claims()
        had = self._identities()
        error = self._upgrade(after, more)
        return Step(before, after, had, self._identities(), error)

    def _upgrade(self, example: Example, more: Mapping[str, Any]) -> str:
        """Return what helm said if it failed. A claim does not shrink, so a user keeps the larger size."""
        size = self._larger(example)
        values = _merged(example.values, more, {"modelCache": {"size": size}} if size else {})
        command = [str(self._helm), "upgrade", "--install", RELEASE, str(CHART), "--namespace", self.namespace]
        done = subprocess.run(
            [*command, "--values", "-"],
            input=yaml.safe_dump(values),
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stderr.strip() if done.returncode else ""

    def _larger(self, example: Example) -> str:
        """Return the size that the example's claim has already, if it is more than the example asks for."""
        wanted = {name: size for name, size in map(_name_and_size, example.objects) if name.endswith("model-cache")}
        there = {name: size for name, size in map(_name_and_size, self._claims()) if name in wanted}
        return next((size for name, size in there.items() if _bytes(size) > _bytes(wanted[name])), "")

    def _claims(self) -> list[Object]:
        return self.api.items(f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims")

    def _bind_claims(self) -> None:
        """Do what a volume's provisioner would: an unbound claim can not even grow."""
        for claim in self._claims():
            path = f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims/{claim['metadata']['name']}"
            if not claim["spec"].get("volumeName"):
                self.api.done("PATCH", path, {"spec": {"volumeName": f"{self.namespace}-{claim['metadata']['name']}"}})
            capacity = claim["spec"]["resources"]["requests"]
            self.api.done("PATCH", f"{path}/status", {"status": {"phase": "Bound", "capacity": capacity}})

    def _identities(self) -> Identities:
        jobs = self.api.items(f"/apis/batch/v1/namespaces/{self.namespace}/jobs")
        found = [{"kind": "Job", **job} for job in jobs]
        found += [{"kind": "PersistentVolumeClaim", **claim} for claim in self._claims()]
        return {identity_of(each): each["metadata"]["uid"] for each in found}


def _name_and_size(manifest: Object) -> tuple[str, str]:
    """Return the name of a claim and its size, nothing for other objects, whose kind a list leaves out."""
    if manifest.get("kind", "PersistentVolumeClaim") != "PersistentVolumeClaim":
        return "", ""
    return manifest["metadata"]["name"], manifest["spec"]["resources"]["requests"]["storage"]


def _merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return maps laid over each other, as helm does with values files."""
    result: dict[str, Any] = {}
    for layer in layers:
        for name, value in json.loads(json.dumps(layer)).items():
            both_maps = isinstance(value, dict) and isinstance(result.get(name), dict)
            result[name] = _merged(result[name], value) if both_maps else value
    return result


def _bytes(quantity: str) -> float:
    """Return a size in bytes; nothing is the least."""
    number = quantity.rstrip("kMGTPEi")
    unit = quantity[len(number) :]
    power = "kMGTPE".find(unit[:1].replace("K", "k")) + 1 if unit else 0
    return float(number or 0) * float((1024 if unit.endswith("i") else 1000) ** power)
