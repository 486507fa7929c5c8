"""Requests: redirects followed by hand, credentials kept at their origin, answers judged."""

from __future__ import annotations

import email.utils
import http.client
import re
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from llmkube_downloader import __version__
from llmkube_downloader.credentials import closed
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sources.interface import Span
from llmkube_downloader.transfer.address import Address, AllowedHttp, parse_address
from llmkube_downloader.transfer.connection import connect, connection_failure
from llmkube_downloader.transfer.response import Pool, Response
from llmkube_downloader.transfer.retry import Retries, TransientError, changed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmkube_downloader.transfer.connection import Connection

WHOLE = Span()
NOTHING: Mapping[str, str] = {}

_MAX_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_CLOSED = (401, 403)
_PASSING = (408, 425, 500, 502, 503, 504)
# Origins send it with every answer; only with nothing remaining does it ask to wait.
_RATE_LIMIT = re.compile(r"\br=0\b.*\bt=(?P<seconds>[0-9]{1,6})\b")
WAIT_HEADERS = ("Retry-After", "RateLimit")
# How a server ends a connection that it no longer wants to keep; the request on it was not looked at.
_GONE = (
    http.client.RemoteDisconnected,
    BrokenPipeError,
    ConnectionResetError,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
)
_SHA256 = re.compile(r'"?(?:sha256:)?([0-9a-f]{64})"?')


@dataclass
class Traffic:
    """What was asked of the network, for the report. Several threads count."""

    requests: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self) -> None:
        """Count one request."""
        with self._lock:
            self.requests += 1


@dataclass(frozen=True)
class Announced:
    """What an origin says about a file: its bytes, its SHA-256 and its strong ETag, None where it does not say."""

    size: int | None = None
    sha256: str | None = None
    validator: str | None = None


@dataclass
class HttpClient:
    """Asks addresses for files.

    - allowed_http: the hosts that plain http is allowed to.
    - retries: how patiently a request is tried.
    - stall_timeout: seconds of silence after which a connection counts as broken.
    - authorizations: what the header Authorization says to each origin that there are credentials for.
    - traffic: counts the requests.
    - pool: connections that wait for their next request.
    """

    allowed_http: AllowedHttp
    retries: Retries
    stall_timeout: float
    authorizations: dict[tuple[str, str, int], str] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    pool: Pool = field(default_factory=Pool)

    def describe(self, url: str) -> Announced:
        """Return what is said about the file behind a URL, without receiving it.

        Raises DownloaderError: as ``open_once`` does.
        """
        return self.retries.run(lambda: self._describe_once(url))

    def open_once(self, url: str, span: Span = WHOLE, *, only_public: bool = False) -> Response:
        """Return the first answer with success behind all redirects of a URL. It does not try again.

        - span: what of the file is wanted; the answer may be the whole file all the same.
        - only_public: whether a host that is not one of the public internet is refused.

        Raises DownloaderError: AUTH, NOT_FOUND, ORIGIN_UNAVAILABLE, RATE_LIMITED, TLS or POLICY.
        """
        for response in self._hops("GET", url, _range_headers(span), only_public=only_public):
            last = response
        self._judge(last)
        return last

    def _describe_once(self, url: str) -> Announced:
        try:
            return self._described(self._hops("HEAD", url))
        except TransientError:
            raise
        except DownloaderError as error:
            if error.code in (ExitCode.POLICY, ExitCode.TLS):
                raise
        # Some servers, and addresses signed for GET alone, refuse to be asked with HEAD. A GET decides.
        return self._described(self._hops("GET", url))

    def _described(self, hops: Iterator[Response]) -> Announced:
        announced = Announced()
        for response in hops:
            response.close()
            announced = _announced(response, announced)
            if announced.sha256 and announced.size is not None:
                # All is said, and the address that follows may be signed for one use.
                return announced
        self._judge(response)
        size = announced.size if announced.size is not None else _content_length(response)
        return Announced(size, announced.sha256, response.validator)

    def _judge(self, response: Response) -> None:
        """Raise what an answer other than success means."""
        if response.status in _CLOSED:
            response.close()
            raise closed(response.address, response.status, self.authorizations)
        _judge(response)

    def _hops(
        self, method: str, url: str, headers: Mapping[str, str] = NOTHING, *, only_public: bool = False
    ) -> Iterator[Response]:
        """Yield the answer of every address from the first one to the one that does not redirect any more."""
        address, public = parse_address(url), only_public
        for _ in range(_MAX_REDIRECTS + 1):
            self.allowed_http.check(address)
            response = self._ask(method, address, headers, only_public=public)
            public = public or response.public
            yield response
            if response.status not in _REDIRECTS:
                return
            response.close()
            url = urljoin(url, response.headers.get("Location", ""))
            address = _redirected(address, url)
        raise DownloaderError(
            ExitCode.ORIGIN_UNAVAILABLE,
            f"more than {_MAX_REDIRECTS} redirects, the last to {address.display}",
            "Check the address; the origin may want a login.",
        )

    def _ask(self, method: str, address: Address, headers: Mapping[str, str], *, only_public: bool) -> Response:
        self.traffic.count()
        try:
            kept = self.pool.take(address, only_public=only_public)
            if kept is not None:
                with suppress(*_GONE):
                    return self._send(kept, method, address, headers)
            connection = connect(address, self.stall_timeout, only_public=only_public)
            return self._send(connection, method, address, headers)
        except (OSError, http.client.HTTPException) as error:
            raise connection_failure(error, address) from error

    def _send(self, connection: Connection, method: str, address: Address, headers: Mapping[str, str]) -> Response:
        target = address.scheme + "://" + address.host_header + address.target if connection.proxied else address.target
        try:
            connection.http.request(
                method, target, headers={**self._headers(address), **headers, **connection.extra_headers}
            )
            return Response(connection.http.getresponse(), connection, address, self.pool)
        except BaseException:
            connection.http.close()
            raise

    def _headers(self, address: Address) -> dict[str, str]:
        headers = {
            "Host": address.host_header,
            "User-Agent": f"llmkube-downloader/{__version__}",
            "Accept": "*/*",
            # What is compressed on the way has neither the size nor the hash that was announced.
            "Accept-Encoding": "identity",
        }
        if address.origin in self.authorizations:
            headers["Authorization"] = self.authorizations[address.origin]
        return headers


def _redirected(before: Address, url: str) -> Address:
    scheme = urlsplit(url).scheme
    if scheme == "https" or scheme == before.scheme:
        return parse_address(url)
    raise DownloaderError(
        ExitCode.POLICY,
        f"{before.display} redirects to an address that begins with {scheme}://",
        "Ask the origin's owner to redirect to https, or give the final address as the source.",
    )


def _range_headers(span: Span) -> Mapping[str, str]:
    if not span.start and span.end is None:
        return NOTHING
    headers = {"Range": f"bytes={span.start}-{'' if span.end is None else span.end - 1}"}
    return {**headers, "If-Range": span.validator} if span.validator else headers


def _content_length(response: Response) -> int | None:
    """Return the size that headers name. Servers that make up the answer to HEAD say 0, which no model has."""
    return _number(response.headers.get("Content-Length")) or None


def _number(text: str | None) -> int | None:
    """Return a size from a header; None for what is none, also when it is absurd."""
    return int(text) if text and re.fullmatch("[0-9]{1,18}", text) else None


def _announced(response: Response, before: Announced) -> Announced:
    """Collect what the Hugging Face hub and its mirrors say of a large file; the first to say it counts."""
    match = _SHA256.fullmatch(response.headers.get("X-Linked-Etag", ""))
    if before.sha256 or match is None:
        return before
    return Announced(_number(response.headers.get("X-Linked-Size")), match[1])


def _judge(response: Response) -> None:
    """Raise what an answer means that neither succeeds nor asks for credentials."""
    status = response.status
    if status in (http.client.OK, http.client.PARTIAL_CONTENT):
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            response.close()
            raise DownloaderError(
                ExitCode.INTEGRITY,
                f"{response.address.display} is sent compressed although it was asked for as it is",
                "Fetch it from an origin or through a proxy that leaves the bytes alone.",
            )
        return
    response.close()
    raise status_failure(status, response.address.display, wait_of(*map(response.headers.get, WAIT_HEADERS)))


def status_failure(status: int, what: str, wait: float | None = None) -> DownloaderError:
    """Return the DownloaderError that stands for an HTTP status."""
    cause = f"{what} answered {status}"
    if status == http.client.PROXY_AUTHENTICATION_REQUIRED:
        return DownloaderError(ExitCode.TLS, cause, "Give the proxy's user and password in HTTP_PROXY.")
    if status in (404, 410):
        return DownloaderError(ExitCode.NOT_FOUND, cause, "Check the spelling of the source.")
    if status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
        return changed(f"{what} has less bytes than it announced")
    if status == http.client.TOO_MANY_REQUESTS:
        when = f", asking to wait {wait:.0f} s" if wait is not None else ""
        return TransientError(
            ExitCode.RATE_LIMITED, cause + when, "Start again later, or use a token with a higher limit.", wait
        )
    if status in _PASSING:
        return TransientError(ExitCode.ORIGIN_UNAVAILABLE, cause, "Check the origin's status, then start again.", wait)
    return DownloaderError(ExitCode.ORIGIN_UNAVAILABLE, cause, "Open the address by other means to see what it wants.")


def wait_of(retry_after: str | None, rate_limit: str | None) -> float | None:
    """Return the seconds that an answer asks to wait by its Retry-After header, or else by its RateLimit header."""
    seconds = _seconds_to_wait(retry_after)
    if seconds is None and (match := _RATE_LIMIT.search(rate_limit or "")):
        return float(match["seconds"])
    return seconds


def _seconds_to_wait(text: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, which holds a number or a date."""
    if (seconds := _number(text)) is not None:
        return float(seconds)
    try:
        date = email.utils.parsedate_to_datetime(text or "")
    except ValueError:
        return None
    # The only comparison of our clock with another one; a wrong one costs a retry, never a byte.
    return max(0.0, date.timestamp() - time.time())
