"""What the plugin has to know of a source: enough not to publish its credentials. The rest is the downloader's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from llmkube_plugin.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SIGNATURES = {"x-amz-signature", "x-goog-signature", "signature", "sig"}


@dataclass(frozen=True)
class Selection:
    """Which part of a source is wanted, as options of `llmkube-downloader fetch`."""

    revision: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    sha256: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """Return the options for the downloader's command line."""
        found = [f"--revision={self.revision}"] if self.revision else []
        for name, values in (("include", self.include), ("exclude", self.exclude), ("file", self.files)):
            found += [f"--{name}={value}" for value in values]
        return found + [f"--sha256={value}" for value in self.sha256]


def is_source(text: str) -> bool:
    """Return whether a text names a source (`hf://...`) rather than a release."""
    return "://" in text


def short_names(sources: Sequence[str]) -> list[str]:
    """Return a short name for each source: the end of its path, or the whole source where two would be the same."""
    short = [source.partition("?")[0].rstrip("/").rpartition("/")[2] or source for source in sources]
    return [name if short.count(name) == 1 else source for name, source in zip(short, sources, strict=True)]


def public_source(source: str) -> str:
    """Return a source as it may be shown: without the query of a signed URL.

    Raises PluginError for a user or password in it, because everyone who may read Jobs would read it too.
    """
    try:
        parts = urlsplit(source)
        names = {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    except ValueError as error:
        raise PluginError(
            f"{source!r} is no source: {error}", "Write it like hf://org/repo or https://host/file.gguf."
        ) from error
    if "@" in parts.netloc:
        raise PluginError(
            f"the source {parts.scheme}://...@{parts.netloc.rpartition('@')[2]}{parts.path} holds credentials",
            "Put them into a Secret, name it in the release's model.existingSecret, and preload the release.",
        )
    return source.partition("?")[0] if names & _SIGNATURES else source
