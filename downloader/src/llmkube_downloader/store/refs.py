"""References: which generation of a key new pods use. They are only ever added, so nobody reads half of one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llmkube_downloader.store.disk import create_exclusively, names_in, storage_errors, sync_directory

if TYPE_CHECKING:
    from llmkube_downloader.store.layout import Layout


def refer(layout: Layout, key: str, entry_name: str) -> None:
    """Make an entry the one that is used for its key from now on.

    Raises DownloaderError: as storage_errors does.
    """
    directory = layout.refs(key)
    with storage_errors(f"referring to {entry_name} in {directory}"):
        directory.mkdir(parents=True, exist_ok=True)
        number = max((_number(name) for name in names_in(directory)), default=0)
        while True:
            number += 1
            try:
                os.close(create_exclusively(directory / f"{number:08}-{entry_name}"))
            except FileExistsError:
                continue
            break
        sync_directory(directory)
        sync_directory(directory.parent)


def _number(name: str) -> int:
    number = name.partition("-")[0]
    return int(number) if number.isdecimal() else 0
