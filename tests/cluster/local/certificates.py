"""Certificates and kubeconfigs of a local cluster, by openssl: one authority, one certificate a component."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from cluster.local.layout import INSIDE, Layout

_EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]  # made in milliseconds, unlike RSA
_DAYS = "30"

# name -> subject
_CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "proxy": "/CN=system:kube-proxy",
}


def make_all(layout: Layout, nodes: dict[str, str]) -> None:
    """Makes every key, certificate and kubeconfig. `nodes` maps a node's name to its address."""
    pki = layout.state / "pki"
    pki.mkdir(parents=True)
    _openssl(
        pki, "req", "-x509", *_EC, "-keyout", "ca.key", "-subj", "/CN=llmkube-test", "-days", _DAYS, "-out", "ca.crt"
    )
    local = "IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
    _certificate(pki, "apiserver", "/CN=kube-apiserver", f"{local},IP:{layout.node_address}")
    for name, subject in _CLIENTS.items():
        _certificate(pki, name, subject, f"DNS:{name}")
        kubeconfig(layout, name)
    for node, address in nodes.items():
        _certificate(pki, node, f"/O=system:nodes/CN=system:node:{node}", f"DNS:{node},IP:{address}")
        kubeconfig(layout, node)
    _openssl(pki, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sa.key")
    _openssl(pki, "ec", "-in", "sa.key", "-pubout", "-out", "sa.pub")


def kubeconfig(layout: Layout, user: str) -> None:
    """Writes `<user>.kubeconfig` (for components, paths as seen inside) into the state folder."""
    _write_kubeconfig(layout, user, INSIDE / "pki", layout.state / f"{user}.kubeconfig")


def admin_kubeconfig(layout: Layout) -> Path:
    """Writes the kubeconfig for people and tests on this machine, and returns its path."""
    target = layout.state / "kubeconfig"
    _write_kubeconfig(layout, "admin", layout.state / "pki", target)
    return target


def _write_kubeconfig(layout: Layout, user: str, pki: Path, target: Path) -> None:
    context = f"llmkube-{layout.name}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": context, "cluster": {"server": layout.server, "certificate-authority": str(pki / "ca.crt")}}
        ],
        "users": [
            {
                "name": user,
                "user": {"client-certificate": str(pki / f"{user}.crt"), "client-key": str(pki / f"{user}.key")},
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": user}}],
        "current-context": context,
    }
    target.write_text(json.dumps(config, indent=2))
    target.chmod(0o600)


def _certificate(pki: Path, name: str, subject: str, alternatives: str) -> None:
    extensions = pki / f"{name}.ext"
    extensions.write_text(f"subjectAltName={alternatives}\nextendedKeyUsage=serverAuth,clientAuth\n")
    _openssl(pki, "req", "-new", *_EC, "-keyout", f"{name}.key", "-subj", subject, "-out", f"{name}.csr")
    authority = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
    _openssl(
        pki,
        "x509",
        "-req",
        "-in",
        f"{name}.csr",
        *authority,
        "-days",
        _DAYS,
        "-extfile",
        f"{name}.ext",
        "-out",
        f"{name}.crt",
    )


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"openssl {arguments[0]} failed: {done.stderr.strip()}"
        raise RuntimeError(message)
