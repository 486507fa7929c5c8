"""What a run could leave behind here: processes, mounts, links, iptables rules, cgroups, loop devices, files."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from cluster.local import loops

# Folders in which container runtimes, Kubernetes and image builds keep things when they are left to themselves.
WATCHED = ("/run", "/var/lib", "/var/log", "/var/run", "/opt", "/etc", "/usr/local")
KNOWN = (
    "kube",
    "etcd",
    "coredns",
    "containerd",
    "local-path",
    "pause",
    "unshare",
    "buildah",
    "conmon",
    "runc",
    "csi-",
    "disks",
)


@dataclass(frozen=True)
class Traces:
    """One look at the machine; two looks are equal when nothing was left between them."""

    processes: frozenset[str]
    mounts: frozenset[str]
    links: frozenset[str]
    rules: frozenset[str]
    cgroups: frozenset[str]
    namespaces: frozenset[str]
    loops: frozenset[str]
    files: frozenset[str]


def look() -> Traces:
    """Looks at the machine now. Processes count by name and id, so that a leftover of an earlier run is no excuse.

    A process that has ended and waits for its parent to notice is none any more.
    """
    return Traces(
        processes=frozenset(_processes()),
        mounts=frozenset(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()),
        links=frozenset(path.name for path in Path("/sys/class/net").iterdir()),
        rules=frozenset(_rules()),
        cgroups=frozenset(str(path) for path in Path("/sys/fs/cgroup").glob("*/*llm*")) | _unified(),
        namespaces=frozenset(str(path) for path in Path("/run/netns").glob("*")),
        loops=frozenset(f"{device} {file}" for device, file in loops.files().items()),
        files=frozenset(str(path) for folder in WATCHED for path in Path(folder).glob("*")),
    )


def _unified() -> frozenset[str]:
    return frozenset(str(path) for path in Path("/sys/fs/cgroup").glob("*llm*"))


def _processes() -> list[str]:
    """The machine's own processes, and of each cluster its process 1, with which everything else in it ends."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
            hub = b"-m\0fakehub\0" in (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        inside = status["NSpid"].split()[1:]  # its ids in the namespaces it is in besides ours
        ended = status["State"].split()[0] == "Z"
        known = hub or status["Name"].strip().startswith(KNOWN)
        if known and not ended and inside in ([], ["1"]):
            found.append(f"{status['Name'].strip()} {folder.name}")
    return found


def _rules() -> list[str]:
    """Rules without their counters."""
    output = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False).stdout
    return [line for line in output.splitlines() if line.startswith("-A")]
