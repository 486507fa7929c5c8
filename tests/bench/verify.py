"""How fast one large entry is read again, on one core and on two, beside sha256sum.

python -m bench.verify [--rounds N] [--gib N]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.cold import MEMORY, write_model

_DOWNLOADER = [sys.executable, "-m", "llmkube_downloader"]


def main() -> None:
    """Print a line for each, with GB/s and how many times as fast as sha256sum it is."""
    parser = argparse.ArgumentParser(prog="bench.verify", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gib", type=float, default=4)
    arguments = parser.parse_args()
    size = int(arguments.gib * 1024**3)
    with TemporaryDirectory(dir=MEMORY) as folder:
        commands = _commands(Path(folder), size)
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(arguments.rounds):
            for name, command in commands.items():
                began = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                taken[name].append(time.perf_counter() - began)
    slowest = statistics.median(taken["sha256sum"])
    print(f"one file of {arguments.gib:g} GiB in memory, median of {arguments.rounds} rounds")
    print(f"{'':<24} seconds    GB/s  x sha256sum")
    for name, walls in taken.items():
        wall = statistics.median(walls)
        print(f"{name:<24} {wall:7.2f} {size / wall / 1e9:7.2f} {slowest / wall:12.2f}")


def _commands(folder: Path, size: int) -> dict[str, list[str]]:
    """Fill a cache with one file, and return what to time."""
    model, root = folder / "model.gguf", folder / "models"
    write_model(model, size)
    subprocess.run([*_DOWNLOADER, "fetch", f"file://{model}", "--root", str(root)], check=True, capture_output=True)
    model.unlink()
    entry = next(root.glob("*/model.gguf"))
    first, second = sorted(os.sched_getaffinity(0))[:2]
    verify = [*_DOWNLOADER, "verify", "--root", str(root)]
    return {
        "sha256sum": ["taskset", "-c", str(first), "sha256sum", str(entry)],
        "verify, one core": ["taskset", "-c", str(first), *verify],
        "verify, two cores": ["taskset", "-c", f"{first},{second}", *verify],
    }


if __name__ == "__main__":
    main()
