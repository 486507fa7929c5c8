"""Where a local cluster keeps its files, and which addresses it has."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster.local.processes import start_time
from toolchain.build import cache_root

INSIDE = Path("/run/llmkube")  # where the state folder appears inside: short, whatever the cache folder is called
MAX_SLOTS = 64
MAX_NODES = 2


@dataclass(frozen=True)
class Layout:
    """One local cluster. `slot` (0..63) separates its addresses and links from those of others on this machine."""

    name: str
    slot: int

    @property
    def state(self) -> Path:
        """The folder with all files of the cluster, as seen from this machine."""
        return clusters_dir() / self.name

    @property
    def host_address(self) -> str:
        """The address of this machine for pods and nodes."""
        return f"10.245.{self.slot}.1"

    @property
    def node_address(self) -> str:
        """The first node, the API server and the cluster's DNS."""
        return f"10.245.{self.slot}.2"

    @property
    def link(self) -> str:
        """The name of the link's end on this machine."""
        return f"llmk{self.slot}"

    @property
    def disks(self) -> Path:
        """Where its network disks are, inside: in memory, and under a name that the kernel shows with each of them."""
        return Path("/run") / f"{self.link}-disks"

    def nodes(self, count: int) -> list[Node]:
        """Its first `count` nodes."""
        return [Node(self, number) for number in range(1, count + 1)]

    @property
    def server(self) -> str:
        """The address of the API server."""
        return f"https://{self.node_address}:6443"


@dataclass(frozen=True)
class Node:
    """One node of a local cluster. `number` (1, 2) separates what it has from what the other one has."""

    layout: Layout
    number: int

    @property
    def name(self) -> str:
        """The node's name in the cluster."""
        return f"node-{self.number}"

    @property
    def address(self) -> str:
        """The node's address; the first one has that of the API server."""
        return f"10.245.{self.layout.slot}.{self.number + 1}"

    @property
    def pods(self) -> str:
        """The addresses of its pods."""
        return f"10.244.{self.number - 1}.0/24"

    @property
    def folder(self) -> Path:
        """Where its files are, inside."""
        return INSIDE / self.name

    @property
    def runtime(self) -> str:
        """The folder of its container runtime's state, inside."""
        return "/run/containerd" if self.number == 1 else f"/run/containerd-{self.number}"

    @property
    def socket(self) -> str:
        """Where its container runtime answers, inside."""
        return f"{self.runtime}/containerd.sock"

    @property
    def cgroup(self) -> str:
        """The cgroup below which every pod of the node runs."""
        group = f"llmkube{self.layout.slot}"
        return group if self.number == 1 else f"{group}-{self.number}"


@dataclass
class Record:
    """What `cluster.json` remembers: enough to find and remove a cluster whose maker is gone."""

    slot: int
    init: int = 0  # process 1 of the cluster, as this machine counts
    init_started: int = 0  # its start time in clock ticks: a process id alone may have been given away again
    owner: int | None = None  # the test run that it ends with; None keeps it until `down`
    owner_started: int = 0
    # A further field would make other checkouts, which share these records, take the cluster for abandoned.

    def own(self, owner: int | None) -> None:
        """Makes the cluster end with process `owner`; None keeps it."""
        self.owner, self.owner_started = owner, (start_time(owner) or 0) if owner else 0


def clusters_dir() -> Path:
    """The folder that holds one folder for each local cluster."""
    return cache_root() / "clusters"


def read_record(name: str) -> Record | None:
    """What is known of a cluster, or None when there is none of that name (or its record was never finished)."""
    try:
        return Record(**json.loads((clusters_dir() / name / "cluster.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write_record(name: str, record: Record) -> None:
    """Replaces the record of a cluster by one rename."""
    path = clusters_dir() / name / "cluster.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_suffix(".new")
    staging.write_text(json.dumps(asdict(record)))
    staging.rename(path)


def existing() -> list[str]:
    """The names of all local clusters, dead ones included."""
    folder = clusters_dir()
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


@contextmanager
def locked() -> Iterator[None]:
    """Lets one process at a time give out slots or remove clusters."""
    clusters_dir().mkdir(parents=True, exist_ok=True)
    with (clusters_dir() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def free_slot() -> int:
    """The lowest slot that no cluster has, of this cache folder or of another. Call it under `locked`."""
    taken = {record.slot for record in map(read_record, existing()) if record} | _routed_slots()
    links = {path.name for path in Path("/sys/class/net").iterdir()}
    free = [slot for slot in range(MAX_SLOTS) if slot not in taken and Layout("", slot).link not in links]
    if not free:
        message = f"{MAX_SLOTS} local clusters exist already; remove some: `make cluster-down`"
        raise RuntimeError(message)
    return free[0]


def _routed_slots() -> set[int]:
    """Slots whose addresses this machine uses for something else: it has a route to 10.245.<slot>.0."""
    rows = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
    networks = [bytes.fromhex(row[1])[::-1] for row in rows]  # the kernel writes them as little-endian numbers
    return {network[2] for network in networks if network[:2] == bytes([10, 245])}
