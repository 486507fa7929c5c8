"""What the tests and the demo make of Go modules: tools that are built, and files that are taken out."""

from __future__ import annotations

from dataclasses import dataclass, field

KUBERNETES = "v1.36.3"
_STRIP = "-s -w"
_CNI = "github.com/containernetworking/plugins/plugins"


@dataclass(frozen=True)
class Tool:
    """One or more binaries of one module.

    `packages` maps a Go package to the file name of its binary. `seconds` is what a cold build usually takes on two
    cores, told to the person who waits. `links` are further names under which the first binary is found.
    """

    name: str
    module: str
    describe: str
    packages: dict[str, str]
    seconds: int
    ldflags: str = _STRIP
    tags: str = ""
    cgo: bool = False
    links: tuple[str, ...] = field(default=())

    @property
    def products(self) -> tuple[str, ...]:
        """The names of what is in the tool's folder for its users."""
        return (*self.packages.values(), *self.links)


@dataclass(frozen=True)
class Files:
    """Files of Go modules that are used as they are, checked against the module's go.sum like all that is built.

    `files` maps a Go module that `module` requires to paths below it. All of them come into one folder, without the
    folders they were in; it is found by the name of the set: `ensure(["crds"])["crds"]` is a folder of YAML files.
    """

    name: str
    module: str
    describe: str
    files: dict[str, tuple[str, ...]]
    seconds: int

    @property
    def products(self) -> tuple[str, ...]:
        """The folder itself."""
        return (".",)


def _kubernetes() -> Tool:
    version = "k8s.io/component-base/version"
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    # Without a version the clients see v0.0.0 and refuse features.
    stamp = f"-X {version}.gitVersion={KUBERNETES} -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
    components = "kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy"
    return Tool(
        name="kube",
        module="core",
        describe=f"Kubernetes {KUBERNETES}, all components in one binary, and kubectl",
        # kubectl is started thousands of times: alone it does so in half the time.
        packages={"./kube": "kube", "k8s.io/kubernetes/cmd/kubectl": "kubectl"},
        seconds=300,
        ldflags=f"{_STRIP} {stamp}",
        links=tuple(components.split()),
    )


def _crds() -> Files:
    """The real definitions of the kinds that the chart can render beside Kubernetes' own.

    To add one: its file here, its module in crds/go.mod, and `go mod download MODULE` there, which adds to go.sum.
    """
    prometheus = "example/prometheus-operator-crd/monitoring.coreos.com"
    return Files(
        "crds",
        "crds",
        "definitions of Gateway API v1.6.3, Prometheus Operator v0.85.0 and KEDA v2.21.0",
        {
            "sigs.k8s.io/gateway-api": ("config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",),
            "github.com/prometheus-operator/prometheus-operator": (
                f"{prometheus}_podmonitors.yaml",
                f"{prometheus}_servicemonitors.yaml",
            ),
            "github.com/kedacore/keda/v2": (
                "config/crd/bases/keda.sh_scaledobjects.yaml",
                "config/crd/bases/keda.sh_triggerauthentications.yaml",
            ),
        },
        5,
    )


TOOLS: dict[str, Tool | Files] = {
    tool.name: tool
    for tool in (
        _kubernetes(),
        Tool("etcd", "core", "etcd v3.7.3", {"./etcd": "etcd"}, 15),
        Tool("pause", "core", "the sandbox process", {"./pause": "pause"}, 2),
        Tool(
            "cni",
            "core",
            "container network plugins v1.9.1",
            {
                f"{_CNI}/ipam/host-local": "host-local",
                f"{_CNI}/main/bridge": "bridge",
                f"{_CNI}/main/loopback": "loopback",
                f"{_CNI}/meta/portmap": "portmap",
            },
            5,
        ),
        Tool("helm", "core", "Helm v4.3.1", {"helm.sh/helm/v4/cmd/helm": "helm"}, 30),
        Tool("coredns", "core", "CoreDNS v1.15.0", {"github.com/coredns/coredns": "coredns"}, 60),
        Tool(
            "containerd",
            "containerd",
            "containerd v2.4.2",
            {
                "github.com/containerd/containerd/v2/cmd/containerd": "containerd",
                "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2": "containerd-shim-runc-v2",
                "github.com/containerd/containerd/v2/cmd/ctr": "ctr",
            },
            100,
        ),
        Tool("runc", "runc", "runc v1.5.2", {"github.com/opencontainers/runc": "runc"}, 15, tags="seccomp", cgo=True),
        Tool(
            "local-path-provisioner",
            "local-path-provisioner",
            "local-path-provisioner v0.0.30",
            {"github.com/rancher/local-path-provisioner": "local-path-provisioner"},
            85,
        ),
        Tool(
            "csi",
            "csi",
            "network disks: a driver, csi-provisioner v6.3.0, csi-attacher v4.12.0 and csi-resizer v2.2.0",
            {
                "./disks": "disks",
                "github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner": "csi-provisioner",
                "github.com/kubernetes-csi/external-attacher/v4/cmd/csi-attacher": "csi-attacher",
                "github.com/kubernetes-csi/external-resizer/v2/cmd/csi-resizer": "csi-resizer",
            },
            230,
        ),
        Tool("helm3", "helm3", "Helm v3.22.0", {"helm.sh/helm/v3/cmd/helm": "helm3"}, 75),
        Tool(
            "helm-unittest",
            "helm-unittest",
            "helm-unittest v1.1.2",
            {"github.com/helm-unittest/helm-unittest/cmd/helm-unittest": "helm-unittest"},
            45,
        ),
        Tool("ct", "chart-testing", "chart-testing v3.14.0", {"github.com/helm/chart-testing/v3/ct": "ct"}, 10),
        _crds(),
        Tool(
            "flux",
            "flux",
            "Flux's source-controller v1.9.1 and helm-controller v1.6.4, and crane v0.22.1 as a registry",
            {
                "github.com/fluxcd/source-controller": "source-controller",
                "github.com/fluxcd/helm-controller": "helm-controller",
                "github.com/google/go-containerregistry/cmd/crane": "crane",
            },
            240,
        ),
        Files(
            "flux-crds",
            "flux",
            "definitions of Flux's kinds",
            {
                "github.com/fluxcd/source-controller": tuple(
                    f"config/crd/bases/source.toolkit.fluxcd.io_{kind}.yaml"
                    for kind in (
                        *("buckets", "externalartifacts", "gitrepositories"),
                        *("helmcharts", "helmrepositories", "ocirepositories"),
                    )
                ),
                "github.com/fluxcd/helm-controller": ("config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml",),
            },
            5,
        ),
        Tool(
            "argocd",
            "argocd",
            "Argo CD v3.2.6, its controllers and its renderer in one binary",
            {"./argocd": "argocd"},
            180,
            links=("argocd-application-controller", "argocd-applicationset-controller", "argocd-repo-server"),
        ),
        Files(
            "argocd-crds",
            "argocd",
            "definitions of Argo CD's kinds",
            {
                "github.com/argoproj/argo-cd/v3": tuple(
                    f"manifests/crds/{kind}-crd.yaml" for kind in ("application", "applicationset", "appproject")
                )
            },
            10,
        ),
    )
}

CLUSTER = ("kube", "etcd", "pause", "cni", "coredns", "containerd", "runc", "local-path-provisioner")
GITOPS = ("flux", "flux-crds", "argocd", "argocd-crds")
SETS: dict[str, tuple[str, ...]] = {
    "chart": ("helm", "helm-unittest", "ct", "helm3"),
    "cluster": CLUSTER,
    "demo": ("helm", *CLUSTER),
    "demo-foreign": ("helm",),
    "gitops": ("helm", *GITOPS, *CLUSTER),
    "test": ("helm", "helm-unittest", "ct", "helm3", "crds", "csi", *GITOPS),
}


def members(name: str) -> tuple[str, ...]:
    """The tools of a set; a tool is one of its own."""
    return SETS.get(name, (name,))
