"""The processes of Flux and Argo CD, inside the namespaces of a local cluster: they end with it, however it ends."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

from cluster.local.bringup import LocalCluster
from cluster.local.components import Component
from cluster.local.layout import INSIDE
from toolchain.build import ensure

_HOME = f"{INSIDE}/gitops"  # in the state folder of the cluster, which goes with it
_REDIS, _REPOSITORIES = "127.0.0.1:6379", "127.0.0.1:8081"
_HEALTH = {
    "source-controller": "9440/healthz",
    "helm-controller": "9441/healthz",
    "argocd-repo-server": "8084/healthz",
    "argocd-application-controller": "8082/healthz",
    "argocd-applicationset-controller": "8086/metrics",  # it answers no question about its health
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


def argocd(cluster: LocalCluster) -> None:
    """Starts what of Argo CD deploys applications; its web interface and command line are not needed."""
    _define(cluster, ensure(["argocd-crds"])["argocd-crds"])
    cluster.kubectl("create", "namespace", "argocd")
    cluster.kubectl("apply", "--namespace", "argocd", "--filename", "-", stdin=json.dumps(_argocd_settings()))
    # Debian's package of the server would also start one on this machine. Its program is this one by another name.
    redis = [
        "bash",
        "-c",
        'exec -a redis-server redis-check-rdb "$@"',
        "redis",
        "--bind",
        "127.0.0.1",
        "--port",
        "6379",
    ]
    cluster.start(Component("redis", [*redis, "--save", "", "--dir", _folder(cluster, "redis")]))
    _start(
        cluster,
        "argocd-repo-server",
        *("--redis", _REDIS, "--address", "127.0.0.1", "--port", "8081", "--disable-tls", "--metrics-port", "8084"),
    )
    common = ("--namespace", "argocd", "--repo-server-plaintext")
    _start(
        cluster,
        "argocd-application-controller",
        *(*common, "--redis", _REDIS, "--repo-server", _REPOSITORIES, "--metrics-port", "8082"),
    )
    _start(
        cluster,
        "argocd-applicationset-controller",
        *(*common, "--argocd-repo-server", _REPOSITORIES, "--metrics-addr", ":8086", "--probe-addr", ":8085"),
    )
    _wait_for(cluster, "argocd-repo-server", "argocd-application-controller", "argocd-applicationset-controller")


def _start(cluster: LocalCluster, name: str, *flags: str) -> None:
    variables = {
        "KUBECONFIG": f"{INSIDE}/admin.kubeconfig",
        "HOME": _folder(cluster, "home"),
        "TMPDIR": _folder(cluster, "tmp"),
        "RUNTIME_NAMESPACE": "flux-system",
        # Outside of a pod the address kubernetes.default.svc, as in any application, is what KUBECONFIG says.
        "ARGOCD_FAKE_IN_CLUSTER": "true",
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_SSH_DATA_PATH": _folder(cluster, "ssh"),
        "ARGOCD_TLS_DATA_PATH": _folder(cluster, "tls"),
        "ARGOCD_PLUGINSOCKFILEPATH": _folder(cluster, "plugins"),
    }
    settings = [f"{variable}={value}" for variable, value in variables.items()]
    cluster.start(Component(name, ["env", *settings, name, *flags]))


def _folder(cluster: LocalCluster, name: str) -> str:
    """Makes a folder for the engines and returns where it is for them."""
    (cluster.layout.state / "gitops" / name).mkdir(parents=True, exist_ok=True)
    return f"{_HOME}/{name}"


def _define(cluster: LocalCluster, definitions: Path) -> None:
    """Makes the kinds of an engine known."""
    # Some are too large for the annotation in which a plain apply remembers what it applied.
    cluster.kubectl("apply", "--server-side", "--filename", str(definitions))
    cluster.wait_for(f"the kinds in {definitions}", partial(_established, cluster))


def _established(cluster: LocalCluster) -> bool:
    """Whether the API server serves every kind that was defined."""
    found = cluster.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions") or {"items": []}
    conditions = [item.get("status", {}).get("conditions") or [] for item in found["items"]]
    return all(any((each["type"], each["status"]) == ("Established", "True") for each in one) for one in conditions)


def _wait_for(cluster: LocalCluster, *names: str) -> None:
    for name in names:
        address = f"http://{cluster.layout.node_address}:{_HEALTH[name]}"
        cluster.wait_for(name, partial(_answers, address))


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


def _argocd_settings() -> dict[str, object]:
    """The objects without which Argo CD does not start."""
    labels = {"app.kubernetes.io/part-of": "argocd"}
    items = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}
        for name in ("argocd-cm", "argocd-rbac-cm")
    ]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "argocd-secret", "labels": labels},
        "stringData": {"server.secretkey": "only-the-web-interface-uses-it"},
    }
    everything = {"group": "*", "kind": "*"}
    project = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "default"},
        "spec": {
            "sourceRepos": ["*"],
            "destinations": [{"namespace": "*", "server": "*"}],
            "clusterResourceWhitelist": [everything],
        },
    }
    return {"apiVersion": "v1", "kind": "List", "items": [*items, secret, project]}
