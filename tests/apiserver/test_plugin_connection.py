"""The plugin before a real API server: as somebody else, and with the credentials that a program gives."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from apiserver.client import Api

pytestmark = pytest.mark.cluster

LIST = [sys.executable, "-c", "from llmkube_plugin.cli import main; main()", "cache", "list"]
SEES = [
    {"apiGroups": [""], "resources": ["pods", "persistentvolumeclaims"], "verbs": ["list"]},
    {"apiGroups": ["batch"], "resources": ["jobs", "cronjobs"], "verbs": ["list"]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list"]},
]


@pytest.fixture
def namespace(api: Api, space: Callable[[], str]) -> str:
    """A namespace in which the group `seers` and the service account `seer` may list."""
    name = space()
    group = "rbac.authorization.k8s.io"
    path = f"/apis/{group}/v1/namespaces/{name}"
    api.done("POST", f"{path}/roles", {"metadata": {"name": "sees"}, "rules": SEES})
    subjects = [
        {"kind": "Group", "name": "seers", "apiGroup": group},
        {"kind": "ServiceAccount", "name": "seer", "namespace": name},
    ]
    role = {"kind": "Role", "name": "sees", "apiGroup": group}
    binding = {"metadata": {"name": "sees"}, "subjects": subjects, "roleRef": role}
    api.done("POST", f"{path}/rolebindings", binding)
    api.done("POST", f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "seer"}})
    return name


def listing(api: Api, namespace: str, kubeconfig: Path | None = None, **helm: str) -> subprocess.CompletedProcess[str]:
    """List the caches of a namespace with the variables that Helm would set."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("HELM_", "KUBE"))}
    given = {f"HELM_{name}": value for name, value in helm.items()}
    environment = {
        **theirs,
        **given,
        "HELM_NAMESPACE": namespace,
        "KUBECONFIG": str(kubeconfig or api.running.kubeconfig),
    }
    return subprocess.run(LIST, env=environment, capture_output=True, text=True, check=False)


def as_user(api: Api, folder: Path, user: dict[str, Any]) -> Path:
    """Write a kubeconfig for the API server with another user."""
    content = yaml.safe_load(api.running.kubeconfig.read_text())
    content["users"] = [{"name": content["users"][0]["name"], "user": user}]
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path


def test_helms_user_and_groups_are_whom_it_acts_for(api: Api, namespace: str) -> None:
    without = listing(api, namespace, KUBEASUSER="jane")
    within = listing(api, namespace, KUBEASUSER="jane", KUBEASGROUPS="others,seers")

    assert "you may not list" in without.stderr
    assert 'User "jane" cannot list resource' in without.stderr
    assert within.returncode == 0


def test_the_user_of_kubeconfig_may_act_for_another(api: Api, namespace: str, tmp_path: Path) -> None:
    own = yaml.safe_load(api.running.kubeconfig.read_text())["users"][0]["user"]

    without = listing(api, namespace, as_user(api, tmp_path, own | {"as": "jane"}))
    within = listing(api, namespace, as_user(api, tmp_path, own | {"as": "jane", "as-groups": ["seers"]}))

    assert 'User "jane" cannot list resource' in without.stderr
    assert within.returncode == 0


def test_a_program_gives_the_token(api: Api, namespace: str, tmp_path: Path) -> None:
    asked = {"spec": {"expirationSeconds": 600}}
    token = api.done("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/seer/token", asked)["status"]["token"]
    version = "client.authentication.k8s.io/v1"
    answer = f'{{"apiVersion": "{version}", "kind": "ExecCredential", "status": {{"token": "{token}"}}}}'
    program = {"apiVersion": version, "command": "sh", "args": ["-c", f"echo {shlex.quote(answer)}"]}

    kubeconfig = as_user(api, tmp_path, {"exec": {**program, "interactiveMode": "Never"}})

    assert listing(api, namespace, kubeconfig).returncode == 0
    assert "you may not list" in listing(api, "default", kubeconfig).stderr


def test_helms_token_is_taken_before_the_certificate_of_kubeconfig(api: Api, namespace: str) -> None:
    refused = listing(api, namespace, KUBETOKEN="not-a-token")

    assert "does not accept your credentials" in refused.stderr


def test_a_certificate_of_nobody_is_told_apart_from_a_server_that_is_not_there(
    api: Api, namespace: str, tmp_path: Path
) -> None:
    content = yaml.safe_load(api.running.kubeconfig.read_text())
    content["clusters"][0]["cluster"].pop("certificate-authority", None)
    content["clusters"][0]["cluster"].pop("certificate-authority-data", None)
    (tmp_path / "untrusting").write_text(yaml.safe_dump(content))

    assert "--kube-ca-file" in listing(api, namespace, tmp_path / "untrusting").stderr
    own = str(api.running.layout.state / "pki" / "ca.crt")
    assert listing(api, namespace, tmp_path / "untrusting", KUBECAFILE=own).returncode == 0
