"""Compiles every hash-locked requirements file from what it is made of; `make lock` runs it.

The files name no index: where packages come from is the configuration of the machine that installs them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_MODEL_SERVERS = ("model-server", "mlx-server")
LOCKS: dict[str, list[str]] = {
    "requirements/dev.txt": ["requirements/dev.in", "downloader/pyproject.toml", "plugin/pyproject.toml"],
    "downloader/requirements.txt": ["downloader/pyproject.toml"],
    "plugin/requirements.txt": ["plugin/pyproject.toml"],
    **{f"tests/images/{name}/requirements.txt": [f"tests/images/{name}/requirements.in"] for name in _MODEL_SERVERS},
}
_UV = "uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links"


def main() -> None:
    """Compiles all locks, or those named as arguments."""
    for lock in sys.argv[1:] or LOCKS:
        command = [sys.executable, "-m", *_UV.split(), "--python-version", "3.10", *LOCKS[lock], "--output-file", lock]
        subprocess.run(command, cwd=ROOT, check=True)
        print(lock)


if __name__ == "__main__":
    main()
