"""TLS, client certificates, exec plugins and proxies, against a server that speaks TLS and wants a certificate."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from fake_kubernetes import FakeKubernetes
from helm_homes import script

from llmkube_plugin import credentials
from terminal import plugin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Run

_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority (ca.crt), and its certificates for a server at 127.0.0.1, one called api.internal, and for jane."""
    folder = tmp_path_factory.mktemp("pki")
    subject = "/CN=authority of the test"
    openssl(folder, "req", "-x509", *_KEY, "-keyout", "ca.key", "-subj", subject, "-out", "ca.crt")
    for name, alternative in (("server", "IP:127.0.0.1"), ("internal", "DNS:api.internal"), ("jane", "DNS:jane")):
        request = ["req", "-x509", *_KEY, "-CA", "ca.crt", "-CAkey", "ca.key", "-keyout", f"{name}.key"]
        named = ["-subj", f"/O=dev/CN={name}", "-addext", f"subjectAltName={alternative}", "-out", f"{name}.crt"]
        openssl(folder, *request, *named, "-addext", "basicConstraints=critical,CA:FALSE")
    return folder


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@contextlib.contextmanager
def api_server(pki: Path, name: str = "server", *, clients: bool = False) -> Iterator[FakeKubernetes]:
    """Run an API server with one of the certificates; with `clients` it wants one of its clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / f"{name}.crt", pki / f"{name}.key")
    if clients:
        context.load_verify_locations(pki / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
    fake = FakeKubernetes(context)
    try:
        yield fake
    finally:
        fake.close()


@pytest.fixture
def secured(pki: Path) -> Iterator[FakeKubernetes]:
    with api_server(pki) as fake:
        yield fake


def connect_to(kubeconfig: Path, fake: FakeKubernetes, user: dict[str, Any] | None = None, **cluster: Any) -> None:
    content = yaml.safe_load(kubeconfig.read_text())
    content["clusters"] = [{"name": "fake", "cluster": {"server": fake.url, **cluster}}]
    content["users"] = [{"name": "me", "user": user or {"token": "canary-token"}}]
    kubeconfig.write_text(yaml.safe_dump(content))


def trusting(pki: Path) -> dict[str, Any]:
    return {"certificate-authority": str(pki / "ca.crt")}


def data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def sent(fake: FakeKubernetes, name: str) -> list[str]:
    return [value for key, value in fake.asked[-1].headers if key.lower() == name]


class TestTheServersCertificate:
    @pytest.mark.parametrize("inline", [False, True])
    def test_is_checked_with_the_authority_of_kubeconfig(
        self, run: Run, kubeconfig: Path, secured: FakeKubernetes, pki: Path, inline: bool
    ) -> None:
        own = {"certificate-authority-data": data(pki / "ca.crt")} if inline else trusting(pki)
        connect_to(kubeconfig, secured, **own)

        assert run("cache", "list").exit_code == 0
        assert sent(secured, "authorization") == ["Bearer canary-token"]

    def test_of_an_unknown_authority_sends_no_token_and_says_what_to_do(
        self, run: Run, kubeconfig: Path, secured: FakeKubernetes
    ) -> None:
        connect_to(kubeconfig, secured)

        result = run("cache", "list")

        assert result.exit_code == 1
        assert "CERTIFICATE_VERIFY_FAILED" in result.stderr
        assert "--kube-ca-file" in result.stderr
        assert not secured.asked

    def test_is_checked_with_helms_authority(
        self, run: Run, kubeconfig: Path, secured: FakeKubernetes, pki: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect_to(kubeconfig, secured)
        monkeypatch.setenv("HELM_KUBECAFILE", str(pki / "ca.crt"))

        assert run("cache", "list").exit_code == 0

    @pytest.mark.parametrize("by_helm", [False, True])
    def test_may_carry_the_name_that_kubeconfig_or_helm_says(
        self, run: Run, kubeconfig: Path, pki: Path, monkeypatch: pytest.MonkeyPatch, by_helm: bool
    ) -> None:
        with api_server(pki, "internal") as fake:
            connect_to(kubeconfig, fake, **trusting(pki))
            assert "CERTIFICATE_VERIFY_FAILED" in run("cache", "list").stderr
            if by_helm:
                monkeypatch.setenv("HELM_KUBETLS_SERVER_NAME", "api.internal")
            else:
                connect_to(kubeconfig, fake, **trusting(pki) | {"tls-server-name": "api.internal"})

            assert run("cache", "list").exit_code == 0

    @pytest.mark.parametrize("by_helm", [False, True])
    def test_is_not_checked_when_the_user_says_so(
        self, run: Run, kubeconfig: Path, secured: FakeKubernetes, monkeypatch: pytest.MonkeyPatch, by_helm: bool
    ) -> None:
        connect_to(kubeconfig, secured, **dict[str, Any]({} if by_helm else {"insecure-skip-tls-verify": True}))
        if by_helm:
            monkeypatch.setenv("HELM_KUBEINSECURE_SKIP_TLS_VERIFY", "true")

        result = run("cache", "list")

        assert result.exit_code == 0
        assert "Warning" not in result.stderr

    def test_is_checked_with_what_no_connection_changes_while_another_is_made(
        self, run: Run, kubeconfig: Path, secured: FakeKubernetes, pki: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        changed: list[list[str]] = []
        monkeypatch.setattr(ssl.SSLContext, "set_alpn_protocols", lambda _, names: changed.append(names))
        connect_to(kubeconfig, secured, **trusting(pki))

        assert run("cache", "list").exit_code == 0
        assert len(changed) == 1


class TestTheUsersCredentials:
    @pytest.mark.parametrize("inline", [False, True])
    def test_may_be_a_certificate(
        self, run: Run, kubeconfig: Path, pki: Path, inline: bool, environment: dict[str, str]
    ) -> None:
        ending = "-data" if inline else ""
        user = {
            f"client-certificate{ending}": data(pki / "jane.crt") if inline else str(pki / "jane.crt"),
            f"client-key{ending}": data(pki / "jane.key") if inline else str(pki / "jane.key"),
        }
        with api_server(pki, clients=True) as fake:
            connect_to(kubeconfig, fake, user, **trusting(pki))
            assert run("cache", "list").exit_code == 0

            connect_to(kubeconfig, fake, **trusting(pki))
            refused = subprocess.run(plugin("cache", "list"), env=environment, capture_output=True, check=False)
            assert refused.returncode == 1

    def test_with_an_encrypted_key_are_refused_and_nobody_is_asked_for_a_password(
        self, run: Run, kubeconfig: Path, pki: Path, tmp_path: Path
    ) -> None:
        key = str(tmp_path / "locked.key")
        openssl(pki, "pkey", "-in", "jane.key", "-aes256", "-passout", "pass:x", "-out", key)
        with api_server(pki, clients=True) as fake:
            connect_to(kubeconfig, fake, {"client-certificate": str(pki / "jane.crt"), "client-key": key})

            assert "its key is encrypted" in run("cache", "list").stderr

    def test_may_come_from_a_program(self, run: Run, kubeconfig: Path, cluster: FakeKubernetes, tmp_path: Path) -> None:
        answer = '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"'
        program = script(tmp_path / "login", f"""echo '{answer}, "status": {{"token": "'$1-$AS'"}}}}'""")
        connect_to(kubeconfig, cluster, {"exec": by(program, args=["of"], env=[{"name": "AS", "value": "jane"}])})

        assert run("cache", "list").exit_code == 0
        assert sent(cluster, "authorization") == ["Bearer of-jane"]

    @pytest.mark.parametrize(
        ("text", "told"),
        [("echo please log in >&2; exit 3", "please log in"), ("echo '{}'", "exec: "), (None, "login")],
    )
    def test_that_a_program_does_not_give_are_named_with_the_program(
        self, run: Run, kubeconfig: Path, cluster: FakeKubernetes, tmp_path: Path, text: str | None, told: str
    ) -> None:
        program = tmp_path / "login" if text is None else script(tmp_path / "login", text)
        connect_to(kubeconfig, cluster, {"exec": by(program)})

        result = run("cache", "list")

        assert result.exit_code == 1
        assert f"the program '{program}', which the context 'test'" in result.stderr
        assert told in result.stderr
        assert "Log in again" in result.stderr
        assert not cluster.asked

    def test_of_helm_need_no_program(
        self, run: Run, kubeconfig: Path, cluster: FakeKubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect_to(kubeconfig, cluster, {"exec": by(tmp_path / "missing")})
        monkeypatch.setenv("HELM_KUBETOKEN", "helms")

        assert run("cache", "list").exit_code == 0
        assert sent(cluster, "authorization") == ["Bearer helms"]

    def test_act_for_another_when_kubeconfig_says_so(
        self, run: Run, kubeconfig: Path, cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect_to(kubeconfig, cluster, {"token": "t", "as": "jane", "as-groups": ["dev", "ops"], "as-uid": "7"})
        run("cache", "list")
        assert sent(cluster, "impersonate-user") == ["jane"]
        assert sent(cluster, "impersonate-group") == ["dev", "ops"]
        assert sent(cluster, "impersonate-uid") == ["7"]

        monkeypatch.setenv("HELM_KUBEASUSER", "joe")
        run("cache", "list")
        assert sent(cluster, "impersonate-user") == ["joe"]
        assert sent(cluster, "impersonate-group") == []


class TestAPod:
    @pytest.fixture(autouse=True)
    def account(
        self, secured: FakeKubernetes, pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
    ) -> Path:
        """Put the test into a pod: the folder of its service account."""
        host, _, port = secured.url.removeprefix("https://").rpartition(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        monkeypatch.setenv("KUBECONFIG", "/nonexistent")
        monkeypatch.setattr(credentials, "SERVICE_ACCOUNT", tmp_path)
        (tmp_path / "ca.crt").write_bytes((pki / "ca.crt").read_bytes())
        (tmp_path / "namespace").write_text("of-the-pod")
        (tmp_path / "token").write_text("of-the-account\n")
        return tmp_path

    def test_uses_its_own_cluster_namespace_and_token(self, run: Run, secured: FakeKubernetes) -> None:
        assert run("cache", "list").exit_code == 0

        assert "/namespaces/of-the-pod/" in secured.asked[-1].path
        assert sent(secured, "authorization") == ["Bearer of-the-account"]

    @pytest.mark.parametrize("missing", ["token", "ca.crt"])
    def test_without_a_service_account_has_no_cluster(self, run: Run, account: Path, missing: str) -> None:
        (account / missing).unlink()

        assert "there is no cluster to ask" in run("cache", "list").stderr


def by(program: Path, **more: Any) -> dict[str, Any]:
    version = "client.authentication.k8s.io/v1"
    return {"apiVersion": version, "command": str(program), "interactiveMode": "Never", **more}


class TestAProxy:
    @pytest.fixture
    def proxy(self) -> Iterator[Proxy]:
        proxy = Proxy()
        yield proxy
        proxy.close()

    @pytest.fixture(autouse=True)
    def _no_proxy_yet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)

    def test_of_kubeconfig_is_used(
        self, run: Run, kubeconfig: Path, secured: FakeKubernetes, pki: Path, proxy: Proxy
    ) -> None:
        connect_to(kubeconfig, secured, **trusting(pki) | {"proxy-url": proxy.url})

        assert run("cache", "list").exit_code == 0
        assert set(proxy.asked) == {secured.url.removeprefix("https://")}

    def test_of_the_environment_is_used_but_for_what_it_leaves_out(
        self,
        run: Run,
        kubeconfig: Path,
        secured: FakeKubernetes,
        pki: Path,
        proxy: Proxy,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        connect_to(kubeconfig, secured, **trusting(pki))
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert run("cache", "list").exit_code == 0
        assert proxy.asked

        proxy.asked.clear()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert run("cache", "list").exit_code == 0
        assert not proxy.asked

    def test_that_is_not_there_is_named_as_the_reason(
        self, run: Run, kubeconfig: Path, secured: FakeKubernetes
    ) -> None:
        connect_to(kubeconfig, secured, **dict[str, Any]({"proxy-url": "http://127.0.0.1:1"}))

        result = run("cache", "list")

        assert result.exit_code == 1
        assert "proxy" in result.stderr


class Proxy:
    """A proxy that leads to wherever it is asked to; `asked` are the addresses."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        handler = type("Handler", (_Tunnel,), {"proxy": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Tunnel(BaseHTTPRequestHandler):
    proxy: Proxy

    def log_message(self, *_: object) -> None:
        """Write nothing."""

    def do_CONNECT(self) -> None:
        self.proxy.asked.append(self.path)
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as beyond:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_copy, args=(beyond, self.connection), daemon=True)
            back.start()
            _copy(self.connection, beyond)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(1 << 16):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)
