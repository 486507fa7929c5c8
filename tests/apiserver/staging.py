"""Users of the plugin who have exactly the rights that a test gives them, and releases for them to work on."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result

from apiserver.client import Api
from apiserver.playing import Player
from apiserver.rights import RELEASE, review, rules
from chart.rendering import Object
from llmkube_plugin.cli import cli

ORDER = ("ServiceAccount", "PersistentVolumeClaim", "Deployment", "CronJob", "Job")
_GROUPS = {"Deployment": "apps/v1", "Job": "batch/v1", "CronJob": "batch/v1"}
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Place:
    """A namespace, and users who may do something there."""

    api: Api
    namespace: str

    def run(self, *command: str, user: str = "", group: str = "") -> Result:
        """Run the plugin as its user would, through Helm's variables; without a user as the administrator."""
        environment = {"KUBECONFIG": str(self.api.running.kubeconfig), "HELM_NAMESPACE": self.namespace}
        environment |= {"HELM_KUBEASUSER": user, "HELM_KUBEASGROUPS": group, "HELM_BIN": os.environ["HELM"]}
        return CliRunner().invoke(cli, command, env=environment, catch_exceptions=False)

    def user(self, rights: Iterable[str], of_the_cluster: Iterable[str] = ()) -> str:
        """Return the name of a new user who has these rights in the namespace, and others in the cluster."""
        name = f"user-{next(_numbers)}"
        self._bind(name, "Role", rights, self.namespace)
        self._bind(name, "ClusterRole", of_the_cluster, "")
        return name

    def make(self, item: Object) -> Object:
        """Make an object of the namespace, as an administrator does."""
        root = f"/apis/{_GROUPS[item['kind']]}" if item["kind"] in _GROUPS else "/api/v1"
        made: Object = self.api.done("POST", f"{root}/namespaces/{self.namespace}/{item['kind'].lower()}s", item)
        return made

    def wait_until_allowed(self, question: Object) -> None:
        """Wait until the API server's own copy of its Roles, which tells nobody when it is new, has a right."""
        while not self.api.done("POST", _REVIEWS, question)["status"]["allowed"]:
            time.sleep(0.01)

    def _bind(self, name: str, kind: str, rights: Iterable[str], namespace: str) -> None:
        """Make a Role or ClusterRole of a user's name, which has these rights, and give it to the user."""
        root = f"{_RBAC}/namespaces/{namespace}" if namespace else _RBAC
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        self.api.done("POST", f"{root}/{kind.lower()}s", {"metadata": {"name": name}, "rules": rules(rights)})
        body = {"metadata": {"name": name}, "subjects": [subject], "roleRef": role}
        self.api.done("POST", f"{root}/{kind.lower()}bindings", body)
        for right in rights:
            self.wait_until_allowed(review(right, namespace, name))


@dataclass(frozen=True)
class Stage(Place):
    """A namespace with one release, whose pods are played."""

    player: Player
    objects: list[Object]

    def install(self) -> None:
        """Make the objects of the release, and wait until it has downloaded its model."""
        for each in self.objects:
            made = self.make(each)
        self.player.wait_for(f"{made['metadata']['name']}-0")  # the Job, which is the last of ORDER

    def seen(self) -> tuple[set[str], set[Path]]:
        """Return the Jobs that there are, and what lies on the volume."""
        jobs = self.api.items(f"/apis/batch/v1/namespaces/{self.namespace}/jobs")
        volume = self.player.volume(self.namespace, f"{RELEASE}-model-cache")
        return {job["metadata"]["name"] for job in jobs}, set(volume.rglob("*"))

    def settle(self) -> None:
        """Wait for the Jobs that nobody waited for."""
        for job in self.seen()[0]:
            self.player.wait_for(f"{job}-0")
