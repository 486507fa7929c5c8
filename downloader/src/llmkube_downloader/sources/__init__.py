"""The kinds of places that models come from: one module each, behind one interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode

if TYPE_CHECKING:
    from llmkube_downloader.key import Source
    from llmkube_downloader.sources.interface import Origin
    from llmkube_downloader.transfer.client import HttpClient

FETCHED_SCHEMES = ("https", "http", "hf", "file", "pvc")


def origin_of(source: Source, client: HttpClient) -> Origin:
    """Return the origin that a source's scheme names. Only its module is imported.

    Raises DownloaderError: USAGE, when this version does not fetch the scheme.
    """
    check_scheme(source)
    if source.scheme == "hf":
        from llmkube_downloader.sources.huggingface import HuggingFaceOrigin

        return HuggingFaceOrigin(client)
    if source.scheme == "file":
        from llmkube_downloader.sources.file import FileOrigin

        return FileOrigin()
    if source.scheme == "pvc":
        from llmkube_downloader.sources.pvc import PvcOrigin

        return PvcOrigin()
    from llmkube_downloader.sources.http import HttpOrigin

    return HttpOrigin(client)


def check_scheme(source: Source) -> None:
    """Refuse a source whose scheme this version knows how to name, but not how to fetch."""
    if source.scheme not in FETCHED_SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in FETCHED_SCHEMES)
        raise DownloaderError(
            ExitCode.USAGE, f"this version does not fetch {source.scheme}:// sources", f"Use one of {known}."
        )
