"""Which mount holds a path. Device numbers do not tell: files of a btrfs subvolume have another one than its mount."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_TABLE = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A mounted file system.

    - number: what the kernel calls this mount.
    - parent: the mount that its point lies in.
    - point: where it is mounted.
    - kind: its type, such as ``ext4`` or ``gcsfuse``; without the ``fuse.`` that the kernel puts before some.
    - device: what is mounted, such as ``/dev/sda``; some of the type ``fuse`` say here alone what they are.
    - read_only: whether nobody can write through this mount.
    """

    number: str
    parent: str
    point: str
    kind: str
    device: str
    read_only: bool


def mount_of(path: Path) -> Mount | None:
    """Return what holds a path, or None where the kernel does not say."""
    try:
        lines = _TABLE.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return _holding(path.resolve(), [mount for line in lines if (mount := _parse(line))])


def file_system_type(path: Path) -> str:
    """Return the type of the file system that holds a path, such as ``ext4``; empty where the kernel does not say."""
    mount = mount_of(path)
    return mount.kind if mount else ""


def _holding(path: Path, mounts: Iterable[Mount]) -> Mount | None:
    """Walk to a path as the kernel does, from mount to mount: the longest point may lie below one that was covered."""
    above = {mount.number: mount for mount in mounts if path.is_relative_to(mount.point)}
    found = None
    while entered := [mount for mount in above.values() if _is_entered_from(found, mount, above)]:
        found = min(entered, key=lambda mount: len(mount.point))
        del above[found.number]
    return found


def _is_entered_from(found: Mount | None, mount: Mount, above: dict[str, Mount]) -> bool:
    """Return whether a mount lies in the one that was found, or is where every way begins.

    The root's parent is itself, or a mount that a container does not see.
    """
    if found is None:
        return mount.parent == mount.number or mount.parent not in above
    return mount.parent == found.number


def _parse(line: str) -> Mount | None:
    """Parse a line: id, parent, device, root, point, options, optional fields, ``-``, type, source, super options."""
    fields, _, rest = line.partition(" - ")
    before, after = fields.split(" "), rest.split(" ")
    if len(before) < 6 or len(after) < 3:
        return None
    read_only = "ro" in before[5].split(",") or "ro" in after[2].split(",")
    kind = after[0].removeprefix("fuse.")
    return Mount(before[0], before[1], _unescape(before[4]), kind, after[1], read_only)


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
