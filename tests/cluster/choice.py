"""Which cluster a run is for; needs nothing but Python's standard library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys


def choice() -> str:
    """`local`, `kind` or `context:<name>`: what CONTEXT or LLMKUBE_TEST_CLUSTER says, or what this machine can do."""
    if os.environ.get("CONTEXT"):
        return f"context:{os.environ['CONTEXT']}"
    chosen = os.environ.get("LLMKUBE_TEST_CLUSTER", "")
    if chosen:
        return chosen
    if sys.platform == "linux" and os.geteuid() == 0:
        return "local"
    if shutil.which("docker") and _answers(["docker", "info"]):
        return "kind"
    message = (
        "no cluster to run on: run as root on Linux (one is built from source), start Docker and install kind, "
        "or name a cluster of yours: CONTEXT=<kubeconfig context>"
    )
    raise RuntimeError(message)


def _answers(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0
