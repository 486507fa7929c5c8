"""How long a start from a filled cache takes, from exec to exit, beside the bare interpreter and other tools.

The hub that `hf download` asks whether anything has changed is on the same machine, and answers at once.

python -m bench.warm_start [--runs N] [--python PYTHON]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import click

import llmkube_downloader
from bench.origin import hub

# As downloader/install.py writes it.
SCRIPT = """#!{python} -IS
import sys

sys.path.insert(0, "{lib}")
from llmkube_downloader.{module} import main

main()
"""


def prepare(folder: Path, repositories: Path, python: str) -> dict[str, list[str]]:
    """Installs the downloader as in the image, fills a cache with one file and with 200, and returns what to time.

    - repositories: what the hub serves.
    """
    lib = folder / "lib"
    for package in (llmkube_downloader, click):
        source = Path(str(package.__file__)).parent
        shutil.copytree(source, lib / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    compiled = [python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(lib)]
    subprocess.run(compiled, check=True)
    commands = {"bare interpreter": [python, "-I", "-S", "-c", "pass"]}
    sources = {f"{count} file{'s' if count > 1 else ''}": _files(repositories, count) for count in (1, 200)}
    for name, module in (("full command line", "cli"), ("warm start", "launch")):
        script = folder / module
        script.write_text(SCRIPT.format(python=python, lib=lib, module=module))
        script.chmod(0o755)
        for count, source in sources.items():
            fetch = [str(script), "fetch", f"file://{source}", "--root", str(folder / "models")]
            subprocess.run(fetch, check=True, capture_output=True)
            commands[f"{name}, {count}"] = fetch
    for count, source in sources.items():
        download = [f"{Path(sys.executable).parent}/hf", "download", f"acme/{source.parent.name}", "--local-dir"]
        commands[f"hf download --local-dir, {count}"] = [*download, str(folder / source.parent.name)]
        subprocess.run(commands[f"hf download --local-dir, {count}"], check=True, capture_output=True)
    return commands


def measure(commands: dict[str, list[str]], runs: int) -> dict[str, list[float]]:
    """Returns the milliseconds of every run; the commands take turns, so that what else the machine does hits all."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            taken[name].append((time.perf_counter() - began) * 1000)
    return taken


def main() -> None:
    """Prints a line for each."""
    parser = argparse.ArgumentParser(prog="bench.warm_start", description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--python", default=sys.executable, help="the interpreter that starts are timed with")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder, TemporaryDirectory() as repositories, hub(Path(repositories)) as endpoint:
        os.environ.update(HF_ENDPOINT=endpoint, HF_HUB_DISABLE_TELEMETRY="1", HF_HOME=f"{folder}/hf-home")
        taken = measure(prepare(Path(folder), Path(repositories), arguments.python), arguments.runs)
    print(f"{'milliseconds from exec to exit':<36} median    least")
    for name, times in taken.items():
        print(f"{name:<36} {statistics.median(times):6.1f}   {min(times):6.1f}")


def _files(repositories: Path, count: int) -> Path:
    """Makes a repository with small files, and returns their directory."""
    repository = repositories / "acme" / f"with-{count}" / "main"
    repository.mkdir(parents=True)
    for number in range(count):
        (repository / f"{number:03}.json").write_text("{}")
    return repository


if __name__ == "__main__":
    main()
