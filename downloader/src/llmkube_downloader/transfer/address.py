"""Addresses: where a URL leads, and whether a redirect may lead there."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.transfer.retry import interrupted

_DEFAULT_PORTS = {"https": 443, "http": 80}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class Address:
    """An http or https URL, taken apart once.

    - scheme: ``https`` or ``http``.
    - host: lower case, without brackets.
    - port: given or the scheme's own.
    - target: path and query as the request line takes them.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What must be equal for credentials to be sent: scheme, host and port."""
        return self.scheme, self.host, self.port

    @property
    def origin_url(self) -> str:
        """The same as a user writes it: ``https://host``, with a port that is not the scheme's own."""
        return f"{self.scheme}://{self.host_header}"

    @property
    def url(self) -> str:
        """The whole address. It may hold a signature: never show it."""
        return f"{self.scheme}://{self.host_header}{self.target}"

    @property
    def display(self) -> str:
        """The address without its query, which may hold a signature."""
        return f"{self.scheme}://{self.host_header}{self.target.partition('?')[0]}"

    @property
    def host_header(self) -> str:
        """Host and port as the Host header has them: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True)
class AllowedHttp:
    """The hosts that plain http is allowed to; ``*`` stands for all."""

    hosts: frozenset[str]

    def check(self, address: Address) -> None:
        """Refuse plain http to any other host.

        Raises DownloaderError: POLICY.
        """
        if address.scheme == "https" or "*" in self.hosts or address.host in self.hosts:
            return
        raise DownloaderError(
            ExitCode.POLICY,
            f"{address.display} would be fetched without encryption",
            f"Use https://, or allow it with --allow-http {address.host}.",
        )


def parse_address(url: str) -> Address:
    """Take an http or https URL apart.

    Raises DownloaderError: USAGE, when it is none.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in _DEFAULT_PORTS or not host or "@" in parts.netloc or "\\" in parts.netloc:
        raise DownloaderError(
            ExitCode.USAGE, f"an address has no usable host: {url.partition('?')[0]!r}", "Correct the address."
        )
    # What is escaped stays so; only what a request line can not carry is escaped in addition.
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    return Address(parts.scheme, _ascii_host(host), port or _DEFAULT_PORTS[parts.scheme], target)


def lookup(address: Address) -> list[str]:
    """Return the IP addresses of a host, in the order to try them.

    Raises TransientError: ORIGIN_UNAVAILABLE, when the name can not be resolved.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no host name"
        raise interrupted(f"the name {address.host} can not be resolved ({reason})") from error
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def is_public(ip: str) -> bool:
    """Return whether an IP address is one of the public internet, also when it is wrapped into another one."""
    parsed = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global
    return parsed.is_global


def looks_public(host: str) -> bool:
    """Return whether a host that a proxy will resolve may be public, judged by its name alone."""
    try:
        return is_public(host)
    except ValueError:
        return "." in host and not host.endswith((".local", ".localhost", ".internal", ".svc"))


def _ascii_host(host: str) -> str:
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return host.lower()
