"""How fast a model is fetched, beside the tools that people use today. All take turns against one server.

python -m bench.cold [--rounds N] [--scale F]

Ours is verified (SHA-256) and durable (synced) when it ends; the others are neither, but where a line says so.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.origin import FILE, REPOSITORY, Site, serving

GIB = 1024**3
# Directories in memory and on the disk; whatever is made there has a name of its own.
MEMORY = Path("/dev/shm")  # noqa: S108
_DISK = Path("/var/tmp")  # noqa: S108
_TRICKLE = 64 * 1024 * 1024


@dataclass(frozen=True)
class Contender:
    """A way to have the model in a folder: a shell command in which {url}, {hub} and {folder} stand for these."""

    name: str
    command: str


@dataclass(frozen=True)
class Taken:
    """What one run took, in seconds of the clock and of the processor."""

    wall: float
    processor: float


OURS = Contender(
    "llmkube-downloader fetch (verified, durable)",
    f"HF_ENDPOINT={{hub}} {sys.executable} -m llmkube_downloader fetch hf://{REPOSITORY}/{FILE} --root {{folder}}",
)
HF = Contender(
    "hf download --local-dir",
    "HF_ENDPOINT={hub} HF_HUB_DISABLE_PROGRESS_BARS=1 HF_HUB_DISABLE_TELEMETRY=1 "
    f"{Path(sys.executable).parent}/hf download {REPOSITORY} {FILE} --local-dir {{folder}}",
)
CURL = Contender("curl", "curl -sSf -o {folder}/model.gguf {url}")
CURL_SYNC = Contender("curl && sync (durable)", "curl -sSf -o {folder}/model.gguf {url} && sync {folder}/model.gguf")
ARIA2 = Contender("aria2c -x16 -s16", "aria2c -q -x16 -s16 -k1M -d {folder} -o model.gguf {url}")


def run(contender: Contender, site: Site, parent: Path) -> Taken:
    """Fetch the model once into an empty folder."""
    folder = parent / "target"
    folder.mkdir()
    command = contender.command.format(url=site.url, hub=site.hub, folder=folder)
    before = _processor()
    began = time.perf_counter()
    subprocess.run(["/bin/sh", "-c", command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    taken = Taken(time.perf_counter() - began, _processor() - before)
    shutil.rmtree(folder)
    os.sync()
    return taken


def compare(
    title: str, contenders: list[Contender], rounds: int, once: Callable[[Contender], Taken], size: int
) -> None:
    """Let the contenders take turns, and print medians and how many times slower than ours each one is."""
    taken: dict[Contender, list[Taken]] = {contender: [] for contender in contenders}
    for contender in [*contenders * (rounds + 1)]:
        taken[contender].append(once(contender))
    walls = {contender: statistics.median(each.wall for each in runs[1:]) for contender, runs in taken.items()}
    print(f"\n{title}, {size / GIB:.2f} GiB, median of {rounds} rounds after one to warm up")
    print(f"{'':<46} seconds    GB/s  CPU s/GB  x ours")
    for contender, runs in taken.items():
        wall = walls[contender]
        processor = statistics.median(each.processor for each in runs[1:])
        rate, cost = size / wall / 1e9, processor / (size / 1e9)
        print(
            f"{contender.name:<46} {wall:7.2f} {rate:7.2f} {cost:9.2f} {wall / walls[contenders[0]]:7.2f}", flush=True
        )


def main() -> None:
    """Print three tables: in memory, on disk, and from a server that is slow for each connection."""
    parser = argparse.ArgumentParser(prog="bench.cold", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the sizes")
    arguments = parser.parse_args()
    rounds = arguments.rounds
    # The others were compiled when they were installed; ours is in the round to warm up.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for title, gib, place, which, others in (
        ("to memory", 4, MEMORY, 0, [HF, CURL, ARIA2]),
        ("to disk", 1, _DISK, 0, [HF, CURL_SYNC, ARIA2]),
        ("50 MiB/s per connection, to memory", 1, MEMORY, 1, [HF, CURL, ARIA2]),
    ):
        size = int(gib * GIB * arguments.scale)
        with TemporaryDirectory(dir=MEMORY) as served, TemporaryDirectory(dir=place) as target:
            Path(served).chmod(0o755)
            write_model(Path(served) / FILE, size)
            with serving(Path(served)) as sites:
                site = sites[which]
                compare(title, [OURS, *others], rounds, partial(run, site=site, parent=Path(target)), size)


def write_model(path: Path, size: int) -> None:
    """Write a GGUF header with random bytes after it."""
    with path.open("wb") as model:
        model.write(b"GGUF" + (3).to_bytes(4, "little") + bytes(16))
        noise = os.urandom(_TRICKLE)
        while model.tell() < size:
            model.write(noise[: size - model.tell()])


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
