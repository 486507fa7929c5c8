"""Saying that a pod uses an entry, which it does before it trusts the entry. A warm start does: mind what is imported.

Who removes an entry writes an intent, then looks for users; who uses one writes a lease, then looks for intents. So one
of the two sees the other, in whatever order they come (see removal.py).

A lease first stands for every entry of its key, because nobody knows which one the pod is about to open, and names
those that it opened after that: so generations that no pod has open can go while others are used.
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

from llmkube_downloader.light import dumps, loads

TYPE_CHECKING = False  # typing itself takes too long to import
if TYPE_CHECKING:
    from typing import Any

INTENT = "intent."
LEASE = "use."
# Every record has this length, so that nobody reads one that is half old and half new.
RECORD_BYTES = 1024
# A pod that opened more than fit into a record may have any of them open.
_MOST_ENTRIES = 16

_UNWRITABLE = (EROFS, EACCES, EPERM)
_OPEN = O_RDWR | O_NOFOLLOW | O_CLOEXEC
_CREATE = _OPEN | O_CREAT | O_EXCL


def is_used(root: str, key: str, pod: str) -> bool:
    """Say that a pod is about to open an entry of a key, and return whether that is known before anybody removes it.

    Where the volume can not be written nobody learns of the pod, but an intent is seen all the same.

    - pod: the pod's UID.

    Raises OSError: when the volume is in trouble.
    """
    leases = f"{root}/.llmkube/leases/{key}"
    try:
        begin(root, key, pod)
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


def begin(root: str, key: str, pod: str) -> None:
    """Write the use lease of a pod that is about to open an entry of a key: it counts for 7 days after this.

    - pod: the pod's UID.

    Raises OSError: when the volume can not be written. A full volume may have the lease all the same, as an empty file.
    """
    descriptor, record = _open(root, key, pod)
    try:
        _write(descriptor, {**(record or _unknown(pod)), "opening": True})
    finally:
        close(descriptor)


def finish(root: str, key: str, pod: str, entry: str) -> None:
    """Say in the use lease of a pod which entry it opened, if that can be written.

    Until it is said, the lease stands for all entries of the key. What the pod opened before may be open still, in
    another of its containers.

    - entry: the name of its directory.
    """
    try:
        descriptor = open_file(_path(root, key, pod), _OPEN)
    except OSError:
        return
    try:
        record = record_of(read(descriptor, RECORD_BYTES))
        if record and record["entries"] is not None:
            entries = sorted({*record["entries"], entry})
            record["entries"] = entries if len(entries) <= _MOST_ENTRIES else None
            _write(descriptor, {**record, "opening": False})
    except OSError:
        return
    finally:
        close(descriptor)


def keep(root: str, key: str, pod: str) -> None:
    """Renew the use lease of a pod without a change to what it says.

    Raises OSError: as begin does.
    """
    descriptor, record = _open(root, key, pod)
    try:
        if record is None:
            _write(descriptor, _unknown(pod))
        else:
            # A byte that never changes: the pod may write its record at this moment.
            pwrite(descriptor, b"{", 0)
    finally:
        close(descriptor)


def record_of(data: bytes) -> dict[str, Any] | None:
    """Return the fields of a use lease; None, when it does not say which entries its pod may have open.

    - data: what the file holds.
    """
    try:
        record = loads(data.decode("ascii"))
    except (ValueError, RecursionError):
        return None
    if type(record) is not dict or type(record.get("opening")) is not bool or type(record.get("since")) is not int:
        return None
    entries = record.get("entries", False)
    is_known = entries is None or (type(entries) is list and all(type(name) is str for name in entries))
    return record if is_known else None


def _open(root: str, key: str, pod: str) -> tuple[int, dict[str, Any] | None]:
    """Return a descriptor of a pod's lease, which is made if need be, and what it says; None, when that is nothing."""
    path = _path(root, key, pod)
    try:
        descriptor = open_file(path, _OPEN)
    except FileNotFoundError:
        _make_directories(root, key)
        try:
            descriptor = open_file(path, _CREATE, 0o666)
        except FileExistsError:
            # Another container of the pod was faster.
            descriptor = open_file(path, _OPEN)
        else:
            # What the file server says of a file that it has just created is its time.
            return descriptor, {**_unknown(pod), "since": int(fstat(descriptor).st_mtime), "entries": []}
    return descriptor, record_of(read(descriptor, RECORD_BYTES))


def _path(root: str, key: str, pod: str) -> str:
    return f"{root}/.llmkube/leases/{key}/{LEASE}{pod}"


def _unknown(pod: str) -> dict[str, Any]:
    """Return the record of a pod that may use the key for any time, and have any of its entries open."""
    return {"host": uname().nodename, "podUID": pod, "since": 0, "opening": True, "entries": None}


def _write(descriptor: int, record: dict[str, Any]) -> None:
    # Writing gives the file the time of the file server, which setting its time does not everywhere.
    pwrite(descriptor, f"{dumps(record):{RECORD_BYTES - 1}}\n".encode("ascii"), 0)


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
