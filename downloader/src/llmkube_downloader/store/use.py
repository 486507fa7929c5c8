"""Starting from an entry while others may remove it.

``leases/<key>/use.<pod UID>`` says that a pod uses a key, ``leases/<key>/intent.<nonce>`` that somebody is about to
remove it. Whoever starts writes its lease, then looks for intents, then opens the entry; whoever removes writes its
intent, then looks for leases (see removal.py). So one of the two always sees the other, as long as the directory is
read freshly, which changing it beforehand makes sure of.

This is the way of the full command line; a warm start says the same in user.py.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.disk import NO_SPACE, file_server_now, names_in
from llmkube_downloader.store.user import INTENT, LEASE, begin, finish, keep
from llmkube_downloader.store.volume import check_format

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmkube_downloader.store.layout import Layout

# Directories in the trash that are still to be looked after: condemned.<key>.<nonce of the intent>.<name>
CONDEMNED = "condemned."
# A removal that takes longer from its intent to its rename gives up, so nobody has to wait longer for it.
INTENT_SECONDS = 60.0
_POLL_SECONDS = 0.2
# A lease that a remover takes for forgotten while it is renewed is written again.
_TRIES = 3
_POD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def announce(layout: Layout, key: str, notify: Callable[[str], None]) -> None:
    """Say that this pod uses a key, and return when nobody is about to remove it any more.

    The pod is that of LLMKUBE_POD_UID; without one, and on a volume that can not be written, nothing happens.

    - notify: told what is being waited for.

    Raises DownloaderError: USAGE, when LLMKUBE_POD_UID can be no UID.
    """
    pod = _own_pod()
    if not pod:
        return
    check_pod(pod)
    with suppress(OSError, DownloaderError):
        # What is wrong with the volume is said by who can not do without it.
        check_format(layout)
        for _ in range(_TRIES):
            write_use(layout, key, pod)
            await_removal(layout, key, notify)
            if f"{LEASE}{pod}" in names_in(layout.leases(key)):
                return


def check_pod(pod: str) -> None:
    """Refuse what can be no UID of a pod, because it becomes part of a file's name.

    Raises DownloaderError: USAGE.
    """
    if not _POD.fullmatch(pod):
        raise DownloaderError(
            ExitCode.USAGE, f"{pod!r} is no UID of a pod", "Set LLMKUBE_POD_UID from the field metadata.uid of the pod."
        )


def say_opened(layout: Layout, key: str, entry_name: str) -> None:
    """Say which entry of a key this pod has opened, after announce."""
    if pod := _own_pod():
        finish(str(layout.root), key, pod, entry_name)


def write_use(layout: Layout, key: str, pod: str) -> None:
    """Write the use lease of a pod that is about to open an entry of a key.

    Raises OSError: when the volume can not be written; one that is only full has the lease all the same.
    """
    _written(begin, layout, key, pod)


def renew_use(layout: Layout, key: str, pod: str) -> None:
    """Renew the use lease of a pod, which says what it said before.

    Raises OSError: as write_use does.
    """
    _written(keep, layout, key, pod)


def await_removal(layout: Layout, key: str, notify: Callable[[str], None]) -> None:
    """Return when no removal of a key is under way. What a remover that died moved aside is put back when it is used.

    Raises OSError: when the volume can not be read.
    """
    began, told = monotonic(), False
    while live_intents(layout, key) and monotonic() - began < INTENT_SECONDS:
        if not told:
            notify(f"{key} is being removed; waiting for the end of that")
            told = True
        sleep(_POLL_SECONDS)
    if any(name.startswith(f"{CONDEMNED}{key}.") for name in names_in(layout.trash)):
        from llmkube_downloader.store.condemned import finish_removals

        finish_removals(layout)


def live_intents(layout: Layout, key: str) -> list[str]:
    """Return the names of the intents to remove a key whose writers may live."""
    directory = layout.leases(key)
    with suppress(OSError):
        # Creating a file makes an NFS client forget what it remembers of the directory. It does also where the volume
        # is too full for the file's content.
        file_server_now(directory)
    return [name for name in names_in(directory) if name.startswith(INTENT) and is_live(directory / name)]


def is_live(intent: Path) -> bool:
    """Return whether the writer of an intent may live; when that can not be told, it may."""
    from llmkube_downloader.store.life import Life, life_of

    try:
        return intent.name in names_in(intent.parent) and life_of(intent) is Life.LIVE
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _own_pod() -> str:
    return os.environ.get("LLMKUBE_POD_UID", "")


def _written(write: Callable[[str, str, str], None], layout: Layout, key: str, pod: str) -> None:
    try:
        write(str(layout.root), key, pod)
    except OSError as error:
        if error.errno not in NO_SPACE or f"{LEASE}{pod}" not in names_in(layout.leases(key)):
            raise
