"""What a demo leaves behind on purpose, and how it is removed: everything lies in one folder of the cache."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from cluster.local.processes import start_time
from toolchain.build import cache_root

CLUSTER_NAME = "demo"
NAMESPACE = "llmkube-demo"
RELEASE = "demo"


def folder() -> Path:
    """The folder of the running demo."""
    return cache_root() / "demo"


def start_hub(address: str) -> dict[str, str]:
    """Starts the stand-in for the Hugging Face hub as a process that outlives this one; returns its URLs."""
    root = folder() / "hub"
    log = folder() / "hub-requests.jsonl"
    command = [sys.executable, "-m", "fakehub", "--root", str(root), "--request-log", str(log)]
    process = subprocess.Popen(
        [*command, "--listen", f"{address}:0", "--cdn-listen", f"{address}:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    _remember(process.pid)
    assert process.stdout is not None
    urls: dict[str, str] = json.loads(process.stdout.readline())
    return urls


def stop_hubs() -> None:
    """Ends every hub that a demo started and that still runs."""
    record = folder() / "processes.json"
    known = json.loads(record.read_text()) if record.exists() else []
    for pid, started in known:
        if start_time(pid) == started:
            os.kill(pid, signal.SIGTERM)
    record.unlink(missing_ok=True)


def remove_folder() -> None:
    """Removes the demo's files."""
    shutil.rmtree(folder(), ignore_errors=True)


def _remember(pid: int) -> None:
    """Process ids are given away again, so the start time goes with each."""
    record = folder() / "processes.json"
    known = json.loads(record.read_text()) if record.exists() else []
    record.write_text(json.dumps([*known, [pid, start_time(pid)]]))
