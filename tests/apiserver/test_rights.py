"""The shipped Roles are what the verbs need, no less and no more; without one right it is said, and nothing is left."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from apiserver.client import Api
from apiserver.playing import Player
from apiserver.rights import LISTS, RELEASE, ROLES, SERVED, VERBS, Verb, review, rights_of, rules
from chart.rendering import Object, Renderer, nested
from fakehub import FakeHub
from llmkube_plugin.cli import cli
from models.gguf import write_gguf

pytestmark = pytest.mark.cluster

_ORDER = ("ServiceAccount", "PersistentVolumeClaim", "Deployment", "CronJob", "Job")
_GROUPS = {"Deployment": "apps/v1", "Job": "batch/v1", "CronJob": "batch/v1"}
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_numbers = itertools.count(1)

LESS = [pytest.param(verb, right, id=f"{verb.name} without {right}") for verb in VERBS for right in sorted(verb.needs)]


@dataclass(frozen=True)
class Stage:
    """A namespace with one release, whose pods are played."""

    api: Api
    player: Player
    namespace: str
    objects: list[Object]

    def install(self) -> None:
        """Make the objects of the release, and wait until it has downloaded its model."""
        for each in self.objects:
            root = f"/apis/{_GROUPS[each['kind']]}" if each["kind"] in _GROUPS else "/api/v1"
            made = self.api.done("POST", f"{root}/namespaces/{self.namespace}/{each['kind'].lower()}s", each)
        self.player.wait_for(f"{made['metadata']['name']}-0")  # the Job, which is the last of _ORDER

    def run(self, *command: str, user: str = "", group: str = "") -> Result:
        """Run the plugin as its user would, through Helm's variables; without a user as the administrator."""
        environment = {"KUBECONFIG": str(self.api.running.kubeconfig), "HELM_NAMESPACE": self.namespace}
        environment |= {"HELM_KUBEASUSER": user, "HELM_KUBEASGROUPS": group, "HELM_BIN": os.environ["HELM"]}
        return CliRunner().invoke(cli, command, env=environment, catch_exceptions=False)

    def user(self, rights: frozenset[str]) -> str:
        """Return the name of a new user who has these rights in the namespace."""
        name = f"user-{next(_numbers)}"
        metadata = {"name": name, "namespace": self.namespace}
        self._make("roles", {"metadata": metadata, "rules": rules(rights)})
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        self._make("rolebindings", {"metadata": metadata, "subjects": [subject], "roleRef": role})
        for right in rights:
            self.wait_until_allowed(review(right, self.namespace, name))
        return name

    def seen(self) -> tuple[set[str], set[Path]]:
        """Return the Jobs that there are, and what lies on the volume."""
        jobs = self.api.items(f"/apis/batch/v1/namespaces/{self.namespace}/jobs")
        volume = self.player.volume(self.namespace, f"{RELEASE}-model-cache")
        return {job["metadata"]["name"] for job in jobs}, set(volume.rglob("*"))

    def _make(self, kind: str, body: dict[str, object]) -> None:
        self.api.done("POST", f"{_RBAC}/namespaces/{self.namespace}/{kind}", body)

    def settle(self) -> None:
        """Wait for the Jobs that nobody waited for."""
        for job in self.seen()[0]:
            self.player.wait_for(f"{job}-0")

    def wait_until_allowed(self, question: Object) -> None:
        """Wait until the API server's own copy of its Roles, which tells nobody when it is new, has a right."""
        while not self.api.done("POST", _REVIEWS, question)["status"]["allowed"]:
            time.sleep(0.01)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHub]:
    root = tmp_path_factory.mktemp("hub")
    for seed, repository in enumerate(("acme/small", "acme/other")):
        (root / repository / "main").mkdir(parents=True)
        write_gguf(root / repository / "main" / "model-f16.gguf", mib=1, seed=seed)
    with FakeHub(root) as running:
        yield running


@pytest.fixture(scope="module")
def player(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Player]:
    running = Player(api, tmp_path_factory.mktemp("player"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def stage(api: Api, chart: Renderer, player: Player, hub: FakeHub, space: Callable[[], str]) -> Stage:
    """A release that has downloaded its model, in a namespace that enforces Pod Security `restricted`."""
    values = {"model.source": SERVED, "modelCache.size": "1Gi", "downloader.hfEndpoint": hub.endpoint}
    objects = [each for each in chart.objects(nested(values), RELEASE) if each["kind"] in _ORDER]
    made = Stage(api, player, space(), sorted(objects, key=lambda item: _ORDER.index(item["kind"])))
    made.install()
    return made


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_verb_works_with_no_more_than_what_it_needs(stage: Stage, verb: Verb) -> None:
    for command in verb.first:
        assert stage.run(*command).exit_code == 0
    result = stage.run(*verb.command, user=stage.user(verb.needs))
    stage.settle()
    assert result.exit_code in verb.codes, result.output
    for note in verb.optional.values():
        assert note in result.stderr


@pytest.mark.parametrize(("verb", "right"), LESS)
def test_without_one_right_it_names_verb_resource_and_namespace_and_leaves_nothing(
    stage: Stage, verb: Verb, right: str
) -> None:
    before = stage.seen()
    result = stage.run(*verb.command, user=stage.user(verb.needs - {right}))
    asked, resource = right.split(" ")
    assert result.exit_code == 1
    assert f"you may not {asked} {resource} in namespace {stage.namespace}" in result.stderr
    assert f"Ask for a Role with the verb '{asked}' on {resource}" in result.stderr
    assert stage.seen() == before


@pytest.mark.parametrize("role", ["view", "operate"])
def test_a_shipped_role_has_what_its_verbs_use_once_and_nothing_else(role: str) -> None:
    used = set().union(*(verb.all for verb in VERBS if verb.role == role))
    given = rights_of(ROLES / f"{role}.yaml")
    assert sorted(given) == sorted(used | (LISTS if role == "operate" else set()))


def test_who_may_operate_may_view() -> None:
    assert set(rights_of(ROLES / "view.yaml")) <= set(rights_of(ROLES / "operate.yaml"))


def test_every_verb_is_in_the_table() -> None:
    missing = [path for path in _commands(cli) if not any(verb.command[: len(path)] == path for verb in VERBS)]
    assert missing == []


def test_listing_all_namespaces_takes_the_cluster_role(stage: Stage) -> None:
    without = stage.run("cache", "list", "-A", user="anna")
    assert without.exit_code == 1
    assert "you may not list pods in all namespaces" in without.stderr
    assert "Ask for a ClusterRole with the verb 'list' on pods, or choose a namespace with -n." in without.stderr

    stage.api.running.kubectl("apply", "--filename", str(ROLES / "view-all-namespaces.yaml"))
    given = rights_of(ROLES / "view-all-namespaces.yaml")
    assert given == rights_of(ROLES / "view.yaml")
    for right in given:
        stage.wait_until_allowed(review(right, "", "anna", "model-viewers"))
    for verb in ("list", "status"):
        assert stage.run("cache", verb, "-A", user="anna", group="model-viewers").exit_code == 0


def test_scanning_all_namespaces_reads_where_the_user_may_operate(stage: Stage, space: Callable[[], str]) -> None:
    forbidden = replace(stage, namespace=space())
    forbidden.install()
    stage.api.running.kubectl("apply", "--filename", str(ROLES / "view-all-namespaces.yaml"))
    user = stage.user(frozenset(rights_of(ROLES / "operate.yaml")))
    stage.wait_until_allowed(review("list cronjobs", "", user, "model-viewers"))
    result = stage.run("cache", "list", "-A", "--scan", "-o", "json", user=user, group="model-viewers")
    scanned = {entry["namespace"] for entry in json.loads(result.stdout)["entries"] if entry["scanned"]}
    assert stage.namespace in scanned
    assert forbidden.namespace not in scanned
    assert result.exit_code == 1
    assert f"you may not create jobs in namespace {forbidden.namespace}" in result.stderr


def _commands(
    group: click.Group, path: tuple[str, ...] = (), parent: click.Context | None = None
) -> Iterator[tuple[str, ...]]:
    context = click.Context(group, parent)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name), context)
        else:
            yield (*path, name)
