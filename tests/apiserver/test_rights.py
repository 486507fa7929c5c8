"""The shipped Roles are what the verbs need, no less and no more; without one right it is said, and nothing is left."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest

from apiserver.client import Api
from apiserver.playing import Player
from apiserver.rights import (
    DOCTOR,
    DOCTOR_CLUSTER,
    LISTS,
    RELEASE,
    ROLES,
    SERVED,
    VERBS,
    VOLUME_WORK,
    Verb,
    review,
    rights_of,
)
from apiserver.staging import ORDER, Stage
from chart.rendering import Renderer, nested
from fakehub import FakeHub
from llmkube_plugin.cli import cli
from models.gguf import write_gguf

pytestmark = pytest.mark.cluster

LESS = [pytest.param(verb, right, id=f"{verb.name} without {right}") for verb in VERBS for right in sorted(verb.needs)]


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
    objects = [each for each in chart.objects(nested(values), RELEASE) if each["kind"] in ORDER]
    made = Stage(api, space(), player, sorted(objects, key=lambda item: ORDER.index(item["kind"])))
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


@pytest.mark.parametrize("role", ["view", "operate", "doctor"])
def test_a_shipped_role_has_what_its_verbs_use_once_and_nothing_else(role: str) -> None:
    used = set().union(*(verb.all for verb in VERBS if verb.role == role))
    given = rights_of(ROLES / f"{role}.yaml")
    assert sorted(given) == sorted(used | (LISTS if role == "operate" else set()))


def test_the_cluster_role_of_doctor_has_what_it_reads_there_once_and_nothing_else() -> None:
    assert sorted(rights_of(ROLES / "doctor-cluster.yaml")) == sorted(DOCTOR_CLUSTER)


@pytest.mark.parametrize("file", sorted(ROLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_no_shipped_role_lists_or_watches_secrets_or_changes_them(file: Path) -> None:
    assert [right for right in rights_of(file) if right.endswith(" secrets") and right != "get secrets"] == []
    assert ("get secrets" in rights_of(file)) == (file.stem == "doctor")


def test_who_may_operate_may_view() -> None:
    assert set(rights_of(ROLES / "view.yaml")) <= set(rights_of(ROLES / "operate.yaml"))


def test_every_verb_is_in_the_table() -> None:
    missing = [path for path in _commands(cli) if not any(verb.command[: len(path)] == path for verb in VERBS)]
    assert missing == []


def test_doctor_asks_the_origin_with_the_shipped_roles(stage: Stage) -> None:
    rights = {right for role in ("doctor", "operate") for right in rights_of(ROLES / f"{role}.yaml")}
    before = stage.seen()

    said = stage.run("doctor", "--online", user=stage.user(rights)).stdout

    assert f"{SERVED}: is on the volume already: the origin is not asked" in said
    assert "PROBLEM" not in said
    assert stage.seen() == before


@pytest.mark.parametrize("right", sorted(VOLUME_WORK - LISTS))
def test_doctor_makes_no_job_that_it_could_not_see_the_end_of_or_remove(stage: Stage, right: str) -> None:
    before = stage.seen()

    result = stage.run("doctor", "--online", user=stage.user((DOCTOR | VOLUME_WORK) - {right}))

    assert result.exit_code in (0, 1)
    assert f"You may not {right} in namespace {stage.namespace}. Not looked at: origin.\n" in result.stdout
    assert stage.seen() == before


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
