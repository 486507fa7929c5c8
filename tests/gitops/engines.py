"""The processes of Flux, inside the namespaces of a local cluster: they end with it, however it ends."""

from __future__ import annotations

import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

from cluster.local.bringup import LocalCluster
from cluster.local.components import Component
from cluster.local.layout import INSIDE
from toolchain.build import ensure

_HOME = f"{INSIDE}/gitops"  # in the state folder of the cluster, which goes with it
_HEALTH = {
    "source-controller": 9440,
    "helm-controller": 9441,
}
REGISTRY_PORT = 5000


def registry(cluster: LocalCluster) -> str:
    """Starts a container registry and returns its address for pods, engines and this machine."""
    address = f"{cluster.layout.node_address}:{REGISTRY_PORT}"
    cluster.start(Component("registry", ["crane", "registry", "serve", "--address", address]))
    cluster.wait_for("the registry", lambda: _answers(f"http://{address}/v2/"))
    return address


def flux(cluster: LocalCluster) -> None:
    """Starts what of Flux installs charts: the source-controller and the helm-controller."""
    _define(cluster, ensure(["flux-crds"])["flux-crds"])
    cluster.kubectl("create", "namespace", "flux-system")
    storage = "127.0.0.1:9790"
    _start(
        cluster,
        "source-controller",
        *("--storage-path", _folder(cluster, "artifacts"), "--storage-addr", storage, "--storage-adv-addr", storage),
        *("--metrics-addr", ":9090", "--health-addr", ":9440", "--requeue-dependency", "1s"),
    )
    _start(
        cluster,
        "helm-controller",
        # How often it looks whether a release that it depends on has become ready; nothing tells it.
        *("--metrics-addr", ":9091", "--health-addr", ":9441", "--requeue-dependency", "1s"),
    )
    _wait_for(cluster, "source-controller", "helm-controller")


def _start(cluster: LocalCluster, name: str, *flags: str) -> None:
    variables = {
        "KUBECONFIG": f"{INSIDE}/admin.kubeconfig",
        "HOME": _folder(cluster, "home"),
        "TMPDIR": _folder(cluster, "tmp"),
        "RUNTIME_NAMESPACE": "flux-system",
    }
    settings = [f"{variable}={value}" for variable, value in variables.items()]
    cluster.start(Component(name, ["env", *settings, name, *flags]))


def _folder(cluster: LocalCluster, name: str) -> str:
    """Makes a folder for the engines and returns where it is for them."""
    (cluster.layout.state / "gitops" / name).mkdir(parents=True, exist_ok=True)
    return f"{_HOME}/{name}"


def _define(cluster: LocalCluster, definitions: Path) -> None:
    """Makes the kinds of an engine known."""
    cluster.kubectl("apply", "--server-side", "--filename", str(definitions))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=300s", "--filename", str(definitions))


def _wait_for(cluster: LocalCluster, *names: str) -> None:
    for name in names:
        address = f"http://{cluster.layout.node_address}:{_HEALTH[name]}/healthz"
        cluster.wait_for(name, partial(_answers, address))


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False
