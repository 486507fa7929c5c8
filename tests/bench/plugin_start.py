"""How long `helm llmkube` takes to start, from exec to exit, beside Helm and the bare interpreter.

HELM=<helm> python -m bench.plugin_start [--runs N]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.warm_start import measure

PLUGIN = Path(__file__).parent.parent.parent / "plugin"


def commands(helm: str) -> dict[str, list[str]]:
    """Installs the plugin for the Helm homes that the environment names, and returns what to time."""
    subprocess.run([helm, "plugin", "install", str(PLUGIN)], check=True, stdout=subprocess.DEVNULL)
    launcher, complete = str(PLUGIN / "bin" / "llmkube"), str(PLUGIN / "plugin.complete")
    show = "import sys; print(sys.executable)"
    python = subprocess.run(
        [
            "sh",
            "-c",
            f'here={PLUGIN}/bin; . "$here/python.sh"; find_environment; "$environment/bin/python" -c "{show}"',
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    return {
        "python -I -c pass": [python, "-I", "-c", "pass"],
        "helm version": [helm, "version"],
        "the plugin: --help": [launcher, "--help"],
        "the plugin: cache --help": [launcher, "cache", "--help"],
        "the plugin: cache clear --help": [launcher, "cache", "clear", "--help"],
        "completion of an option": [complete, "cache", "clear", "--dr"],
        "helm llmkube --help": [helm, "llmkube", "--help"],
        "helm __complete llmkube cache cl": [helm, "__complete", "llmkube", "cache", "cl"],
        "helm __complete ... clear --dr": [helm, "__complete", "llmkube", "cache", "clear", "--dr"],
    }


def main() -> None:
    """Prints a line for each."""
    parser = argparse.ArgumentParser(prog="bench.plugin_start", description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        os.environ.update({f"HELM_{name}_HOME": f"{folder}/{name}" for name in ("DATA", "CACHE", "CONFIG")})
        timed = commands(os.environ["HELM"])
        measure(timed, 2)
        taken = measure(timed, arguments.runs)
    print(f"{'milliseconds from exec to exit':<36} median    least")
    for name, times in taken.items():
        print(f"{name:<36} {statistics.median(times):6.1f}   {min(times):6.1f}")


if __name__ == "__main__":
    main()
