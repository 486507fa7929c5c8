"""Plain web servers: one file per address."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sources.interface import Plan, RemoteFile
from llmkube_downloader.sources.selection import checked_path, refuse_selection

if TYPE_CHECKING:
    from llmkube_downloader.key import Source
    from llmkube_downloader.transfer.client import HttpClient, Response

# A response whose type says so is a page for people, whatever its status.
_PAGE_TYPE = "text/html"
_NAMELESS = "model"


class HttpOrigin:
    """Fetches the file behind an https or http address."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    def resolve(self, source: Source) -> Plan:
        """Ask for the file's size and, where the server announces one, its hash."""
        refuse_selection(source)
        announced = self._client.describe(source.url)
        path = file_name(source.url)
        remote = RemoteFile(path, announced.size, announced.sha256, lambda: open_file(self._client, source.url, path))
        return Plan(None, (remote,))


def open_file(client: HttpClient, url: str, path: str) -> Response:
    """Start receiving a file once, refusing a page for people in its place.

    Raises DownloaderError: INTEGRITY, and what HttpClient.open_once raises.
    """
    response = client.open_once(url)
    if response.headers.get_content_type() == _PAGE_TYPE and not path.endswith((".html", ".htm")):
        response.close()
        raise DownloaderError(
            ExitCode.INTEGRITY,
            f"{response.address.display} answered with a web page instead of {path}",
            "Check that the source is the file itself; a login or an error page may be in its place.",
        )
    return response


def file_name(url: str) -> str:
    """Return the last part of an address as a file name.

    Raises DownloaderError: POLICY, when it can not be one.
    """
    last = urlsplit(url).path.rpartition("/")[2]
    return checked_path(unquote(last).rpartition("/")[2] or _NAMELESS)
