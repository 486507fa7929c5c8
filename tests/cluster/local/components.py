"""The processes of a local cluster and their configuration. Paths are those inside its namespaces."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cluster.local.layout import INSIDE, Layout

POD_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
PAUSE_IMAGE = "llmkube.local/pause:test"
BASE_IMAGE = "llmkube.local/base:test"
NODE = "node-1"
_INTERNET_DNS = "10.0.2.3"  # slirp4netns answers there with this machine's own resolver
_STORAGE = "local-path-storage"


@dataclass(frozen=True)
class Component:
    """One process: its name names its log, `command[0]` is a tool of the catalog or of this machine.

    `inside` is whether it runs in the cluster's network or in this machine's.
    """

    name: str
    command: list[str]
    inside: bool = True


def write_configuration(layout: Layout, tools: Path, *, internet: bool) -> None:
    """Writes the configuration files of every component into the state folder."""
    for folder in ("etcd", "cni", "kubelet", "containerd", "pv", "log", "storage"):
        (layout.state / folder).mkdir(parents=True, exist_ok=True)
    _write(layout, "cni/10-bridge.conflist", _cni())
    _write(layout, "containerd.toml", _containerd(tools))
    _write(layout, "kubelet.json", _kubelet(layout))
    _write(layout, "Corefile", _corefile(layout, internet=internet))
    _write(layout, "storage/config.json", _storage_paths())
    _write(layout, "storage/helperPod.json", _helper_pod())
    _write(layout, "addons.json", _addons())


def etcd() -> Component:
    """The store of the API server; a test's data need not survive a power cut, so it does not wait for the disk."""
    client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    return Component(
        "etcd",
        [
            *("etcd", "--data-dir", f"{INSIDE}/etcd", "--unsafe-no-fsync", "--log-level", "warn"),
            *("--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer),
            *("--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"),
        ],
    )


def apiserver(layout: Layout) -> Component:
    """The API server, with node and role based authorization and the default admission (Pod Security included)."""
    pki = f"{INSIDE}/pki"
    return Component(
        "kube-apiserver",
        [
            *("kube-apiserver", "--etcd-servers", "http://127.0.0.1:2379", "--secure-port", "6443"),
            *("--bind-address", "0.0.0.0", "--advertise-address", layout.node_address),
            *("--service-cluster-ip-range", SERVICE_CIDR, "--authorization-mode", "Node,RBAC", "--allow-privileged"),
            *("--client-ca-file", f"{pki}/ca.crt", "--tls-cert-file", f"{pki}/apiserver.crt"),
            *("--tls-private-key-file", f"{pki}/apiserver.key", "--service-account-key-file", f"{pki}/sa.pub"),
            *("--service-account-signing-key-file", f"{pki}/sa.key"),
            *("--service-account-issuer", "https://kubernetes.default.svc", "--cert-dir", "/run/apiserver"),
            *("--kubelet-client-certificate", f"{pki}/admin.crt", "--kubelet-client-key", f"{pki}/admin.key"),
            # logs, exec and port-forward connect to the node's address: its name has no DNS entry.
            *("--kubelet-preferred-address-types", "InternalIP,Hostname"),
        ],
    )


def controller_manager() -> Component:
    """All controllers; one instance, so no leader election."""
    return Component(
        "kube-controller-manager",
        [
            *("kube-controller-manager", "--kubeconfig", f"{INSIDE}/controller-manager.kubeconfig"),
            *("--service-account-private-key-file", f"{INSIDE}/pki/sa.key", "--root-ca-file", f"{INSIDE}/pki/ca.crt"),
            *("--use-service-account-credentials", "--leader-elect=false", "--bind-address", "127.0.0.1"),
            *("--cert-dir", "/run/controller-manager"),
        ],
    )


def scheduler() -> Component:
    """The scheduler; one instance, so no leader election."""
    return Component(
        "kube-scheduler",
        [
            *("kube-scheduler", "--kubeconfig", f"{INSIDE}/scheduler.kubeconfig", "--leader-elect=false"),
            *("--bind-address", "127.0.0.1", "--cert-dir", "/run/scheduler"),
        ],
    )


def containerd() -> Component:
    """The container runtime."""
    return Component("containerd", ["containerd", "--config", f"{INSIDE}/containerd.toml"])


def kubelet(layout: Layout) -> Component:
    """The node agent."""
    return Component(
        "kubelet",
        [
            *("kubelet", "--config", f"{INSIDE}/kubelet.json", "--kubeconfig", f"{INSIDE}/{NODE}.kubeconfig"),
            *("--hostname-override", NODE, "--node-ip", layout.node_address, "--root-dir", f"{INSIDE}/kubelet"),
            *("--cert-dir", "/run/kubelet-certificates"),
        ],
    )


def proxy() -> Component:
    """Service addresses, as iptables rules of the cluster's own network namespace."""
    return Component(
        "kube-proxy",
        [
            *("kube-proxy", "--kubeconfig", f"{INSIDE}/proxy.kubeconfig", "--hostname-override", NODE),
            *("--cluster-cidr", POD_CIDR, "--proxy-mode", "iptables", "--conntrack-max-per-core", "0"),
            *("--bind-address", "127.0.0.1"),
        ],
    )


def dns() -> Component:
    """The cluster's DNS, as a process beside the node."""
    return Component("coredns", ["coredns", "-conf", f"{INSIDE}/Corefile"])


def storage() -> Component:
    """Dynamic volumes: folders of the node."""
    return Component(
        "local-path-provisioner",
        [
            *("local-path-provisioner", "start", "--kubeconfig", f"{INSIDE}/admin.kubeconfig"),
            *("--config", f"{INSIDE}/storage/config.json", "--namespace", _STORAGE, "--helper-image", BASE_IMAGE),
            *("--configmap-name", "local-path-config", "--helper-pod-file", f"{INSIDE}/storage/helperPod.json"),
            *("--service-account-name", "local-path-provisioner"),
        ],
    )


def internet() -> Component:
    """A way out for pods: it carries their connections as its own, so this machine's firewall needs no rule."""
    return Component("slirp4netns", ["slirp4netns", "--configure", "--mtu", "65520", "1", "internet"], inside=False)


def _write(layout: Layout, name: str, content: str | dict[str, object]) -> None:
    text = content if isinstance(content, str) else json.dumps(content, indent=2)
    (layout.state / name).write_text(text)


def _cni() -> dict[str, object]:
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": "10.244.0.0/24"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": "/run/cni-addresses",
    }
    bridge = {"type": "bridge", "bridge": "pods", "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": ipam}
    return {
        "cniVersion": "1.0.0",
        "name": "llmkube",
        "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }


def _containerd(tools: Path) -> str:
    return f"""version = 3
root = "{INSIDE}/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "{PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
  # Without CAP_SYS_RESOURCE a sandbox's oom_score_adj can not be lowered, and every pod would fail.
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["{tools}"]
    conf_dir = "{INSIDE}/cni"
"""


def _kubelet(layout: Layout) -> dict[str, object]:
    pki = f"{INSIDE}/pki"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.cgroup}",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
            "webhook": {"enabled": True},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/{NODE}.crt",
        "tlsPrivateKeyFile": f"{pki}/{NODE}.key",
        "clusterDNS": [layout.node_address],
        "clusterDomain": "cluster.local",
        "podLogsDir": f"{INSIDE}/log/pods",
        "failSwapOn": False,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    }


def _corefile(layout: Layout, *, internet: bool) -> str:
    # Without the internet there is nobody to ask, and asking would only make every unknown name slow.
    forward = f"forward . {_INTERNET_DNS}" if internet else ""
    return f""".:53 {{
  bind {layout.node_address}
  errors
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {INSIDE}/admin.kubeconfig
  }}
  {forward}
  cache 5
}}
"""


def _storage_paths() -> dict[str, object]:
    paths = {"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [f"{INSIDE}/pv"]}
    return {"nodePathMap": [paths]}


def _helper_pod() -> dict[str, object]:
    """The pod that makes and removes a volume's folder on the node."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "helper-pod"},
        "spec": {
            "priorityClassName": "system-node-critical",
            "tolerations": [{"operator": "Exists"}],
            "securityContext": {"runAsUser": 0, "runAsGroup": 0},
            "containers": [{"name": "helper-pod", "image": BASE_IMAGE, "imagePullPolicy": "Never"}],
        },
    }


def _storage_class() -> dict[str, object]:
    annotations = {
        "storageclass.kubernetes.io/is-default-class": "true",
        "defaultVolumeType": "local",  # to local volumes the kubelet applies fsGroup, to hostPath ones it does not
    }
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "local-path", "annotations": annotations},
        "provisioner": "rancher.io/local-path",
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    }


def _addons() -> dict[str, object]:
    """The objects that the storage provisioner needs, and the default storage class."""
    scripts = {
        "config.json": json.dumps(_storage_paths()),
        "setup": '#!/bin/sh\nset -eu\nmkdir -m 0777 -p "$VOL_DIR"\n',
        "teardown": '#!/bin/sh\nset -eu\nrm -rf "$VOL_DIR"\n',
        "helperPod.yaml": json.dumps(_helper_pod()),
    }
    named = {"namespace": _STORAGE}
    items = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _STORAGE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "local-path-provisioner", **named}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "local-path-config", **named}, "data": scripts},
        _storage_class(),
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}
