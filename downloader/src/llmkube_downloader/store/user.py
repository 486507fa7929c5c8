"""Saying that a pod uses an entry, which it does before it trusts the entry. A warm start does: mind what is imported.

Who removes an entry writes an intent, then looks for users; who uses one writes a lease, then looks for intents. So one
of the two sees the other, in whatever order they come.
"""

from __future__ import annotations

from errno import EACCES, EPERM, EROFS
from posix import O_CLOEXEC, O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY, close, listdir, mkdir, uname, utime, write
from posix import open as open_file

from llmkube_downloader.light import dumps

INTENT = "intent."
LEASE = "use."

_UNWRITABLE = (EROFS, EACCES, EPERM)
_CREATE = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC


def is_used(root: str, key: str, pod: str) -> bool:
    """Renew the lease of a pod on a key, and return whether that came before anybody's intent to remove its entries.

    Where the volume can not be written nobody learns of the pod, but an intent is seen all the same.

    - pod: the pod's UID.

    Raises OSError: when the volume is in trouble.
    """
    leases = f"{root}/.llmkube/leases"
    try:
        _renew(leases, key, pod)
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
    try:
        return not any(name.startswith(INTENT) for name in listdir(f"{leases}/{key}"))
    except FileNotFoundError:
        return True


def _renew(leases: str, key: str, pod: str) -> None:
    path = f"{leases}/{key}/{LEASE}{pod}"
    try:
        # Without a time of ours, the file server gives its own.
        utime(path)
    except FileNotFoundError:
        _create(leases, key, path, pod)


def _create(leases: str, key: str, path: str, pod: str) -> None:
    record = dumps({"host": uname().nodename, "podUID": pod}) + "\n"
    for directory in (leases.rpartition("/")[0], leases, f"{leases}/{key}"):
        try:
            mkdir(directory, 0o777)
        except FileExistsError:  # noqa: PERF203 - three of them
            continue
    try:
        descriptor = open_file(path, _CREATE, 0o666)
    except FileExistsError:
        return  # another container of the pod was faster
    try:
        write(descriptor, record.encode("ascii"))
    finally:
        close(descriptor)
