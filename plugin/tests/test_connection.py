"""Which API server is asked, with whose rights, and what a user reads when that does not work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import releases
import yaml

from llmkube_plugin import connection
from llmkube_plugin.transport import Server

if TYPE_CHECKING:
    from fake_kubernetes import FakeKubernetes

    from conftest import Run


def edit(kubeconfig: Path, **changes: object) -> None:
    kubeconfig.write_text(yaml.safe_dump(yaml.safe_load(kubeconfig.read_text()) | changes))


def header(cluster: FakeKubernetes, name: str) -> list[str]:
    return [value for key, value in cluster.asked[-1].headers if key.lower() == name]


def test_the_token_and_the_name_of_the_program_are_sent(cluster: FakeKubernetes, run: Run) -> None:
    run("cache", "list")

    assert header(cluster, "authorization") == ["Bearer canary-token"]
    assert header(cluster, "user-agent") == ["helm-llmkube/0.1.0"]


def test_the_namespace_is_the_one_given_or_of_helm_or_of_the_context_or_default(
    cluster: FakeKubernetes, run: Run, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked() -> str:
        return next(each.path for each in reversed(cluster.asked) if each.path.endswith("/pods")).split("/")[4]

    run("cache", "list")
    assert asked() == "default"
    contexts = [{"name": "test", "context": {"cluster": "fake", "user": "me", "namespace": "of-context"}}]
    edit(kubeconfig, contexts=contexts)
    run("cache", "list")
    assert asked() == "of-context"
    monkeypatch.setenv("HELM_NAMESPACE", "of-helm")
    run("cache", "list")
    assert asked() == "of-helm"
    run("cache", "list", "-n", "given")
    assert asked() == "given"


@pytest.mark.parametrize("option", ["--kube-context", "--context"])
def test_another_context_can_be_chosen(cluster: FakeKubernetes, run: Run, kubeconfig: Path, option: str) -> None:
    contexts = [
        {"name": name, "context": {"cluster": "fake", "user": "me", "namespace": name}} for name in ("test", "b")
    ]
    edit(kubeconfig, contexts=contexts)

    run("cache", "list", option, "b")

    assert "/namespaces/b/" in cluster.asked[-1].path


def test_helms_context_is_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELM_KUBECONTEXT", "elsewhere")

    assert "has no context 'elsewhere'\nIt has: test." in run("cache", "list").stderr


def test_of_several_kubeconfigs_the_first_current_context_counts(
    cluster: FakeKubernetes, run: Run, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = tmp_path / "second"
    second.write_text(yaml.safe_dump({"current-context": "elsewhere"}))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{kubeconfig}:{second}")

    assert run("cache", "list").exit_code == 0
    assert cluster.asked


def test_helms_server_token_and_identity_win(
    cluster: FakeKubernetes, run: Run, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(kubeconfig, clusters=[{"name": "fake", "cluster": {"server": "http://127.0.0.1:1"}}])
    monkeypatch.setenv("HELM_KUBEAPISERVER", cluster.url)
    monkeypatch.setenv("HELM_KUBETOKEN", "other-token")
    monkeypatch.setenv("HELM_KUBEASUSER", "jane")
    monkeypatch.setenv("HELM_KUBEASGROUPS", "dev,ops")

    assert run("cache", "list").exit_code == 0

    assert header(cluster, "authorization") == ["Bearer other-token"]
    assert header(cluster, "impersonate-user") == ["jane"]
    assert header(cluster, "impersonate-group") == ["dev", "ops"]


def test_helms_server_needs_no_kubeconfig(cluster: FakeKubernetes, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    monkeypatch.setenv("HELM_KUBEAPISERVER", cluster.url)

    assert run("cache", "list").exit_code == 0


def test_without_any_cluster_the_way_out_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    result = run("cache", "list")

    assert result.exit_code == 1
    assert "there is no cluster to ask: /nonexistent does not exist" in result.stderr
    assert "--dir PATH" in result.stderr
    assert "there is no context 'x'" in run("cache", "list", "--context", "x").stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("contexts: [", "is no readable kubeconfig"),
        ("just text", "is no readable kubeconfig"),
        ("contexts: [{name: a, context: {cluster: gone}}]", "names no current context"),
        ("{contexts: [{name: a, context: {cluster: gone}}], current-context: a}", "the context 'a'"),
    ],
)
def test_a_broken_kubeconfig_is_named(run: Run, kubeconfig: Path, content: str, message: str) -> None:
    kubeconfig.write_text(content)

    result = run("cache", "list")

    assert result.exit_code == 1
    assert message in result.stderr
    assert str(kubeconfig) in result.stderr


def test_an_unreachable_server_is_named_with_the_reason(run: Run, kubeconfig: Path) -> None:
    edit(kubeconfig, clusters=[{"name": "fake", "cluster": {"server": "http://127.0.0.1:1"}}])

    result = run("cache", "list")

    assert result.exit_code == 1
    assert "the API server http://127.0.0.1:1 can not be reached: " in result.stderr
    assert "Connection refused" in result.stderr
    assert "object at 0x" not in result.stderr


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "does not accept your credentials: because"),
        (403, "you may not list pods in namespace default: because\nAsk for a Role with the verb 'list' on pods"),
        (404, "pods does not exist in namespace default: because"),
        (409, "could not list pods in namespace default, another change came first: because"),
        (422, "refused to list pods in namespace default: because"),
        (429, "is too busy to list pods: because"),
        (500, "could not list pods in namespace default: because"),
    ],
)
def test_every_refusal_names_verb_resource_and_namespace(
    cluster: FakeKubernetes, run: Run, status: int, told: str
) -> None:
    cluster.refuse("list", "pods", status, "because")

    result = run("cache", "list")

    assert result.exit_code == 1
    assert told in result.stderr


def test_a_forbidden_job_says_what_is_missing(cluster: FakeKubernetes, run: Run) -> None:
    cluster.add(*releases.serving())
    cluster.refuse("create", "jobs", 403, "jobs is forbidden")

    assert "you may not create jobs in namespace default" in run("cache", "list", "--scan").stderr


def test_a_right_for_all_namespaces_takes_a_cluster_role(cluster: FakeKubernetes, run: Run) -> None:
    cluster.refuse("list", "pods", 403, "because")

    told = run("cache", "list", "-A").stderr

    assert "you may not list pods in all namespaces: because\nAsk for a ClusterRole" in told


def test_a_token_is_never_printed(cluster: FakeKubernetes, run: Run) -> None:
    cluster.refuse("list", "pods", 500, "x")

    assert "canary-token" not in run("cache", "list").output


def test_helms_flags_for_tls_and_identity_win_over_kubeconfig() -> None:
    of_kubeconfig = Server("https://here", certificate="of-kubeconfig", key="of-kubeconfig")
    given = {
        "HELM_KUBECAFILE": "/ca.crt",
        "HELM_KUBETLS_SERVER_NAME": "api.internal",
        "HELM_KUBEINSECURE_SKIP_TLS_VERIFY": "true",
        "HELM_KUBETOKEN": "t",
    }

    server = connection.with_helms_flags(of_kubeconfig, given)

    # An API server would take the certificate's user and not the token's: it is left out.
    assert server == Server("https://here", authority=Path("/ca.crt"), verified=False, name="api.internal")
    assert server.authorization() == "Bearer t"
