"""Keys as users give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.entry import check_root
from llmkube_downloader.store.layout import KEY, Layout
from llmkube_downloader.store.volume import check_format

if TYPE_CHECKING:
    from pathlib import Path


def opened(root: Path) -> Layout:
    """Return the layout of a cache that is there.

    Raises DownloaderError: NOT_FOUND, when there is no root; USAGE for a newer format.
    """
    layout = Layout(root)
    check_root(layout)
    check_format(layout)
    return layout


def checked_key(key: str) -> str:
    """Return a key, if it is one.

    Raises DownloaderError: USAGE.
    """
    if not KEY.fullmatch(key):
        raise DownloaderError(
            ExitCode.USAGE, f"{key!r} is no key: a key has 16 hexadecimal digits", "Choose one from `list`."
        )
    return key


def no_entry(layout: Layout, key: str) -> DownloaderError:
    """Return the error for a key that has nothing on the volume."""
    return DownloaderError(ExitCode.NOT_FOUND, f"{layout.root} has no entry {key}", "Choose one from `list`.")
