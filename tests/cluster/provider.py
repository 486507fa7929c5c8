"""The clusters that tests and the demo can run on, behind one interface.

`local` is built from source and needs root on Linux, `kind` needs Docker, `context:<name>` is a cluster of the user's
kubeconfig; `cluster.choice` says which one a run is for.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from cluster.choice import choice
from cluster.local import bringup, disks
from cluster.local.layout import clusters_dir
from images.build import NODE_IMAGES, Image, build, push
from toolchain.build import ensure
from toolchain.catalog import CLUSTER


class Cluster(Protocol):
    """A running cluster."""

    @property
    def kubeconfig(self) -> Path | None:
        """None means the user's own."""

    @property
    def context(self) -> str | None:
        """None means the kubeconfig's current one."""

    @property
    def host_address(self) -> str:
        """The address of this machine for pods."""

    def kubectl(self, *arguments: str) -> str:
        """Runs kubectl as administrator and returns its output."""

    def apply(self, item: Mapping[str, object]) -> None:
        """Applies one object."""

    def load(self, images: Iterable[Image]) -> None:
        """Builds images when needed and gives them to the nodes."""

    def reference(self, image: Image) -> str:
        """The name under which the nodes know a loaded image."""


class Local:
    """The cluster built from source."""

    context = None

    def __init__(self, running: bringup.LocalCluster) -> None:
        self._running = running
        self.kubeconfig: Path | None = running.kubeconfig
        self.host_address = running.layout.host_address
        self.volumes = running.layout.state / "pv"  # one folder for each dynamic volume

    def kubectl(self, *arguments: str) -> str:
        """Runs kubectl as the cluster's administrator."""
        return self._running.kubectl(*arguments)

    def apply(self, item: Mapping[str, object]) -> None:
        """Applies one object."""
        self._running.kubectl("apply", "--filename", "-", stdin=json.dumps(item))

    def run_on_node(self, command: list[str]) -> None:
        """Runs a command as root in the node's namespaces."""
        self._running.namespace.run(command)

    def start_disks(self) -> None:
        """Adds network disks: their driver, and the storage class `disks.DISK`."""
        tools_folder(["csi"])
        disks.start(self._running)

    def load(self, images: Iterable[Image]) -> None:
        """Imports the archives into the nodes' container runtimes."""
        for archive in build(images):
            self._running.import_image(archive)

    def reference(self, image: Image) -> str:
        """The image's own name."""
        return image.reference


class Foreign:
    """A cluster of kind or of the user, reached through kubectl."""

    def __init__(self, context: str, host_address: str) -> None:
        self.kubeconfig = None
        self.context = context
        self.host_address = host_address
        self._pushed: dict[str, str] = {}

    def kubectl(self, *arguments: str) -> str:
        """Runs kubectl in the cluster's context."""
        command = ["kubectl", "--context", self.context, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def apply(self, item: Mapping[str, object]) -> None:
        """Applies one object."""
        command = ["kubectl", "--context", self.context, "apply", "--filename", "-"]
        subprocess.run(command, input=json.dumps(item), check=True, capture_output=True, text=True)

    def load(self, images: Iterable[Image]) -> None:
        """Loads the archives into kind's nodes; for a user's cluster, pushes them to the registry of `REGISTRY`.

        Without a registry the nodes of a user's cluster must have the images under their own names.
        """
        wanted = list(images)
        kind, registry = self.context.removeprefix("kind-"), os.environ.get("REGISTRY")
        for image, archive in zip(wanted, build(wanted), strict=True):
            if kind != self.context:
                command = ["kind", "load", "image-archive", str(archive), "--name", kind]
                subprocess.run(command, check=True, capture_output=True)
            elif registry:
                self._pushed[image.reference] = push(image, registry)

    def reference(self, image: Image) -> str:
        """The image's name in the registry it was pushed to, else its own."""
        return self._pushed.get(image.reference, image.reference)


def tools_folder(names: Iterable[str]) -> Path:
    """One folder with links to all binaries of the named tools."""
    folder = clusters_dir().parent / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in ensure(names).items():
        link = folder / name
        if not link.is_symlink() or link.readlink() != path:
            staging = folder / f".{name}-{os.getpid()}"
            staging.symlink_to(path)
            staging.rename(link)  # several runs share the folder
    return folder


def up(name: str, owner: int | None = None, *, internet: bool = False, nodes: int = 1) -> Cluster:
    """Brings up the chosen cluster under `name`, or finds it running.

    A local cluster with an `owner`, a process id, is removed by later runs once that process is gone; with `internet`
    its pods reach what this machine reaches; it has as many `nodes` as it is told, others have what they have.
    """
    chosen = choice()
    if chosen == "local":
        tools = tools_folder(CLUSTER)
        return Local(bringup.up(name, tools, build(NODE_IMAGES), owner, internet=internet, count=nodes))
    if chosen == "kind":
        return _kind(name)
    if chosen.startswith("context:"):
        return _user_cluster(chosen.removeprefix("context:"))
    message = f"LLMKUBE_TEST_CLUSTER={chosen} is not known: local, kind or context:<name>"
    raise RuntimeError(message)


def down(name: str) -> None:
    """Removes the cluster `name`; a user's own cluster is left as it is."""
    chosen = choice()
    if chosen == "local":
        bringup.down(name)
    elif chosen == "kind":
        subprocess.run(["kind", "delete", "cluster", "--name", f"llmkube-{name}"], check=True)


def _kind(name: str) -> Foreign:
    cluster = f"llmkube-{name}"
    known = subprocess.run(["kind", "get", "clusters"], check=True, capture_output=True, text=True).stdout.split()
    if cluster not in known:
        subprocess.run(["kind", "create", "cluster", "--name", cluster, "--wait", "120s"], check=True)
    template = "{{range .IPAM.Config}}{{.Gateway}} {{end}}"
    gateways = subprocess.run(
        ["docker", "network", "inspect", "kind", "--format", template], check=True, capture_output=True, text=True
    ).stdout.split()
    return Foreign(f"kind-{cluster}", next(address for address in gateways if ":" not in address))


def _user_cluster(context: str) -> Foreign:
    """A cluster of the user; this machine is the address it uses to reach the API server, unless it is told."""
    address = os.environ.get("LLMKUBE_TEST_HOST")
    if not address:
        command = ["kubectl", "--context", context, "config", "view", "--minify", "--output", "jsonpath={..server}"]
        server = urlsplit(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((server.hostname or "", server.port or 443))
            address = probe.getsockname()[0]
    return Foreign(context, address)
