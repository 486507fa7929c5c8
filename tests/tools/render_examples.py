"""Render every values file of values-examples/ to the golden file beside it, so that a review shows what changes.

Usage: render_examples.py            write the golden files
       render_examples.py --check    exit 1 when one is not what would be written

The helm binary is the one the environment variable HELM names, else `helm` on PATH.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "llmkube"
EXAMPLES = ROOT / "values-examples"
GOLDEN_SUFFIX = ".rendered.yaml"
# Helm's builds assume different clusters when there is none.
KUBERNETES = "1.36.0"


class RenderError(Exception):
    """Helm could not render an example; the text is what it said."""


def examples() -> list[Path]:
    """Return the values files, in the order of their names."""
    return sorted(path for path in EXAMPLES.glob("*.yaml") if not path.name.endswith(GOLDEN_SUFFIX))


def golden_of(example: Path) -> Path:
    """Return the golden file of a values file."""
    return example.with_name(example.stem + GOLDEN_SUFFIX)


def render(example: Path, helm: str) -> str:
    """Return what a values file renders, as a release of its own name.

    Raises RenderError: helm refused it.
    """
    command = [helm, "template", example.stem, str(CHART), "--namespace", "models", "--values", str(example)]
    command += ["--kube-version", KUBERNETES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RenderError(f"{example.name} does not render: {done.stderr.strip()}")
    return in_one_spelling(done.stdout)


def in_one_spelling(manifests: str) -> str:
    """Return rendered manifests without the empty lines between them, in which Helm's versions differ."""
    documents = [document.strip("\n") for document in f"\n{manifests}".split("\n---\n")]
    return "".join(f"---\n{document}\n" for document in documents if document)


def stale(helm: str) -> list[Path]:
    """Return the golden files that are not what would be written now, and those without an example."""
    known = {golden_of(example): render(example, helm) for example in examples()}
    orphans = [path for path in EXAMPLES.glob(f"*{GOLDEN_SUFFIX}") if path not in known]
    changed = [path for path, content in known.items() if not path.exists() or path.read_text("utf-8") != content]
    return sorted(changed + orphans)


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Render values-examples/ to its golden files.")
    parser.add_argument("--check", action="store_true", help="fail when a golden file is not up to date")
    options = parser.parse_args(arguments)
    helm = os.environ.get("HELM", "helm")
    try:
        if options.check:
            outdated = stale(helm)
            for path in outdated:
                print(f"{path.relative_to(ROOT)} is not what the chart renders: run `make docs`", file=sys.stderr)
            return 1 if outdated else 0
        for example in examples():
            golden_of(example).write_text(render(example, helm), encoding="utf-8")
    except RenderError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
