"""How an API server is reached, and the connections to it: all that is sent to a cluster goes through here."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import ssl
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.util.ssl_ import ALPN_PROTOCOLS, create_urllib3_context

from llmkube_plugin import __version__
from llmkube_plugin.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

Pem = str | Path  # certificates or a key as text, or the file that holds them

_CONNECT_SECONDS = 10
_CONNECTIONS = 32  # that are kept for the next request; more are made where more threads ask at once
_MEMORY = "/dev/shm"  # noqa: S108 # only for as long as OpenSSL reads it, and under a name that nobody can know


def _nobody() -> str | None:
    return None


@dataclass(frozen=True)
class Server:
    """Where an API server is, how it proves that it is the one, and how its user proves who that is.

    `name` is the one in the server's certificate, where it is not the one in `host`. `proxy` is None where the
    environment says whether there is one. `authorization` is asked before every request: a token may have been renewed.
    """

    host: str
    authority: Pem | None = None
    certificate: Pem | None = None
    key: Pem | None = None
    verified: bool = True
    name: str | None = None
    proxy: str | None = None
    authorization: Callable[[], str | None] = field(default=_nobody, compare=False)


class Transport:
    """Sends requests to a server, with `headers` added to each. Any number of threads may send at once."""

    def __init__(self, server: Server, headers: Iterable[tuple[str, str]] = ()) -> None:
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # retries are no news; the last failure is reported
        if not server.verified:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the user has asked for it
        self.host = server.host
        self._authorization = server.authorization
        self._headers = (("User-Agent", f"helm-llmkube/{__version__}"), *headers)
        self._pool = _pool(server)

    def send(
        self, method: str, path: str, query: Sequence[tuple[str, str]], body: Any, seconds: float | None
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and return the answer, whose body is still to be read.

        `seconds` is how long the server may be silent, None for ever. Raises urllib3's HTTPError or an OSError.
        """
        headers = urllib3.HTTPHeaderDict({"Accept": "application/json, */*"})
        if body is not None:
            headers.add("Content-Type", "application/json")
        if authorization := self._authorization():
            headers.add("Authorization", authorization)
        for name, value in self._headers:
            headers.add(name, value)
        asked = urlencode(query, quote_via=quote, safe="/")
        return self._pool.request(
            method,
            f"{self.host}{path}?{asked}" if asked else f"{self.host}{path}",
            body=None if body is None else json.dumps(body),
            headers=headers,
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=seconds),
            preload_content=False,
        )


def _pool(server: Server) -> urllib3.PoolManager:
    options: dict[str, Any] = {"maxsize": _CONNECTIONS, "socket_options": keep_alive()}
    if server.host.startswith("https"):
        options["ssl_context"] = _tls(server)
    if server.name:
        options["server_hostname"] = server.name
    proxy = _proxy(server)
    if not proxy:
        return urllib3.PoolManager(**options)
    try:
        # A proxy that speaks TLS itself is held to the same authority as the server, as kubectl does it.
        return urllib3.ProxyManager(proxy, proxy_ssl_context=options.get("ssl_context"), **options)
    except urllib3.exceptions.HTTPError as error:
        raise PluginError(
            f"the proxy on the way to the API server {server.host} can not be used: {error}",
            "Name one that begins with http:// or https:// in kubeconfig (proxy-url) or HTTPS_PROXY.",
        ) from error


def keep_alive() -> list[tuple[int, int, int]]:
    """Return the options of a socket that is asked after 30 silent seconds whether anybody is there, as kubectl asks.

    Without them a proxy between drops the connection of a watch, and neither end hears of it.
    """
    idle = "TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE"  # Linux, macOS
    wanted = {idle: 30, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 9}
    known = {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}
    return [
        *HTTPConnection.default_socket_options,
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        *((socket.IPPROTO_TCP, option, value) for option, value in known.items()),
    ]


def _tls(server: Server) -> ssl.SSLContext:
    """Return whom to trust and who we are, for all connections: a system's authorities take a while to read."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if server.verified else ssl.CERT_NONE)
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    # urllib3 does so again for each connection, and frees what another thread's connection may be about to read.
    context.set_alpn_protocols = lambda _: None  # type: ignore[method-assign, assignment]
    if server.verified:
        with _naming("certificate authority", server.authority, server):
            _trust(context, server.authority)
    if server.certificate:
        with (
            _naming("client certificate", server.certificate, server),
            _file(server.certificate) as certificate,
            _file(server.key or server.certificate) as key,
        ):
            context.load_cert_chain(certificate, key, _no_password)
    return context


@contextlib.contextmanager
def _naming(what: str, pem: Pem | None, server: Server) -> Iterator[None]:
    """Say, of an error in here, what can not be used."""
    try:
        yield
    except (OSError, ValueError) as error:
        where = f" {pem}" if isinstance(pem, Path) else ""
        raise PluginError(
            f"the {what}{where} for the API server {server.host} can not be used: {error}",
            "Correct kubeconfig or --kube-ca-file, or choose another context with --kube-context.",
        ) from error


def _trust(context: ssl.SSLContext, authority: Pem | None) -> None:
    if authority is None:
        context.load_default_certs()
    elif isinstance(authority, Path):
        context.load_verify_locations(cafile=authority)
    else:
        context.load_verify_locations(cadata=authority)


def _no_password() -> str:
    raise ValueError("its key is encrypted, and nobody is asked for a password")


@contextlib.contextmanager
def _file(pem: Pem) -> Iterator[str | Path]:
    """Yield a file with what OpenSSL reads from files only; a key that comes as text is in one for that moment."""
    if not isinstance(pem, str):
        yield pem
        return
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile("w", encoding="utf-8", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as file:
        file.write(pem)
        file.flush()
        yield file.name


def _proxy(server: Server) -> str | None:
    """Return the proxy on the way to a server, None without one."""
    environment = _environment_proxies()
    proxy = environment_proxy(server.host, environment) if server.proxy is None else server.proxy
    return None if not proxy or is_beside_proxy(server.host, environment.get("no", "")) else proxy


def environment_proxy(host: str, proxies: Mapping[str, str] | None = None) -> str | None:
    """Return the proxy that the environment names for a server."""
    known = _environment_proxies() if proxies is None else proxies
    return known.get(urlsplit(host).scheme) or known.get("all")


def _environment_proxies() -> Mapping[str, str]:
    """Return the proxies of the environment, on macOS of its settings, by scheme; `no` is whom to reach without one."""
    if sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return {}
    from urllib.request import getproxies  # takes as long to import as a request takes

    return getproxies()


def is_beside_proxy(host: str, exceptions: str) -> bool:
    """Return whether NO_PROXY has a server among its exceptions: by name, domain, network, or *."""
    parts = urlsplit(host)
    names = (parts.hostname or "", parts.netloc.lower())
    for each in filter(None, (each.strip().lower() for each in exceptions.split(","))):
        if each == "*" or _is_within(names[0], each):
            return True
        domain = each.lstrip(".")
        if any(name == domain or name.endswith(f".{domain}") for name in names):
            return True
    return False


def _is_within(host: str, network: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
