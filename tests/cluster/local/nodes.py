"""What each node of a local cluster has of its own: a container runtime, a kubelet, addresses for its pods."""

from __future__ import annotations

from pathlib import Path

from cluster.local.components import PAUSE_IMAGE, Component, write
from cluster.local.layout import INSIDE, Node


def write_configuration(node: Node, tools: Path) -> None:
    """Writes the configuration files of the node's components into the state folder."""
    for folder in ("cni", "kubelet", "containerd"):
        (node.layout.state / node.name / folder).mkdir(parents=True, exist_ok=True)
    write(node.layout, f"{node.name}/cni/10-bridge.conflist", _cni(node))
    write(node.layout, f"{node.name}/containerd.toml", _containerd(node, tools))
    write(node.layout, f"{node.name}/kubelet.json", _kubelet(node))


def containerd(node: Node) -> Component:
    """The container runtime."""
    return Component(f"containerd-{node.number}", ["containerd", "--config", f"{node.folder}/containerd.toml"])


def kubelet(node: Node) -> Component:
    """The node agent."""
    return Component(
        f"kubelet-{node.number}",
        [
            *("kubelet", "--config", f"{node.folder}/kubelet.json", "--kubeconfig", f"{INSIDE}/{node.name}.kubeconfig"),
            *("--hostname-override", node.name, "--node-ip", node.address, "--root-dir", f"{node.folder}/kubelet"),
            *("--cert-dir", f"/run/kubelet-certificates-{node.number}"),
        ],
    )


def _cni(node: Node) -> dict[str, object]:
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": node.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": f"/run/cni-addresses-{node.number}",
    }
    bridge = {
        "type": "bridge",
        "bridge": f"pods{node.number}",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": ipam,
    }
    return {
        "cniVersion": "1.0.0",
        "name": f"llmkube-{node.number}",
        "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }


def _containerd(node: Node, tools: Path) -> str:
    return f"""version = 3
root = "{node.folder}/containerd"
state = "{node.runtime}"
[grpc]
  address = "{node.socket}"
# Its socket is at a fixed path, which only one node could have.
[plugins.'io.containerd.nri.v1.nri']
  disable = true
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "{PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
  # Without CAP_SYS_RESOURCE a sandbox's oom_score_adj can not be lowered, and every pod would fail.
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["{tools}"]
    conf_dir = "{node.folder}/cni"
"""


def _kubelet(node: Node) -> dict[str, object]:
    pki = f"{INSIDE}/pki"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.address,
        "healthzPort": 10247 + node.number,
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.cgroup}",
        "containerRuntimeEndpoint": f"unix://{node.socket}",
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
            "webhook": {"enabled": True},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/{node.name}.crt",
        "tlsPrivateKeyFile": f"{pki}/{node.name}.key",
        "clusterDNS": [node.layout.node_address],
        "clusterDomain": "cluster.local",
        "podLogsDir": f"{INSIDE}/log/pods-{node.number}",
        "failSwapOn": False,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    }
