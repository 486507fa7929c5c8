"""Plain web servers: one file per address, and all shards for that of the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.key import is_signed
from llmkube_downloader.sources.interface import Plan, RemoteFile, Span
from llmkube_downloader.sources.selection import checked_path, refuse_selection
from llmkube_downloader.sources.shards import all_shards
from llmkube_downloader.transfer.address import parse_address

if TYPE_CHECKING:
    from llmkube_downloader.key import Source
    from llmkube_downloader.transfer.client import HttpClient
    from llmkube_downloader.transfer.response import Response

# A response whose type says so is a page for people, whatever its status.
_PAGE_TYPE = "text/html"
_NAMELESS = "model"


class HttpOrigin:
    """Fetches the file behind an https or http address."""

    def __init__(self, client: HttpClient, mirror: str | None = None) -> None:
        """Fetch from the address of the source, or from that of a mirror of it."""
        self._client = client
        self._mirror = mirror

    def resolve(self, source: Source) -> Plan:
        """Ask for each file's size and, where the server announces one, its hash."""
        refuse_selection(source)
        names = [file_name(url) for url in _addresses(source.url)]
        addresses = _addresses(self._mirror or source.url)
        if len(addresses) != len(names):
            raise _one_of(self._mirror or source.url, names)
        return Plan(None, tuple(map(self._described, addresses, names)))

    def _described(self, url: str, path: str) -> RemoteFile:
        announced = self._client.describe(url)
        at_origin = HttpFile(self._client, url, path)
        return RemoteFile(path, announced.size, announced.sha256, at_origin.open, announced.validator)


class HttpFile:
    """One file on a web server. Several threads may receive spans of it.

    Where redirects led is remembered, so that the origin is asked once per file and not once per span; when that
    address does not serve any more, as signed ones do after a while, the origin is asked again.
    """

    def __init__(self, client: HttpClient, url: str, path: str) -> None:
        """Receive the file behind a URL, called ``path`` in messages."""
        self._client = client
        self._url = url
        self._path = path
        self._found: tuple[str, bool] | None = None

    def open(self, span: Span) -> Response:
        """Start receiving a span once, refusing a page for people in the place of the file.

        Raises DownloaderError: INTEGRITY, and what HttpClient.open_once raises.
        """
        found = self._found
        try:
            url, public = found or (self._url, False)
            response = self._client.open_once(url, span, only_public=public)
        except DownloaderError as error:
            if found is None or error.code not in (ExitCode.AUTH, ExitCode.NOT_FOUND):
                raise
            response = self._client.open_once(self._url, span)
        self._refuse_page(response)
        self._found = response.address.url, response.public
        return response

    def _refuse_page(self, response: Response) -> None:
        if response.headers.get_content_type() == _PAGE_TYPE and not self._path.endswith((".html", ".htm")):
            response.close()
            raise DownloaderError(
                ExitCode.INTEGRITY,
                f"{response.address.display} answered with a web page instead of {self._path}",
                "Check that the source is the file itself; a login or an error page may be in its place.",
            )


def file_name(url: str) -> str:
    """Return the last part of an address as a file name.

    Raises DownloaderError: POLICY, when it can not be one.
    """
    last = urlsplit(url).path.rpartition("/")[2]
    return checked_path(unquote(last).rpartition("/")[2] or _NAMELESS)


def _addresses(url: str) -> list[str]:
    """Return the addresses of what a URL stands for: the first shard of a GGUF file for all, which lie beside it.

    Raises DownloaderError: POLICY, when it is signed, which the others would have to be each for itself.
    """
    path, mark, query = url.partition("?")
    paths = all_shards(path)
    if len(paths) > 1 and is_signed(url):
        raise DownloaderError(
            ExitCode.POLICY,
            f"{parse_address(url).display} is the first of {len(paths)} shards, and its signature opens no other one",
            "Give an address without a signature, or have all shards mounted and fetch them from file:// or pvc://.",
        )
    return [other + mark + query for other in paths]


def _one_of(mirror: str, names: list[str]) -> DownloaderError:
    return DownloaderError(
        ExitCode.NOT_FOUND,
        f"{parse_address(mirror).display} is not the address of a first of {len(names)} shards",
        f"Give a mirror whose address ends in {names[0]}.",
    )
