"""Whom the downloader talks to: only trusted servers, with credentials only for those they belong to."""

from __future__ import annotations

import base64
import ssl
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from origin_server import CERTIFICATES, Origin, Reply
from proxy_server import Proxy
from weights import gguf

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.transfer import connection, trust
from llmkube_downloader.transfer.address import is_public, looks_public, parse_address
from llmkube_downloader.transfer.client import wait_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from command_line import Run

MODEL = gguf()
TOKEN = "hf_canary"

pytestmark = pytest.mark.usefixtures("waits")


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    server = Proxy()
    yield server
    server.close()


@pytest.fixture
def private_origin() -> Iterator[Origin]:
    """A second server, on an address that tests take for a private one."""
    server = Origin("127.0.0.2")
    yield server
    server.close()


@pytest.fixture
def public_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take 127.0.0.1 for an address of the public internet, which these tests can not have."""
    monkeypatch.setattr(connection, "is_public", lambda ip: ip == "127.0.0.1")


def test_a_trusted_server_is_fetched_from(run: Run, root: Path, secure_origin: Origin) -> None:
    assert run("fetch", secure_origin.serve("/tiny.gguf", MODEL), "--root", root).code == 0


def test_an_untrusted_server_is_refused_at_once(
    run: Run, root: Path, secure_origin: Origin, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    url = secure_origin.serve("/tiny.gguf", MODEL)
    monkeypatch.delenv("SSL_CERT_FILE")
    done = run("fetch", url, "--root", root)
    assert done.code == 18
    assert "SSL_CERT_FILE" in done.err
    assert waits == []
    assert secure_origin.asked == []


def test_a_private_authority_is_trusted_beside_those_of_the_system(
    run: Run, root: Path, secure_origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = SimpleNamespace(openssl_cafile=str(CERTIFICATES / "ca.pem"), capath=None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: system)
    monkeypatch.setattr(trust, "_context", trust._context.__wrapped__)
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "elsewhere.pem"))
    assert run("fetch", secure_origin.serve("/tiny.gguf", MODEL), "--root", root).code == 0


def test_a_certificate_for_another_host_is_refused(run: Run, root: Path, secure_origin: Origin) -> None:
    url = secure_origin.serve("/tiny.gguf", MODEL).replace("localhost", "127.0.0.1")
    done = run("fetch", url, "--root", root)
    assert done.code == 18
    assert "127.0.0.1" in done.err


def test_a_server_without_encryption_is_no_https_server(run: Run, root: Path, origin: Origin) -> None:
    assert run("fetch", origin.serve("/tiny.gguf", MODEL).replace("http:", "https:"), "--root", root).code == 18


def test_a_redirect_from_https_to_http_is_refused(
    run: Run, root: Path, secure_origin: Origin, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", "*")
    done = run("fetch", secure_origin.redirect("/tiny.gguf", origin.serve("/tiny.gguf", MODEL)), "--root", root)
    assert done.code == 21
    assert origin.asked == []


@pytest.mark.usefixtures("public_loopback")
def test_a_redirect_from_a_public_to_a_private_address_is_refused(
    run: Run, root: Path, origin: Origin, private_origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", "*")
    target = private_origin.serve("/tiny.gguf", MODEL)
    done = run("fetch", origin.redirect("/tiny.gguf", target), "--root", root)
    assert done.code == 21
    assert "not on the public internet" in done.err
    assert private_origin.asked == []
    assert run("fetch", target, "--root", root).code == 0


@pytest.mark.usefixtures("public_loopback")
def test_a_private_origin_may_redirect_to_another_private_one(
    run: Run, root: Path, private_origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", "*")
    private_origin.serve("/blob", MODEL)
    assert run("fetch", private_origin.redirect("/tiny.gguf", "/blob"), "--root", root).code == 0


def test_a_token_goes_to_the_hub_and_never_across_a_redirect(
    run: Run, root: Path, origin: Origin, private_origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", origin.url(""))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", private_origin.host)
    url = origin.redirect("/tiny.gguf", private_origin.serve("/blob", MODEL))
    assert run("fetch", url, "--root", root).code == 0
    assert {asked.headers.get("Authorization") for asked in origin.asked} == {f"Bearer {TOKEN}"}
    assert {asked.headers.get("Authorization") for asked in private_origin.asked} == {None}


def test_a_token_does_not_go_to_another_port_of_the_hub(
    run: Run, root: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert run("fetch", origin.serve("/tiny.gguf", MODEL), "--root", root).code == 0
    assert all("Authorization" not in asked.headers for asked in origin.asked)


def test_https_goes_through_the_proxy_of_the_environment(
    run: Run, root: Path, secure_origin: Origin, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    assert run("fetch", secure_origin.serve("/tiny.gguf", MODEL), "--root", root).code == 0
    assert set(proxy.asked) == {f"CONNECT localhost:{secure_origin.port} HTTP/1.1"}


def test_http_goes_through_the_proxy_of_the_environment(
    run: Run, root: Path, origin: Origin, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.address)
    url = origin.serve("/tiny.gguf", MODEL)
    assert run("fetch", url, "--root", root, "--allow-http", "*").code == 0
    assert proxy.asked == [f"HEAD {url} HTTP/1.1", f"GET {url} HTTP/1.1"]


def test_no_proxy_names_hosts_that_are_asked_directly(
    run: Run, root: Path, secure_origin: Origin, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert run("fetch", secure_origin.serve("/tiny.gguf", MODEL), "--root", root).code == 0
    assert proxy.asked == []


def test_a_proxy_gets_the_password_of_its_address(
    run: Run, root: Path, secure_origin: Origin, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.password = base64.b64encode(b"me:p@ss").decode()
    url = secure_origin.serve("/tiny.gguf", MODEL)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    refused = run("fetch", url, "--root", root)
    assert refused.code == 18
    assert proxy.address in refused.err
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@{proxy.address}")
    assert run("fetch", url, "--root", root).code == 0


def test_a_proxy_of_a_kind_we_do_not_speak_is_named(
    run: Run, root: Path, secure_origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://me:SECRET@proxy.example:1080")
    done = run("fetch", secure_origin.serve("/tiny.gguf", MODEL), "--root", root)
    assert done.code == 18
    assert "socks5://proxy.example" in done.err
    assert "SECRET" not in done.err


@pytest.mark.parametrize("address", ["http://h.example:port", "http://", "http://[::1"])
def test_a_proxy_without_a_usable_address_is_said_so(
    run: Run, root: Path, secure_origin: Origin, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    done = run("fetch", secure_origin.serve("/tiny.gguf", MODEL), "--root", root)
    assert done.code == 18
    assert "HTTPS_PROXY" in done.err


@pytest.mark.usefixtures("public_loopback")
def test_behind_a_proxy_a_redirect_to_a_private_name_is_refused(
    run: Run, root: Path, secure_origin: Origin, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
    monkeypatch.setattr(connection, "looks_public", lambda host: host == "localhost")
    url = secure_origin.redirect("/tiny.gguf", "https://metadata.internal/tiny.gguf")
    assert run("fetch", url, "--root", root).code == 21
    assert not any("metadata" in line for line in proxy.asked)


@pytest.mark.parametrize("ip", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are_public(ip: str) -> None:
    assert is_public(ip)


@pytest.mark.parametrize(
    "ip",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),  # noqa: S104 - judged, not bound
        *("::1", "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
    ],
)
def test_addresses_of_nodes_clusters_and_clouds_are_not_public(ip: str) -> None:
    assert not is_public(ip)


def test_names_are_judged_where_a_proxy_resolves_them() -> None:
    assert looks_public("huggingface.co")
    for host in ("localhost", "kubernetes", "metadata.google.internal", "models.team.svc", "10.0.0.1", "::1"):
        assert not looks_public(host)


@pytest.mark.parametrize("url", ["https://", "https:///x", "https://h:port/x", "https://h\\@evil.example/x", "x://h/"])
def test_an_address_without_a_usable_host_is_a_usage_error(url: str) -> None:
    with pytest.raises(DownloaderError) as refused:
        parse_address(url)
    assert refused.value.code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("url", "target", "host"),
    [
        ("https://H.example", "/", "h.example"),
        ("https://h.example:443/a b?x=ü", "/a%20b?x=%C3%BC", "h.example"),
        ("https://h.example:8443/a%20b", "/a%20b", "h.example:8443"),
        ("https://[::1]:8443/", "/", "[::1]:8443"),
        ("https://bücher.example/", "/", "xn--bcher-kva.example"),
    ],
)
def test_what_is_sent_of_an_address_is_what_a_request_can_carry(url: str, target: str, host: str) -> None:
    assert (parse_address(url).target, parse_address(url).host_header) == (target, host)


def test_an_address_is_shown_without_its_query() -> None:
    assert parse_address("https://h.example/m.gguf?sig=SECRET").display == "https://h.example/m.gguf"


def test_retry_after_is_a_number_or_a_date() -> None:
    assert wait_of("7", None) == 7
    assert wait_of("Thu, 01 Jan 1970 00:00:00 GMT", None) == 0
    for text in ("soon", "", "Thu, 99 Jan 99999 00:00:00 GMT", "9" * 5000):
        assert wait_of(text, None) is None
    assert wait_of(None, None) is None


def test_a_broken_answer_is_an_unavailable_origin(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", Reply(status=999, headers={"X-Long": "x" * 70_000}))
    assert run("fetch", url, "--root", root, "--allow-http", "*").code == 16
