"""How long `cache list` takes over 1,000 pods and 1,000 entries, beside the typed models of the Kubernetes client.

python -m bench.listing [--rounds N] [--teams N] [--servers N]

A real API server keeps the objects; no node runs the pods. Whole processes are timed, and take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from apiserver.client import Api
from bench import crowd
from chart.rendering import ROOT, Renderer
from cluster.choice import choice
from cluster.local import bringup
from cluster.provider import tools_folder

_ASKED = ["cache", "list", "--all-namespaces"]
# As plugin/bin/llmkube starts it, with this Python instead of the plugin's own environment.
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from llmkube_plugin.cli import main; main()"
_OURS = "cache list"
_TYPED = "the same through typed models"


def main() -> None:
    """Print a line for each way to list, with milliseconds and how many times as fast as the typed models it is."""
    parser = argparse.ArgumentParser(prog="bench.listing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--teams", type=int, default=20, help=f"namespaces with {crowd.ENTRIES} entries and pods each")
    parser.add_argument("--servers", type=int, default=10, help="releases of each that serve an entry of their own")
    arguments = parser.parse_args()
    if choice() != "local":
        sys.exit("bench.listing runs an API server in namespaces of this machine: as root on Linux")
    tools = tools_folder(("kube", "etcd", "pause", "helm"))
    name = f"bench-{os.getpid()}"
    try:
        running = bringup.up(name, tools, [], os.getpid(), count=0)
        api = Api(running)
        chart = Renderer(str(tools / "helm"))
        print(f"an API server gets {arguments.teams * crowd.ENTRIES} entries and as many pods ...", file=sys.stderr)
        crowd.fill(api, chart, teams=arguments.teams, servers=arguments.servers)
        api.close()
        with TemporaryDirectory() as folder:
            _measure(_commands(running.kubeconfig, tools, Path(folder)), arguments.rounds)
    finally:
        bringup.down(name)


def _commands(kubeconfig: Path, tools: Path, folder: Path) -> dict[str, list[str]]:
    """Return what to time; the plugin is linked into a plugin folder of its own for Helm."""
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "llmkube").symlink_to(ROOT / "plugin")
    direct = [sys.executable, "-I", "-c", _START, str(ROOT / "plugin" / "src"), *_ASKED]
    return {
        _OURS: [*direct, "--kubeconfig", str(kubeconfig)],
        "helm llmkube cache list": [
            *("env", f"HELM_PLUGINS={plugins}", f"KUBECONFIG={kubeconfig}", str(tools / "helm"), "llmkube", *_ASKED)
        ],
        _TYPED: [sys.executable, "-m", "bench.typed", str(kubeconfig)],
    }


def _measure(commands: dict[str, list[str]], rounds: int) -> None:
    """Time the commands in turns, after one round to warm up, and print the medians."""
    found = json.loads(_output([*commands[_OURS], "-o", "json"]))["entries"]
    lines = _output(commands[_TYPED]).splitlines()
    assert len(found) == len(lines), f"{len(found)} entries here, {len(lines)} through the typed models"
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            processor, began = _processor(), time.perf_counter()
            _output(command)
            taken[name].append(((time.perf_counter() - began) * 1000, (_processor() - processor) * 1000))
    medians = {name: [statistics.median(each) for each in zip(*runs[1:], strict=True)] for name, runs in taken.items()}
    print(f"\n{len(found)} entries, median of {rounds} rounds\n{'':<32} clock ms  processor ms  x typed models")
    for name, (clock, processor) in medians.items():
        print(f"{name:<32} {clock:8.0f} {processor:13.0f} {medians[_TYPED][0] / clock:15.1f}")


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
