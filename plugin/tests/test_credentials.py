"""What is read of kubeconfig, beside what the Kubernetes client reads; and what only the client knows to get."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from helm_homes import script
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from kubernetes.config import load_kube_config
from kubernetes.config.incluster_config import InClusterConfigLoader
from kubernetes.utils.keepalive import tcp_keepalive_socket_options

from llmkube_plugin import credentials, kubeconfig, transport
from llmkube_plugin.transport import Server, Transport

if TYPE_CHECKING:
    from conftest import Run

HOST = "https://api.example:6443"
TEXTS = {"ca.crt": "of the authority", "jane.crt": "of jane", "jane.key": "jane's", "token": "of-file"}


def data(name: str) -> str:
    return base64.b64encode(TEXTS[name].encode()).decode()


CERTIFICATE = {"client-certificate": "keys/jane.crt", "client-key": "keys/jane.key"}
CERTIFICATE_DATA = {"client-certificate-data": data("jane.crt"), "client-key-data": data("jane.key")}
# Each with what kubeconfig says of the cluster and of the user.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "a slash": ({"server": f"{HOST}/"}, {}),
    "a path": ({"server": f"{HOST}/k8s/clusters/c-1"}, {}),
    "no TLS": ({"server": "http://here", "certificate-authority": "keys/ca.crt"}, CERTIFICATE),
    "authority": ({"certificate-authority": "keys/ca.crt"}, {}),
    "authority as data": ({"certificate-authority-data": data("ca.crt")}, {}),
    "authority as both": ({"certificate-authority": "missing", "certificate-authority-data": data("ca.crt")}, {}),
    "no authority as data": ({"certificate-authority": "keys/ca.crt", "certificate-authority-data": ""}, {}),
    "certificate": ({}, CERTIFICATE),
    "certificate as data": ({}, CERTIFICATE_DATA),
    "certificate as both": ({}, CERTIFICATE | CERTIFICATE_DATA),
    "certificate and key as data": ({}, CERTIFICATE | {"client-key-data": data("jane.key")}),
    "certificate without key": ({}, {"client-certificate-data": data("jane.crt")}),
    "token": ({}, {"token": "of-kubeconfig"}),
    "token in a file": ({}, {"tokenFile": "keys/token"}),
    "token as both": ({}, {"token": "of-kubeconfig", "tokenFile": "missing"}),
    "no token": ({}, {"token": "", "tokenFile": "keys/token"}),
    "password": ({}, {"username": "jane", "password": "p:ss"}),
    "token and password": ({}, {"token": "of-kubeconfig", "username": "jane", "password": "pass"}),
    "no token but password": ({}, {"token": "", "username": "jane", "password": "pass"}),
    "name without password": ({}, {"username": "jane"}),
    "token and certificate": ({}, {"token": "of-kubeconfig"} | CERTIFICATE),
    "insecure": ({"insecure-skip-tls-verify": True}, {}),
    "not insecure": ({"insecure-skip-tls-verify": False}, {}),
    "another name": ({"tls-server-name": "api.internal"}, {}),
    "proxy": ({"proxy-url": "http://proxy:3128"}, {}),
    "no proxy": ({"proxy-url": ""}, {}),
}


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def write(file: Path, **content: Any) -> Path:
    (file.parent / "keys").mkdir(parents=True, exist_ok=True)
    for name, text in TEXTS.items():
        (file.parent / "keys" / name).write_text(text)
    file.write_text(yaml.safe_dump(content))
    return file


def named(plural: str, section: dict[str, Any], name: str = "x") -> list[dict[str, Any]]:
    return [{"name": name, plural.removesuffix("s"): section}]


def complete(file: Path, cluster: dict[str, Any], user: dict[str, Any]) -> str:
    sections = {"clusters": {"server": HOST} | cluster, "users": user, "contexts": {"cluster": "x", "user": "x"}}
    return str(write(file, **{plural: named(plural, section) for plural, section in sections.items()}))


def plain(server: Server) -> tuple[Server, str | None]:
    """Return a server with the content of the files that it names, and what it is told about its user."""
    texts: dict[str, Any] = {
        name: value.read_text()
        for name in ("authority", "certificate", "key")
        if isinstance(value := getattr(server, name), Path)
    }
    return replace(server, **texts), server.authorization()


def ours(path: str) -> Server:
    return credentials.of_context(kubeconfig.read(path), "x")


def configured(path: str) -> Configuration:
    configuration = Configuration()
    load_kube_config(config_file=path, context="x", client_configuration=configuration)
    return configuration


@pytest.mark.parametrize("case", CASES)
def test_a_kubeconfig_means_what_it_means_to_the_kubernetes_client(tmp_path: Path, case: str) -> None:
    path = complete(tmp_path / "config", *CASES[case])

    assert plain(ours(path)) == plain(credentials.of_client(configured(path)))


def test_so_do_several_of_which_the_first_counts_and_each_is_in_a_folder_of_its_own(tmp_path: Path) -> None:
    contexts = named("contexts", {"cluster": "x", "user": "x"})
    cluster = {"server": HOST, "certificate-authority": "keys/ca.crt"}
    first = write(tmp_path / "1" / "config", contexts=contexts, clusters=named("clusters", cluster))
    second = write(tmp_path / "2" / "config", users=named("users", {"tokenFile": "keys/token"}))
    third = complete(tmp_path / "3" / "config", {"server": "https://other"}, {"token": "other"})
    (tmp_path / "1" / "keys" / "token").unlink()
    (tmp_path / "2" / "keys" / "ca.crt").unlink()
    path = f"{tmp_path / 'missing'}:{first}:{second}:{third}"

    assert plain(ours(path)) == plain(credentials.of_client(configured(path)))
    assert plain(ours(path)) == (Server(HOST, authority=TEXTS["ca.crt"]), "Bearer of-file")


def test_a_users_certificate_is_where_the_file_with_the_user_says(tmp_path: Path) -> None:
    """The Kubernetes client looks for it beside the file with the cluster; kubectl does not."""
    cluster = named("clusters", {"server": HOST})
    first = write(tmp_path / "config", contexts=named("contexts", {"cluster": "x", "user": "x"}), clusters=cluster)
    second = write(tmp_path / "mine" / "config", users=named("users", CERTIFICATE))

    assert ours(f"{first}:{second}").certificate == tmp_path / "mine" / "keys" / "jane.crt"


@pytest.mark.parametrize("server", [HOST, "http://api.example", "https://10.1.2.3:6443", "https://[fd00::1]:6443"])
@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"HTTPS_PROXY": "http://one:1"},
        {"https_proxy": "http://one:1", "HTTP_PROXY": "http://two:2"},
        {"ALL_PROXY": "http://all:3"},
        *({"ALL_PROXY": "http://all:3", "NO_PROXY": exceptions} for exceptions in ("*", "", ",example , other")),
        {"ALL_PROXY": "http://all:3", "NO_PROXY": ".example,10.1.0.0/16,fd00::/8"},
        {"ALL_PROXY": "http://all:3", "NO_PROXY": "API.example:6443,10.1.2.3"},
        {"ALL_PROXY": "http://all:3", "NO_PROXY": "ample,10.2.0.0/16,api.example:1,10.1.2"},
    ],
    ids=str,
)
@pytest.mark.parametrize("own", [{}, {"proxy-url": "http://own:4"}, {"proxy-url": ""}], ids=str)
def test_the_way_leads_through_the_proxy_that_the_kubernetes_client_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str, environment: dict[str, str], own: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    path = complete(tmp_path / "config", {"server": server} | own, {})

    expected = RESTClientObject(configured(path)).pool_manager.proxy

    assert Transport(ours(path))._pool.proxy == expected
    assert Transport(credentials.of_client(configured(path)))._pool.proxy == expected


def test_connections_are_kept_alive_as_the_kubernetes_client_does() -> None:
    assert transport.keep_alive() == tcp_keepalive_socket_options()


@pytest.mark.parametrize("host", ["10.0.0.1", "fd00::1", "kubernetes.internal"])
def test_a_pod_means_what_it_means_to_the_kubernetes_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    place = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    for name in ("token", "ca.crt", "namespace"):
        (tmp_path / name).write_text(f"the-{name}")
    monkeypatch.setattr(credentials, "SERVICE_ACCOUNT", tmp_path)
    configuration = Configuration()
    InClusterConfigLoader(str(tmp_path / "token"), str(tmp_path / "ca.crt"), environ=place).load_and_set(configuration)

    found = credentials.of_pod()

    assert found is not None
    server, header = plain(credentials.of_client(configuration))
    assert plain(found[0]) == (server, str(header).replace("bearer", "Bearer"))
    assert found[1] == "the-namespace"


def test_a_token_file_is_read_again_when_its_token_may_have_been_renewed(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old\n")
    seldom, always = credentials.TokenFile(tmp_path / "token"), credentials.TokenFile(tmp_path / "token", seconds=0)
    (tmp_path / "token").write_text("new\n")

    assert (seldom(), always()) == ("Bearer old", "Bearer new")


def test_a_program_is_asked_again_when_its_token_has_expired(tmp_path: Path) -> None:
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "times-N", "expirationTimestamp": "2020-01-01T00:00:00Z"},
    }
    told = json.dumps(answer).replace("N", "'$(wc -l <count)'")
    program = script(tmp_path / "login", f"cd {tmp_path}; echo >>count; echo '{told}'")
    execute = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program), "interactiveMode": "Never"}
    server = ours(complete(tmp_path / "config", {"certificate-authority": "keys/ca.crt"}, {"exec": execute}))

    tokens = [server.authorization() for _ in range(2)]

    assert tokens == ["Bearer times-2", "Bearer times-3"]  # the first was for the connection as a whole
    assert plain(server)[0] == Server(HOST, authority=TEXTS["ca.crt"])


def test_a_key_that_kubeconfig_holds_is_in_a_file_of_its_user_only_while_it_is_read() -> None:
    with transport._file("secret") as path:
        assert Path(path).read_text() == "secret"
        assert Path(path).stat().st_mode & 0o777 == 0o600

    assert not Path(path).exists()


@pytest.mark.parametrize(
    ("of_cluster", "of_user", "environment", "told"),
    [
        ({}, {"client-certificate": "gone.crt"}, {}, "the context 'x' of CONFIG is unusable: File does not exist: "),
        ({}, {"tokenFile": "gone"}, {}, "the context 'x' of CONFIG is unusable: "),
        ({"certificate-authority-data": "abc"}, {}, {}, "unusable: certificate-authority-data is no base64: "),
        ({"certificate-authority": "keys/ca.crt"}, {}, {}, "keys/ca.crt for the API server https://api.example:6443 "),
        (
            {},
            CERTIFICATE_DATA,
            {},
            "the client certificate for the API server https://api.example:6443 ",
        ),
        ({}, {}, {"HELM_KUBECAFILE": "/gone.crt"}, "the certificate authority /gone.crt for the API server "),
        ({"proxy-url": "socks5://proxy"}, {}, {}, "the proxy on the way to the API server https://api.example:6443 "),
    ],
)
def test_what_can_not_be_used_is_named(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    of_cluster: dict[str, Any],
    of_user: dict[str, Any],
    environment: dict[str, str],
    told: str,
) -> None:
    path = complete(tmp_path / "config", of_cluster, of_user)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    result = run("cache", "list", "--kubeconfig", path, "--context", "x")

    assert result.exit_code == 1
    assert told.replace("CONFIG", path) in result.stderr
