"""Runs Helm: the one that runs us, with the cluster and the rights that it was told."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from llmkube_plugin import installation
from llmkube_plugin.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkube_plugin.connection import Connection


def find_helm() -> str:
    """Return the program: what Helm says of itself when it runs a plugin, else the one on PATH."""
    found = os.environ.get("HELM_BIN") or shutil.which("helm")
    if not found:
        raise PluginError(
            "helm is not on PATH, and the chart is rendered with it",
            "Install Helm 3.18 or newer, put it on PATH, or name its path in HELM_BIN.",
        )
    return found


def find_chart(given: str | None) -> str:
    """Return the chart to render: the one given, else the one that came with the plugin."""
    if given:
        return given
    own = installation.CHART
    if (own / "Chart.yaml").exists():
        return str(own)
    raise PluginError(
        "the plugin was installed without the llmkube chart",
        "Name the chart with --chart: a directory, a package, or a reference such as oci://registry/llmkube.",
    )


def connection_flags(connection: Connection) -> list[str]:
    """Return the flags that name the cluster; what Helm has told us by environment variables it reads there itself."""
    flags = ["--namespace", connection.namespace] if connection.namespace else []
    flags += ["--kube-context", connection.context] if connection.context else []
    return flags + (["--kubeconfig", connection.kubeconfig] if connection.kubeconfig else [])


def start(arguments: Sequence[str], text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run Helm with `text` on its standard input, or with that of the plugin; return how it ended.

    Raises PluginError when there is no Helm that can be run.
    """
    line = [find_helm(), *arguments]
    try:
        return subprocess.run(line, input=text, capture_output=True, text=True, check=False)
    except OSError as error:
        raise PluginError(f"{line[0]} can not be run: {error.strerror}", "Correct HELM_BIN or PATH.") from error


def run(verb: str, arguments: Sequence[str], values: str, doing: str) -> str:
    """Run a verb of Helm with values on its standard input; return what it printed.

    Raises PluginError with Helm's own words when it fails; `doing` says in the error what was tried.
    """
    done = start([verb, *arguments, "--values", "-"], values)
    if done.returncode:
        raise PluginError(f"{doing} failed: {last_words(done)}", "Correct the options or values named there.")
    return done.stdout


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """Return why Helm failed, in its own words, without its advice on how to run it."""
    told = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("Use --debug")]
    return "\n".join(line.removeprefix("Error: ") for line in told) or f"it ended with exit code {done.returncode}"
