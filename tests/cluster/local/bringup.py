"""Brings a local cluster up, in the order in which its parts need each other, and takes it down."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.local import certificates, cgroups, components, loops, nodes
from cluster.local.components import Component
from cluster.local.layout import (
    INSIDE,
    MAX_NODES,
    Layout,
    Node,
    Record,
    clusters_dir,
    existing,
    free_slot,
    locked,
    read_record,
    write_record,
)
from cluster.local.namespace import Namespace
from cluster.local.processes import start_time

READY_SECONDS = 90  # far above the 8 s that it takes: a bring-up that needs longer has failed


class LocalCluster:
    """A running local cluster."""

    def __init__(self, layout: Layout, namespace: Namespace, tools: Path, count: int = 1) -> None:
        self.layout = layout
        self.nodes = layout.nodes(count)
        self.namespace = namespace
        self.tools = tools
        self.kubeconfig = layout.state / "kubeconfig"
        self._pids: dict[str, int] = {}

    def start(self, component: Component) -> None:
        """Starts a component; its log is `log/<name>.log` in the state folder."""
        program, *arguments = component.command
        log = f"{INSIDE}/log/{component.name}.log"
        path = {"PATH": f"{self.tools}:/usr/sbin:/usr/bin:/sbin:/bin"}
        command = [self.tools / program if (self.tools / program).exists() else program, *arguments]
        self._pids[component.name] = self.namespace.spawn(command, log, path, network=component.inside)

    def wait_for(self, what: str, ready: Callable[[], bool]) -> None:
        """Waits until `ready`; fails when a component has died or it takes too long, with the end of its log."""
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            dead = [name for name, pid in self._pids.items() if not self.namespace.alive(pid)]
            if dead or time.monotonic() > deadline:
                raise RuntimeError(self._failure(what, dead))
            time.sleep(0.1)  # the API server and containerd tell nobody when they are ready: asking is the only way

    def _failure(self, what: str, dead: list[str]) -> str:
        reason = f"{', '.join(dead)} ended" if dead else f"not so after {READY_SECONDS} s"
        lines = [f"the local cluster did not come up: waiting for {what}: {reason}"]
        for name in dead or self._pids:
            tail = (self.layout.state / "log" / f"{name}.log").read_text(errors="replace").splitlines()[-5:]
            lines += [f"--- {name}", *tail]
        return "\n".join(lines)

    def get(self, path: str) -> Any:
        """What the API server answers to a GET, as JSON; None when it does not answer 200 (yet)."""
        pki = self.layout.state / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        try:
            with urllib.request.urlopen(f"{self.layout.server}{path}", context=context, timeout=5) as answer:
                body = answer.read()
        except (OSError, urllib.error.URLError):
            return None
        return {"text": body.decode()} if path == "/readyz" else json.loads(body)

    def ready(self, node: Node) -> bool:
        """Whether a node says it is Ready and has lost the taint that keeps pods away until then."""
        found = self.get(f"/api/v1/nodes/{node.name}")
        if found is None:
            return False
        conditions = found["status"]["conditions"]
        ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
        return ready and not found["spec"].get("taints")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Runs kubectl as the cluster's administrator; a failure's message holds what it said."""
        command = [str(self.tools / "kubectl"), "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode:
            message = f"kubectl {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()}"
            raise RuntimeError(message)
        return done.stdout

    def import_image(self, archive: Path) -> None:
        """Gives every node an image from an OCI archive."""
        for node in self.nodes:
            address = ["--address", node.socket, "--namespace", "k8s.io"]
            self.namespace.run([self.tools / "ctr", *address, "images", "import", archive])


def up(
    name: str,
    tools: Path,
    images: list[Path],
    owner: int | None = None,
    *,
    internet: bool = False,
    count: int = 1,
) -> LocalCluster:
    """Brings up cluster `name` with `count` nodes, or returns it when it is up already.

    `tools` is the folder with all binaries, `images` are OCI archives every node needs. With `owner`, a process id,
    the cluster counts as abandoned once that process is gone. With `internet` pods reach what this machine reaches.
    Without any nodes it is an API server with its store: objects are checked and kept, and nobody acts on them.
    """
    with locked():
        sweep()
        running = find(name, tools)
        if running and len(running.nodes) >= count:
            return running
        if running:
            message = f"cluster {name} is up with fewer nodes than {count}; `make cluster-down` first, or another name"
            raise RuntimeError(message)
        if name in existing():
            message = f"cluster {name} is being brought up by another process; wait for it, or choose another name"
            raise RuntimeError(message)
        record = Record(slot=free_slot())
        record.own(os.getpid())  # until it is up: if this process dies, others see what it left
        write_record(name, record)
    try:
        cluster = LocalCluster(Layout(name, record.slot), _namespace(name, record, tools), tools, count)
        _bring_up(cluster, images, internet=internet)
        record.own(owner)
        write_record(name, record)
    except BaseException:  # also Ctrl-C: what was made so far goes
        down(name)
        raise
    return cluster


def find(name: str, tools: Path) -> LocalCluster | None:
    """The running cluster `name`, or None."""
    record = read_record(name)
    if record is None or not (record.init and start_time(record.init) == record.init_started):
        return None
    layout = Layout(name, record.slot)
    count = len(list(layout.state.glob("node-*.kubeconfig")))
    found = LocalCluster(layout, Namespace(record.init), tools, count)
    return found if (layout.state / "ready").exists() else None


def down(name: str) -> None:
    """Removes a cluster, in whatever state it is, and everything it left."""
    with locked():
        remove(name)


def sweep() -> list[str]:
    """Removes every cluster whose maker or process 1 is gone; returns their names. Call it under `locked`."""
    gone = [name for name in existing() if _abandoned(read_record(name))]
    for name in gone:
        remove(name)
    return gone


def remove(name: str) -> None:
    """What `down` does, for callers that hold the lock."""
    record = read_record(name)
    if record:
        layout = Layout(name, record.slot)
        subprocess.run(["ip", "link", "delete", layout.link], capture_output=True, check=False)
        if record.init and start_time(record.init) == record.init_started:
            Namespace(record.init).kill()
        loops.wait_until_gone(lambda _, file: f"/{layout.disks.name}/" in file)
        for node in layout.nodes(MAX_NODES):
            cgroups.remove(node.cgroup)
    if name in existing():
        shutil.rmtree(clusters_dir() / name)


def _abandoned(record: Record | None) -> bool:
    if record is None:
        return True
    if record.owner is not None and start_time(record.owner) != record.owner_started:
        return True
    return bool(record.init) and start_time(record.init) != record.init_started


def _namespace(name: str, record: Record, tools: Path) -> Namespace:
    """Makes the namespaces of a new cluster, and notes down how others can end them."""
    state = clusters_dir() / name
    state.mkdir(parents=True, exist_ok=True)
    namespace = Namespace.create(tools / "pause", state, INSIDE)
    record.init, record.init_started = namespace.init, start_time(namespace.init) or 0
    write_record(name, record)
    return namespace


def _bring_up(cluster: LocalCluster, images: list[Path], *, internet: bool) -> None:
    layout, tools = cluster.layout, cluster.tools
    _network(cluster)
    components.write_configuration(layout, internet=internet)
    for node in cluster.nodes:
        cgroups.create(node.cgroup)
        nodes.write_configuration(node, tools)
        cluster.start(nodes.containerd(node))
    for component in (components.etcd(), *([components.internet()] if internet else [])):
        cluster.start(component)
    certificates.make_all(layout, {node.name: node.address for node in cluster.nodes})
    certificates.admin_kubeconfig(layout)
    cluster.start(components.apiserver(layout))
    cluster.wait_for("containerd", lambda: all(_containerd_answers(cluster, node) for node in cluster.nodes))
    for image in images:
        cluster.import_image(image)
    cluster.wait_for("the API server", lambda: cluster.get("/readyz") is not None)
    if cluster.nodes:
        _start_rest(cluster)
    (layout.state / "ready").touch()


def _start_rest(cluster: LocalCluster) -> None:
    """Starts what needs the API server, and returns when every node is Ready."""
    layout = cluster.layout
    for component in (
        components.controller_manager(),
        components.scheduler(),
        components.proxy(layout),
        components.dns(),
        *map(nodes.kubelet, cluster.nodes),
    ):
        cluster.start(component)
    cluster.kubectl("apply", "--filename", str(layout.state / "addons.json"))
    cluster.start(components.storage())
    cluster.wait_for("the nodes to be Ready", lambda: all(map(cluster.ready, cluster.nodes)))


def _network(cluster: LocalCluster) -> None:
    """Links this machine and the cluster: one pair of interfaces, this machine being the cluster's way out."""
    layout, namespace = cluster.layout, cluster.namespace
    ip = ["ip", "link", "add", layout.link, "type", "veth", "peer", "name", "node0", "netns", str(namespace.init)]
    for command in (
        ip,
        ["ip", "address", "add", f"{layout.host_address}/24", "dev", layout.link],
        ["ip", "link", "set", layout.link, "up"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    # The API server is at the address of the first node, also when there is none.
    for node in cluster.nodes or layout.nodes(1):
        namespace.run(["ip", "address", "add", f"{node.address}/24", "dev", "node0"])
    namespace.run(["ip", "link", "set", "node0", "up"])
    # Service addresses need some route before the rules of kube-proxy see them; a way to the internet goes before it.
    namespace.run(["ip", "route", "add", "default", "via", layout.host_address, "metric", "4096"])


def _containerd_answers(cluster: LocalCluster, node: Node) -> bool:
    try:
        cluster.namespace.run([cluster.tools / "ctr", "--address", node.socket, "version"])
    except RuntimeError:
        return False
    return True
