"""Plain web servers: one file per address."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sources.interface import Plan, RemoteFile
from llmkube_downloader.sources.selection import checked_path
from llmkube_downloader.transfer.retry import TransientError

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
        if source.files or source.include or source.exclude:
            raise DownloaderError(
                ExitCode.USAGE,
                f"{source.display} is one file, from which nothing can be selected",
                "Leave --file, --include and --exclude out.",
            )
        size, sha256 = self._ask(source)
        path = file_name(source.url)
        return Plan(None, (RemoteFile(path, size, sha256, lambda: open_file(self._client, source.url, path)),))

    def _ask(self, source: Source) -> tuple[int | None, str | None]:
        try:
            response = self._client.open(source.url, "HEAD")
        except DownloaderError as error:
            if isinstance(error, TransientError) or error.code in (ExitCode.POLICY, ExitCode.TLS):
                raise
            # Some servers, and addresses signed for GET alone, refuse this question. The GET decides.
            response = self._client.open(source.url)
        response.close()
        length = response.headers.get("Content-Length", "")
        # Servers that make up the answer to HEAD say 0; no model has that size.
        size = int(length) if length.isdecimal() and int(length) else None
        announced = response.announced
        return (size if announced.size is None else announced.size), announced.sha256


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
