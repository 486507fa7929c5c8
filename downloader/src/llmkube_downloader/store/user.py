"""Saying that a pod uses an entry, which it does before it trusts the entry. A warm start does: mind what is imported.

Who removes an entry writes an intent, then looks for users; who uses one writes a lease, then looks for intents. So one
of the two sees the other, in whatever order they come (see removal.py).
"""

from __future__ import annotations

from errno import EACCES, EPERM, EROFS
from posix import (
    O_CLOEXEC,
    O_CREAT,
    O_EXCL,
    O_NOFOLLOW,
    O_RDWR,
    close,
    fstat,
    listdir,
    mkdir,
    pwrite,
    read,
    uname,
    unlink,
    urandom,
)
from posix import open as open_file

from llmkube_downloader.light import dumps

INTENT = "intent."
LEASE = "use."
# More than any record has.
RECORD_BYTES = 4096

_UNWRITABLE = (EROFS, EACCES, EPERM)
_OPEN = O_RDWR | O_NOFOLLOW | O_CLOEXEC
_CREATE = _OPEN | O_CREAT | O_EXCL


def is_used(root: str, key: str, pod: str) -> bool:
    """Renew the lease of a pod on a key, and return whether it is there before anybody intends to remove the key.

    Where the volume can not be written nobody learns of the pod, but an intent is seen all the same.

    - pod: the pod's UID.

    Raises OSError: when the volume is in trouble.
    """
    leases = f"{root}/.llmkube/leases/{key}"
    try:
        renew(root, key, pod)
        _refresh(leases)
        written = {LEASE + pod}
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        written = set()
    try:
        names = listdir(leases)
    except FileNotFoundError:
        names = []
    return written.issubset(names) and not any(name.startswith(INTENT) for name in names)


def renew(root: str, key: str, pod: str) -> None:
    """Write the use lease of a pod on a key, or renew it: it counts for 7 days after this.

    - pod: the pod's UID.

    Raises OSError: when the volume can not be written. A full volume may have the lease all the same, as an empty file.
    """
    path = f"{root}/.llmkube/leases/{key}/{LEASE}{pod}"
    try:
        descriptor, since = open_file(path, _OPEN), 0.0
    except FileNotFoundError:
        _make_directories(root, key)
        try:
            descriptor = open_file(path, _CREATE, 0o666)
            # What the file server says of a file that it has just created is its time.
            since = fstat(descriptor).st_mtime
        except FileExistsError:
            # Another container of the pod was faster.
            descriptor, since = open_file(path, _OPEN), 0.0
    try:
        # Writing the same again gives the file the time of the file server, which setting its time does not everywhere.
        # A record that its writer had no time or space for may be of any age.
        pwrite(descriptor, read(descriptor, RECORD_BYTES) or _record(pod, since), 0)
    finally:
        close(descriptor)


def _record(pod: str, since: float) -> bytes:
    return f"{dumps({'host': uname().nodename, 'podUID': pod, 'since': int(since)})}\n".encode("ascii")


def _make_directories(root: str, key: str) -> None:
    state = f"{root}/.llmkube"
    for directory in (state, f"{state}/leases", f"{state}/leases/{key}"):
        try:
            mkdir(directory, 0o777)
        except FileExistsError:  # noqa: PERF203 - three of them
            continue


def _refresh(directory: str) -> None:
    """Change a directory, which makes an NFS client forget what it remembers of it."""
    path = f"{directory}/.probe.{urandom(16).hex()}"
    close(open_file(path, _CREATE, 0o666))
    unlink(path)
