"""Checks of the machine: each either passes, mends what is missing, or says what to do.

Only the standard library is used: this runs before the development environment exists.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

MINIMUM_PYTHON = (3, 10)
MINIMUM_MEMORY = 7 * 2**30  # what a machine of 8 GiB has at least, after what its kernel keeps
MINIMUM_DISK = 16 * 2**30  # tools while they build 9, images and their scratch 3, volumes and logs the rest


@dataclass(frozen=True)
class Package:
    """A Debian package, and a command or file that shows that it is there on any distribution."""

    name: str
    evidence: str


_PYTHON = [Package("python3-venv", "ensurepip")]
_CLUSTER = [
    Package("iproute2", "ip"),
    Package("util-linux", "nsenter"),
    Package("iptables", "iptables"),
    Package("conntrack", "conntrack"),
    Package("ethtool", "ethtool"),
    Package("openssl", "openssl"),
    Package("slirp4netns", "slirp4netns"),
    Package("debootstrap", "debootstrap"),
    Package("buildah", "buildah"),
    Package("gcc", "gcc"),
    Package("libc6-dev", "/usr/include/stdio.h"),
    Package("libseccomp-dev", "/usr/include/seccomp.h"),
    Package("pkg-config", "pkg-config"),
]
_GITOPS = [
    Package("git", "git"),
    Package("redis-tools", "redis-check-rdb"),  # the server's own program, without a service that starts by itself
]
_TESTS = [
    *_GITOPS,
    Package("strace", "strace"),
    Package("util-linux", "unshare"),
    Package("mount", "mount"),
    Package("iproute2", "ip"),
    Package("e2fsprogs", "mkfs.ext4"),
    Package("xfsprogs", "mkfs.xfs"),
    Package("chromium", "chromium"),
    Package("bash-completion", "/usr/share/bash-completion/bash_completion"),
    Package("zsh", "zsh"),
    Package("fish", "fish"),
]
_BENCH = [
    Package("nginx-light", "/usr/sbin/nginx"),
    Package("curl", "curl"),
    Package("aria2", "aria2c"),
    Package("util-linux", "taskset"),
]
PURPOSES = {"python": _PYTHON, "cluster": _CLUSTER, "gitops": _GITOPS, "tests": _TESTS, "bench": _BENCH}


class PreflightError(Exception):
    """Something is missing that can not be mended here; the message says what to do."""


def check_python() -> None:
    """The Python that runs this is new enough for the project."""
    if sys.version_info < MINIMUM_PYTHON:
        wanted = ".".join(map(str, MINIMUM_PYTHON))
        message = (
            f"Python {wanted} or newer is needed, this is {sys.version.split()[0]}: make PYTHON=python{wanted} ..."
        )
        raise PreflightError(message)


def check_root() -> None:
    """A cluster from source needs root: it makes namespaces and mounts."""
    if os.geteuid() != 0:
        message = (
            "the cluster built from source needs root. Run as root, or use Docker with kind (found by itself), "
            "or name a cluster of yours: CONTEXT=<kubeconfig context>"
        )
        raise PreflightError(message)


def check_memory() -> None:
    """There is memory enough to link the largest tool and run a cluster."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if total < MINIMUM_MEMORY:
        message = f"{MINIMUM_MEMORY / 2**30:.0f} GiB of memory are needed, this machine has {total / 2**30:.1f}"
        raise PreflightError(message)


def check_disk(folder: Path) -> None:
    """There is disk enough below the cache folder for everything that is built and run."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < MINIMUM_DISK:
        message = (
            f"{MINIMUM_DISK / 2**30:.0f} GiB are needed below {folder}, {free / 2**30:.1f} are free: "
            "free some, or set XDG_CACHE_HOME to a folder on a larger disk"
        )
        raise PreflightError(message)


def missing(purpose: str) -> list[str]:
    """The Debian packages of a purpose whose evidence is not on this machine."""
    return [package.name for package in PURPOSES[purpose] if not _present(package.evidence)]


def install(packages: list[str]) -> None:
    """Installs Debian packages, or says which ones a person has to install."""
    if not packages:
        return
    names = " ".join(packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        message = f"these Debian packages are missing (other distributions name them alike): apt-get install {names}"
        raise PreflightError(message)
    print(f"installing Debian packages: {names} ...", file=sys.stderr, flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "--quiet=2", *command], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            message = f"apt-get {command[0]} failed: {done.stderr.strip()[-1500:]}"
            raise PreflightError(message)


def _present(evidence: str) -> bool:
    if evidence.startswith("/"):
        return Path(evidence).exists()
    if evidence == "ensurepip":
        done = subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True, check=False)
        return done.returncode == 0
    return shutil.which(evidence, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None
