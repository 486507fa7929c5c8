"""The Hugging Face hub and its mirrors: what a repository holds comes from its client library, the bytes do not.

That client neither resumes across processes nor hashes what it wrote, so files are received by our own transfer, from
the address of each file at the commit that the revision stood for when the fetch began.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx2
import huggingface_hub
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RevisionNotFoundError,
)

from llmkube_downloader import __version__
from llmkube_downloader.credentials import hub_endpoint
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sources.http import HttpFile
from llmkube_downloader.sources.interface import Plan, RemoteFile
from llmkube_downloader.sources.selection import checked_path, select
from llmkube_downloader.transfer.address import parse_address
from llmkube_downloader.transfer.client import WAIT_HEADERS, status_failure, wait_of
from llmkube_downloader.transfer.connection import check_redirect, connection_failure
from llmkube_downloader.transfer.retry import interrupted
from llmkube_downloader.transfer.trust import trusted

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

    from llmkube_downloader.key import Source
    from llmkube_downloader.sources.interface import Body, Span
    from llmkube_downloader.transfer.address import Address
    from llmkube_downloader.transfer.client import HttpClient

_CHECK_NAME = "Check the name of the repository, and that the token's account may see it."


class HuggingFaceOrigin:
    """Fetches files of a model repository."""

    def __init__(self, client: HttpClient, endpoint: str | None = None) -> None:
        """Ask the hub of the environment, or another one that has the same repositories."""
        self._client = client
        self._endpoint = endpoint or hub_endpoint()
        self._address = parse_address(self._endpoint)

    def resolve(self, source: Source) -> Plan:
        """Resolve the revision to a commit and list the wanted files, with the sizes and hashes the hub knows."""
        info = self._client.retries.run(lambda: self._ask(source))
        if info.sha is None:
            raise interrupted(f"{self._endpoint} names no commit for {source.display}")
        listed = {sibling.rfilename: sibling for sibling in info.siblings or []}
        wanted = select({path: sibling.size for path, sibling in listed.items()}, source)
        return Plan(info.sha, tuple(self._file(source, info.sha, listed[path]) for path in wanted))

    def _file(self, source: Source, commit: str, sibling: RepoSibling) -> RemoteFile:
        path = checked_path(sibling.rfilename)
        url = f"{self._endpoint}/{source.location}/resolve/{commit}/{quote(path)}"
        sha256 = sibling.lfs.sha256 if sibling.lfs else None
        at_hub = HttpFile(self._client, url, path)
        return RemoteFile(path, sibling.size, sha256, lambda span: self._open(source, at_hub, span))

    def _open(self, source: Source, at_hub: HttpFile, span: Span) -> Body:
        try:
            return at_hub.open(span)
        except DownloaderError as error:
            if error.code is not ExitCode.AUTH or not error.cause.startswith(self._address.display):
                raise
            # Everybody may see what a gated repository holds; it is only the files that are refused.
            raise self._closed(f"{self._endpoint}/{source.location}", "is gated") from error

    def _ask(self, source: Source) -> ModelInfo:
        # The library keeps one session for the whole process and makes it with this factory.
        huggingface_hub.set_client_factory(self._session)
        # Its telemetry costs a request more, and an address more that a network policy has to allow.
        huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
        api = huggingface_hub.HfApi(
            endpoint=self._endpoint,
            # What it says to whom is ours to decide, in _check_request.
            token=False,
            library_name="llmkube-downloader",
            library_version=__version__,
        )
        try:
            # Without it the library waits for ever, whatever its session says.
            timeout = self._client.stall_timeout
            return api.model_info(source.location, revision=source.revision, files_metadata=True, timeout=timeout)
        except HFValidationError as error:
            raise DownloaderError(ExitCode.USAGE, str(error), "Correct the name of the repository.") from error
        except httpx2.HTTPError as error:
            raise self._meaning(error, source) from error
        except (ValueError, KeyError, TypeError) as error:
            raise interrupted(
                f"{self._endpoint} answered with something else than a repository's description"
            ) from error
        finally:
            huggingface_hub.close_session()

    def _session(self) -> httpx2.Client:
        return httpx2.Client(
            follow_redirects=True,
            timeout=self._client.stall_timeout,
            verify=trusted(),
            event_hooks={"request": [self._check_request]},
        )

    def _check_request(self, request: httpx2.Request) -> None:
        """Hold the library to our rules: who may be asked without encryption, where redirects and the token may go."""
        if huggingface_hub.constants.is_offline_mode():
            raise DownloaderError(
                ExitCode.POLICY,
                "HF_HUB_OFFLINE forbids to ask the hub",
                "Unset HF_HUB_OFFLINE where models are fetched.",
            )
        address = parse_address(str(request.url))
        self._client.allowed_http.check(address)
        if address.origin != self._address.origin:
            check_redirect(self._address, address)
        request.headers.pop("Authorization", None)
        if address.origin in self._client.authorizations:
            request.headers["Authorization"] = self._client.authorizations[address.origin]
        self._client.traffic.count()

    def _meaning(self, error: httpx2.HTTPError, source: Source) -> DownloaderError:
        """Return the DownloaderError that stands for what the library raised."""
        if not isinstance(error, HfHubHTTPError):
            return _connection_failure(error, self._address)
        repository, status = f"{self._endpoint}/{source.location}", error.response.status_code
        if isinstance(error, GatedRepoError):
            return self._closed(repository, "is gated")
        if isinstance(error, RevisionNotFoundError):
            revision = source.revision or "main"
            return DownloaderError(
                ExitCode.NOT_FOUND, f"{repository} has no revision {revision!r}", "Name a branch, tag or commit it has."
            )
        if status == httpx2.codes.NOT_FOUND:
            return DownloaderError(
                ExitCode.NOT_FOUND, f"{repository} does not exist, or not for this token", _CHECK_NAME
            )
        if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
            return self._closed(repository, "is private, or does not exist")
        return status_failure(status, self._endpoint, wait_of(*map(error.response.headers.get, WAIT_HEADERS)))

    def _closed(self, repository: str, state: str) -> DownloaderError:
        if self._address.origin in self._client.authorizations:
            return DownloaderError(
                ExitCode.AUTH,
                f"{repository} {state}; the token that was sent does not open it",
                f"Ask for access at {repository} with the account of the token, and check that the token is valid.",
            )
        return DownloaderError(
            ExitCode.AUTH,
            f"{repository} {state}; no token was sent",
            "Check the name; then give a token as HF_TOKEN, in pods by the secret that existingSecret names.",
        )


def _connection_failure(error: Exception, address: Address) -> DownloaderError:
    if isinstance(error, httpx2.ProxyError) and str(error).startswith("5"):
        return interrupted(f"the proxy has no way to {address.display}: {error}")
    if isinstance(error, httpx2.ProxyError):
        return DownloaderError(
            ExitCode.TLS, f"the proxy refuses {address.display}: {error}", "Check HTTPS_PROXY and NO_PROXY."
        )
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return connection_failure(cause, address)
        cause = cause.__cause__ or cause.__context__
    return interrupted(f"no answer from {address.display} ({type(error).__name__})")
