"""Where the engines take the chart from: a Git repository, a Helm repository and a container registry, all for real.

What they serve is the chart of this checkout with other defaults: the images and the hub of the tests. So the manifests
in values-examples/ are applied as they are, but for the addresses in them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from e2e.kit import CHART, Helm

_GIT_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{role}_{key}": "tests@llmkube.local" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")},
}


@dataclass(frozen=True)
class Addresses:
    """Under which address the engines find what the examples take from example.com."""

    git: str
    charts: str
    registry: str

    def put_into(self, text: str) -> str:
        """A manifest with the addresses of here."""
        for theirs, ours in {
            "https://git.example.com/platform/llmkube.git": self.git,
            "https://charts.example.com": self.charts,
            "registry.example.com": self.registry,
        }.items():
            text = text.replace(theirs, ours)
        return text


class Sources:
    """The chart, published in all three places from one folder.

    - root: `root/git` and `root/charts` are what the web server serves.
    - defaults: values of the chart in place of its own.
    """

    def __init__(self, root: Path, addresses: Addresses, helm: Helm, defaults: Mapping[str, Any]) -> None:
        self.addresses = addresses
        self._root = root
        self._helm = helm
        self._work = root / "work"
        self._chart = self._work / "charts" / "llmkube"
        shutil.copytree(CHART, self._chart, ignore=shutil.ignore_patterns("tests"))
        values = self._chart / "values.yaml"
        values.write_text(yaml.safe_dump(merged(yaml.safe_load(values.read_text()), defaults)))
        (root / "git").mkdir()
        self._git("init", "--quiet", "--initial-branch=main")
        self._git("init", "--quiet", "--bare", "--initial-branch=main", str(root / "git" / "llmkube.git"))
        self.publish("0.1.0")

    def publish(self, version: str) -> str:
        """Publishes the chart under a version, everywhere, and returns the Git commit."""
        meta = self._chart / "Chart.yaml"
        meta.write_text(yaml.safe_dump(yaml.safe_load(meta.read_text()) | {"version": version}))
        charts = self._root / "charts"
        self._helm("package", str(self._chart), "--destination", str(charts))
        self._helm("repo", "index", str(charts), "--url", self.addresses.charts)
        package = str(charts / f"llmkube-{version}.tgz")
        self._helm("push", package, f"oci://{self.addresses.registry}/charts", "--plain-http")
        return self.commit(f"Version {version}", {})

    def commit(self, message: str, files: Mapping[str, str]) -> str:
        """Writes files into the Git repository and returns the commit."""
        for path, text in files.items():
            target = self._work / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", message)
        self._git("push", "--quiet", str(self._root / "git" / "llmkube.git"), "main")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self._work,
            env=os.environ | _GIT_ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            message = f"git {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()}"
            raise RuntimeError(message)
        return done.stdout


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, as Helm does with values."""
    result = dict(base)
    for name, value in over.items():
        below = result.get(name)
        nested = isinstance(value, Mapping) and isinstance(below, Mapping)
        result[name] = merged(below, value) if nested and below else value
    return result
