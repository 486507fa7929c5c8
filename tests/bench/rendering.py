"""How long helm takes to render the chart: beside an empty chart, and with more and more models to preload.

python -m bench.rendering [--rounds N]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from chart.rendering import CHART, SERVING, nested

_MODELS = (0, 50, 100, 200)


def main() -> None:
    """Print two tables: milliseconds of the clock and of the processor, and how they grow with the models."""
    parser = argparse.ArgumentParser(prog="bench.rendering", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with TemporaryDirectory() as folder:
        place = Path(folder)
        empty, serving = _empty_chart(place), _values(place, "serving", nested(SERVING))
        taken = measure({"an empty chart": [empty], "one model": [str(CHART), "--values", serving]}, rounds)
        _tell(f"helm template, median of {rounds} rounds", taken)
        caches = {f"{count} models": [str(CHART), "--values", _cache(place, count)] for count in _MODELS}
        _tell("a cache-only release with", measure(caches, max(3, rounds // 5)))


def measure(arguments: dict[str, list[str]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return milliseconds of clock and processor of every run; they take turns, after one round to warm up."""
    helm = os.environ.get("HELM", "helm")
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in arguments}
    for _ in range(rounds + 1):
        for name, more in arguments.items():
            processor, began = _processor(), time.perf_counter()
            subprocess.run([helm, "template", "chat", *more], check=True, stdout=subprocess.DEVNULL)
            taken[name].append(((time.perf_counter() - began) * 1000, (_processor() - processor) * 1000))
    return {name: runs[1:] for name, runs in taken.items()}


def _tell(title: str, taken: dict[str, list[tuple[float, float]]]) -> None:
    print(f"\n{title:<46}  clock ms  processor ms  more than the first")
    first: float | None = None
    for name, runs in taken.items():
        clock, processor = (statistics.median(each) for each in zip(*runs, strict=True))
        first = clock if first is None else first
        print(f"{name:<46} {clock:9.1f} {processor:13.1f} {clock - first:20.1f}", flush=True)


def _empty_chart(place: Path) -> str:
    chart = place / "empty"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "empty", "version": "1.0.0"}))
    return str(chart)


def _values(place: Path, name: str, values: dict[str, Any]) -> str:
    path = place / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values))
    return str(path)


def _cache(place: Path, count: int) -> str:
    models = {f"m{number:03}": {"source": f"hf://acme/model-{number}/model.gguf"} for number in range(count)}
    return _values(place, f"cache-{count}", nested({"modelCache.size": "1Ti", "preload.models": models}))


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
