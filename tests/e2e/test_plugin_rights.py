"""Who has a shipped Role, and nothing else, works with every verb of it on a real cluster, under Helm 4 and Helm 3."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apiserver.rights import RELEASE, ROLES, SERVED, VERBS, Verb, rights_of
from e2e.kit import Done, Helm, Space

pytestmark = pytest.mark.cluster

MEMBER = {"view": "model-viewers", "operate": "model-operators", "doctor": "model-installers"}


@pytest.fixture
def ruled(space: Space) -> Space:
    """A release in a namespace with the shipped Roles, bound as they are to groups."""
    space.install(RELEASE, model__source=SERVED)
    space.kubectl("wait", "--for=condition=Complete", "job", "--all", "--timeout=90s")
    for role in MEMBER:
        space.kubectl("apply", "--filename", str(ROLES / f"{role}.yaml"))
    return space


def test_every_verb_works_with_its_shipped_role(ruled: Space) -> None:
    assert _failures(ruled, VERBS) == {}


def test_list_preload_and_clear_work_with_the_shipped_roles_under_helm_3(ruled: Space, helm3: Helm) -> None:
    chosen = [verb for verb in VERBS if set(verb.command) & {"list", "preload", "clear"}]
    assert len(chosen) >= 3
    assert _failures(replace(ruled, helm=helm3), chosen) == {}


@pytest.mark.parametrize(("role", "built_in"), [("view", "view"), ("operate", "edit")])
def test_a_role_of_kubernetes_itself_includes_the_shipped_one(space: Space, role: str, built_in: str) -> None:
    space.kubectl("create", "rolebinding", "built-in", f"--clusterrole={built_in}", "--user=anna")
    for right in rights_of(ROLES / f"{role}.yaml"):
        verb, resource = right.split(" ")
        kind, _, part = resource.partition("/")
        told = space.kubectl("auth", "can-i", verb, kind, f"--subresource={part}", "--as=anna")
        assert told.strip() == "yes", right


def _failures(space: Space, verbs: list[Verb] | tuple[Verb, ...]) -> dict[str, str]:
    """Run verbs as members of the groups; return what those that failed, or lacked a right, said."""
    failed = {}
    for verb in verbs:
        for command in verb.first:
            space.llmkube(*command)
        done = _as_member(space, verb)
        if done.code or "you may not" in done.err:
            failed[f"{verb.name}, exit {done.code}"] = done.out + done.err
    return failed


def _as_member(space: Space, verb: Verb) -> Done:
    group = ["--kube-as-user", "anna", "--kube-as-group", MEMBER[verb.role]]
    return space.llmkube(*verb.command, *group, check=False)
