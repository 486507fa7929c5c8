"""Which file system holds a directory, and whether such a one can hold a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_downloader.doctor.finding import Finding, fine, problem, warning
from llmkube_downloader.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.store.mounts import Mount

_CHECK = "file system"

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


def judge(mount: Mount | None, root: Path) -> Finding:
    """Return whether a file system of this kind can hold a cache."""
    if mount is None:
        return fine(_CHECK, "the kernel does not say which one it is", root)
    kind = kind_of(mount)
    place = f"{kind}, mounted at {mount.point}"
    if kind in _OBJECT_STORES:
        return _object_store(place, mount, root)
    if kind in _SMALL_FILES:
        action = "Use a volume with another file system."
        return problem(_CHECK, f"{place}: its files end at 4 GiB", root, action, ExitCode.FILE_SYSTEM)
    if kind in _CONTAINER:
        action = f"Mount a volume at {root}, or give the directory of the volume with --root."
        return warning(_CHECK, f"{place}: it belongs to the container and is lost with it", root, action)
    if kind in _MEMORY:
        action = "Use another volume where entries should last."
        return warning(_CHECK, f"{place}: it lies in memory and is lost with its pod or machine", root, action)
    shared = " over the network" if kind in _NETWORK else ""
    return fine(_CHECK, place + shared, root)


def kind_of(mount: Mount) -> str:
    """Return what a mounted file system is; some buckets name themselves only as what is mounted."""
    return mount.device if mount.kind == "fuse" and mount.device in _OBJECT_STORES else mount.kind


def _object_store(place: str, mount: Mount, root: Path) -> Finding:
    if mount.read_only:
        action = "Fetch into another volume; this one can be read where entries were copied to it."
        return warning(_CHECK, f"{place}: an object store, read-only", root, action)
    action = "Use a volume with a file system of its own (block storage, NFS, CephFS); read the bucket as a source."
    what = f"{place}: an object store, which can neither rename directories nor write files in place as a cache needs"
    return problem(_CHECK, what, root, action, ExitCode.FILE_SYSTEM)
