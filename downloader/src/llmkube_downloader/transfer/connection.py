"""One connection to one host: directly to an address that was checked, or through the proxy of the environment."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.transfer.address import is_public, looks_public, lookup
from llmkube_downloader.transfer.retry import TransientError, interrupted
from llmkube_downloader.transfer.trust import trusted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkube_downloader.transfer.address import Address

CONNECT_TIMEOUT_SECONDS = 15.0
_DEFAULT_PROXY_PORT = 3128


@dataclass(frozen=True)
class Connection:
    """An open connection.

    - http: what requests are sent on.
    - sock: what they go through; ``http`` forgets it as soon as a server says that it is going to close.
    - public: whether the host is one of the public internet.
    - proxied: whether requests name the whole address, as a proxy for plain http needs it.
    - extra_headers: what the proxy wants with each request.
    """

    http: http.client.HTTPConnection
    sock: socket.socket
    public: bool
    proxied: bool
    extra_headers: Mapping[str, str]


@dataclass(frozen=True)
class _Proxy:
    host: str
    port: int
    headers: Mapping[str, str]


def connect(address: Address, timeout: float, *, only_public: bool) -> Connection:
    """Connect to an address; nothing may then be silent for longer than ``timeout`` seconds.

    Raises DownloaderError: POLICY, when only public addresses are allowed and the host has another one; TLS.
    Raises TransientError: ORIGIN_UNAVAILABLE.
    """
    proxy = _proxy_for(address)
    try:
        if proxy is None:
            return _connect_directly(address, timeout, only_public=only_public)
        return _connect_through(proxy, address, timeout, only_public=only_public)
    except (OSError, http.client.HTTPException) as error:
        raise connection_failure(error, address) from error


def check_redirect(before: Address, after: Address) -> None:
    """Refuse a redirect from a public to another address, for clients that make their connections themselves.

    Raises DownloaderError: POLICY.
    """
    if any(map(is_public, lookup(before))) and not all(map(is_public, lookup(after))):
        raise _refused(after)


def connection_failure(error: Exception, address: Address) -> DownloaderError:
    """Return the DownloaderError that stands for trouble on the way to an address."""
    if isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        reason = getattr(error, "verify_message", "") or error.reason or str(error)
        return DownloaderError(
            ExitCode.TLS,
            f"no trusted connection to {address.host}: {reason}",
            "Check the host name; for a private authority mount its certificates and set SSL_CERT_FILE.",
        )
    if isinstance(error, TimeoutError):
        return interrupted(f"{address.host} did not answer in time")
    return interrupted(f"no connection to {address.host} ({getattr(error, 'strerror', None) or type(error).__name__})")


def _connect_directly(address: Address, timeout: float, *, only_public: bool) -> Connection:
    addresses = lookup(address)
    public = [is_public(ip) for ip in addresses]
    if only_public and not all(public):
        raise _refused(address)
    # Connecting to the addresses just checked leaves a name no chance to resolve to another one meanwhile.
    sock = _wrap(_first_to_answer(addresses, address.port, timeout), address)
    return Connection(_speak_http(sock, address), sock, any(public), proxied=False, extra_headers={})


def _connect_through(proxy: _Proxy, address: Address, timeout: float, *, only_public: bool) -> Connection:
    public = looks_public(address.host)
    if only_public and not public:
        raise _refused(address)
    plain = _first_to_answer([proxy.host], proxy.port, timeout)
    if address.scheme == "http":
        return Connection(_speak_http(plain, address), plain, public, proxied=True, extra_headers=proxy.headers)
    _tunnel(plain, proxy, address)
    sock = _wrap(plain, address)
    return Connection(_speak_http(sock, address), sock, public, proxied=False, extra_headers={})


def _speak_http(sock: socket.socket, address: Address) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(address.host, address.port)
    connection.sock = sock
    # It would connect again by itself: without encryption, and to an address that nobody checked.
    connection.auto_open = 0
    return connection


def _first_to_answer(hosts: list[str], port: int, timeout: float) -> socket.socket:
    failure: OSError | None = None
    for host in hosts:
        try:
            connected = socket.create_connection((host, port), timeout=min(timeout, CONNECT_TIMEOUT_SECONDS))
        except OSError as error:
            failure = error
            continue
        connected.settimeout(timeout)
        return connected
    raise failure or OSError("the name has no address")


def _wrap(plain: socket.socket, address: Address) -> socket.socket:
    if address.scheme == "http":
        return plain
    try:
        return trusted().wrap_socket(plain, server_hostname=address.host)
    except BaseException:
        plain.close()
        raise


def _tunnel(plain: socket.socket, proxy: _Proxy, address: Address) -> None:
    """Ask a proxy to pass bytes on to an address unseen.

    Raises DownloaderError: TLS, when the proxy refuses.
    Raises TransientError: ORIGIN_UNAVAILABLE, when it can not reach the address.
    """
    target = f"{address.host_header.removesuffix(f':{address.port}')}:{address.port}"
    lines = [
        f"CONNECT {target} HTTP/1.1",
        f"Host: {target}",
        *(f"{name}: {proxy.headers[name]}" for name in proxy.headers),
    ]
    plain.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    with http.client.HTTPResponse(plain, method="CONNECT") as response:
        response.begin()
    if response.status == http.client.OK:
        return
    plain.close()
    cause = f"the proxy {proxy.host}:{proxy.port} answered {response.status} for {target}"
    if response.status >= http.client.INTERNAL_SERVER_ERROR:
        raise TransientError(ExitCode.ORIGIN_UNAVAILABLE, cause, "Check the proxy and the origin, then start again.")
    raise DownloaderError(
        ExitCode.TLS, cause, "Check HTTPS_PROXY and its user and password, or name the host in NO_PROXY."
    )


def _proxy_for(address: Address) -> _Proxy | None:
    url = getproxies().get(address.scheme)
    if not url or proxy_bypass(f"{address.host}:{address.port}"):
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or _DEFAULT_PROXY_PORT
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme != "http" or not parts.hostname:
        raise DownloaderError(
            ExitCode.TLS,
            f"the proxy for {address.scheme} is given as {parts.scheme or '?'}://{parts.hostname or '?'}",
            f"Give {address.scheme.upper()}_PROXY as http://host:port.",
        )
    headers = {}
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode("ascii")
    return _Proxy(parts.hostname, port, headers)


def _refused(address: Address) -> DownloaderError:
    return DownloaderError(
        ExitCode.POLICY,
        f"a public origin redirects to {address.display}, which is not on the public internet",
        "Give the final address itself as the source if it is meant.",
    )
