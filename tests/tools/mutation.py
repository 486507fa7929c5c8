"""Changes the store in thousands of ways, one at a time, and says how many the tests notice; `make mutation` runs it.

Usage: mutation.py                the whole store, from the beginning
       mutation.py <mutants>...   those that the names or patterns stand for; of the others counts what is known of them

Exits with 1 when fewer are noticed than docs/reliability.md promises. What is changed, and which tests have to notice,
says downloader/setup.cfg; which changes went unnoticed, and how each looks, say `mutmut results` and `mutmut show`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOWNLOADER = Path(__file__).resolve().parents[2] / "downloader"
MUTANTS = DOWNLOADER / "mutants"
COUNTS = MUTANTS / "mutmut-cicd-stats.json"
LEAST_PERCENT = 85.0
_MUTMUT = Path(sys.executable).with_name("mutmut")


def score(counts: dict[str, int]) -> float:
    """Return how many percent of the mutants the tests noticed: they failed, or did not end.

    - counts: how many mutants came to what, as mutmut says it. One that no test runs is one that went unnoticed, and so
      is one that was not tried.
    """
    tried = counts["total"] - counts["skipped"]
    return 100 * (counts["killed"] + counts["timeout"]) / tried if tried else 0.0


def verdict(counts: dict[str, int]) -> tuple[str, int]:
    """Return what is to be said of the counts, and the exit status."""
    reached, outcomes = score(counts), [f"{name} {count}" for name, count in counts.items() if count]
    said = f"mutation score {reached:.1f} % ({', '.join(outcomes)})"
    if reached >= LEAST_PERCENT:
        return said, 0
    return f"{said}: less than {LEAST_PERCENT:g} %", 1


def main(mutants: list[str]) -> int:
    """Try the mutants, all of them when none are named, and return the exit status."""
    if not mutants and MUTANTS.exists():
        # What the tests noticed or not when they were others says nothing.
        shutil.rmtree(MUTANTS)
    with tempfile.TemporaryDirectory(prefix="llmkube-mutation-") as scratch:
        # A mutant's process is gone at once and tidies nothing up. Compiled tests are what makes the others start fast.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment["TMPDIR"] = scratch
        subprocess.run([_MUTMUT, "run", *mutants], cwd=DOWNLOADER, env=environment, check=True)
        subprocess.run([_MUTMUT, "export-cicd-stats"], cwd=DOWNLOADER, env=environment, check=True)
    said, status = verdict(json.loads(COUNTS.read_text()))
    print(said, file=sys.stderr if status else sys.stdout)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
