"""The processes that a local cluster has once, and their configuration. Paths are those inside its namespaces."""

from __future__ import annotations

import json
from dataclasses import dataclass

from cluster.local.layout import INSIDE, Layout

POD_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
PAUSE_IMAGE = "llmkube.local/pause:test"
BASE_IMAGE = "llmkube.local/base:test"
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


def write_configuration(layout: Layout, *, internet: bool) -> None:
    """Writes the configuration files of the components that a cluster has once into the state folder."""
    for folder in ("etcd", "pv", "log", "storage"):
        (layout.state / folder).mkdir(parents=True, exist_ok=True)
    write(layout, "Corefile", _corefile(layout, internet=internet))
    write(layout, "storage/config.json", _storage_paths())
    write(layout, "storage/helperPod.json", _helper_pod())
    write(layout, "addons.json", _addons())


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


def proxy(layout: Layout) -> Component:
    """Service addresses, as iptables rules of the cluster's own network namespace."""
    return Component(
        "kube-proxy",
        [
            *(
                "kube-proxy",
                "--kubeconfig",
                f"{INSIDE}/proxy.kubeconfig",
                "--hostname-override",
                layout.nodes(1)[0].name,
            ),
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


def write(layout: Layout, name: str, content: str | dict[str, object]) -> None:
    """Writes one file below the state folder; what is no text becomes JSON."""
    text = content if isinstance(content, str) else json.dumps(content, indent=2)
    (layout.state / name).write_text(text)


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
        "reclaimPolicy": "Retain",  # folders go with the cluster: a pod that removes each costs as much as using it
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
