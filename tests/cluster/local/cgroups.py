"""The cgroup below which the pods of a local cluster run, in every hierarchy of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def create(name: str) -> None:
    """Makes the group; the kubelet refuses a root that is not there."""
    for hierarchy in _hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        # A new cpuset of cgroup v1 has no processors, and no process can enter it before it has some.
        for inherited in ("cpuset.cpus", "cpuset.mems"):
            if (group / inherited).exists() and not (hierarchy / "cgroup.controllers").exists():
                (group / inherited).write_text((hierarchy / inherited).read_text())


def remove(name: str) -> None:
    """Removes the group with all groups below it; their processes must be gone."""
    for hierarchy in _hierarchies():
        group = hierarchy / name
        folders = [path for path in group.rglob("*") if path.is_dir()] if group.is_dir() else []
        for folder in [*sorted(folders, reverse=True), group]:
            if folder.is_dir():
                folder.rmdir()


def _hierarchies() -> Iterator[Path]:
    """The mount points: one on cgroup v2, one for each controller (and their unified one) on v1."""
    if (ROOT / "cgroup.controllers").exists():
        yield ROOT
        return
    for path in ROOT.iterdir():
        # Names such as `cpu,cpuacct` are mount points, `cpu` may be a link to one.
        if path.is_dir() and not path.is_symlink() and (path / "cgroup.procs").exists():
            yield path
