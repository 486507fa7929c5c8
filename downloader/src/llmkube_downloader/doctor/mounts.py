"""Which file system holds a directory, and whether such a one can hold a cache."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from llmkube_downloader.doctor.finding import Finding, fine, problem, warning
from llmkube_downloader.errors import ExitCode

_CHECK = "file system"
_TABLE = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(r"\\([0-7]{3})")

# Buckets in the place of directories: a rename copies, or is not possible, and a file can not be changed in place.
_OBJECT_STORES = frozenset(
    (
        *("mountpoint-s3", "mount-s3", "s3fs", "goofys", "geesefs", "s3ql", "s3backer", "tigrisfs"),
        *("gcsfuse", "blobfuse", "blobfuse2", "ossfs", "ossfs2", "cosfs", "obsfs", "rclone"),
    )
)
_NETWORK = frozenset(
    (
        *(
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "smbfs",
            "ceph",
            "ceph-fuse",
            "glusterfs",
            "lustre",
            "gpfs",
            "beegfs",
            "wekafs",
        ),
        *("9p", "afs", "orangefs", "juicefs", "seaweedfs", "moosefs", "mfs", "sshfs"),
    )
)
_MEMORY = frozenset(("tmpfs", "ramfs"))
_CONTAINER = frozenset(("overlay", "aufs"))
# Their files end at 4 GiB.
_SMALL_FILES = frozenset(("vfat", "msdos"))


@dataclass(frozen=True)
class Mount:
    """A mounted file system.

    - point: where it is mounted.
    - kind: its type, such as ``ext4`` or ``gcsfuse``; without the ``fuse.`` that the kernel puts before some.
    - read_only: whether nobody can write through this mount.
    """

    point: str
    kind: str
    read_only: bool


def mount_of(path: Path) -> Mount | None:
    """Return what holds a path, or None where the kernel does not say."""
    try:
        lines = _TABLE.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    real = path.resolve()
    holding = [mount for line in lines if (mount := _parse(line)) and real.is_relative_to(mount.point)]
    # Of those with the same point, the last one covers the others.
    return max(reversed(holding), key=lambda mount: len(mount.point), default=None)


def judge(mount: Mount | None, root: Path) -> Finding:
    """Return whether a file system of this kind can hold a cache."""
    if mount is None:
        return fine(_CHECK, "the kernel does not say which one it is", root)
    place = f"{mount.kind}, mounted at {mount.point}"
    if mount.kind in _OBJECT_STORES:
        return _object_store(place, mount, root)
    if mount.kind in _SMALL_FILES:
        action = "Use a volume with another file system."
        return problem(_CHECK, f"{place}: its files end at 4 GiB", root, action, ExitCode.FILE_SYSTEM)
    if mount.kind in _CONTAINER:
        action = f"Mount a volume at {root}, or give the directory of the volume with --root."
        return warning(_CHECK, f"{place}: it belongs to the container and is lost with it", root, action)
    if mount.kind in _MEMORY:
        action = "Use another volume where entries should last."
        return warning(_CHECK, f"{place}: it lies in memory and is lost with its pod or machine", root, action)
    shared = " over the network" if mount.kind in _NETWORK else ""
    return fine(_CHECK, place + shared, root)


def _object_store(place: str, mount: Mount, root: Path) -> Finding:
    if mount.read_only:
        action = "Fetch into another volume; this one can be read where entries were copied to it."
        return warning(_CHECK, f"{place}: an object store, read-only", root, action)
    action = "Use a volume with a file system of its own (block storage, NFS, CephFS); read the bucket as a source."
    what = f"{place}: an object store, which can neither rename directories nor write files in place as a cache needs"
    return problem(_CHECK, what, root, action, ExitCode.FILE_SYSTEM)


def _parse(line: str) -> Mount | None:
    """Parse a line: id, parent, device, root, point, options, optional fields, ``-``, type, source, super options."""
    fields, _, rest = line.partition(" - ")
    before, after = fields.split(" "), rest.split(" ")
    if len(before) < 6 or len(after) < 3:
        return None
    kind = after[0].removeprefix("fuse.")
    # Some name themselves only as the source of a mount of type fuse.
    if kind == "fuse" and after[1] in _OBJECT_STORES:
        kind = after[1]
    return Mount(_unescape(before[4]), kind, "ro" in before[5].split(",") or "ro" in after[2].split(","))


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
