"""Compiles every hash-locked requirements file from what it is made of; `make lock` runs it.

The files name no index: where packages come from is the configuration of the machine that installs them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_UV = "uv pip compile --quiet --generate-hashes --no-header --no-emit-index-url --no-emit-find-links"
_ANYWHERE = "--universal --python-version 3.10"  # the packages and what they are developed with
_IMAGE = (
    "--python-version 3.11 --python-platform x86_64-manylinux_2_35"  # Debian 12; hashes of other machines are in it
)
LOCKS: dict[str, tuple[str, list[str]]] = {
    "requirements/dev.txt": (_ANYWHERE, ["requirements/dev.in", "downloader/pyproject.toml", "plugin/pyproject.toml"]),
    "requirements/mutation.txt": (_ANYWHERE, ["requirements/mutation.in", "downloader/pyproject.toml"]),
    "downloader/requirements.txt": (_ANYWHERE, ["downloader/pyproject.toml"]),
    "plugin/requirements.txt": (
        f"{_ANYWHERE} --excludes requirements/plugin-without.in",
        ["plugin/pyproject.toml", "downloader/pyproject.toml"],
    ),
    "requirements/plugin-package.txt": (_ANYWHERE, ["requirements/plugin-package.in"]),
    "tests/toolchain/requirements.txt": (_ANYWHERE, ["tests/toolchain/requirements.in"]),
    "tests/images/model-server/requirements.txt": (_IMAGE, ["tests/images/model-server/requirements.in"]),
    "tests/images/mlx-server/requirements.txt": (_IMAGE, ["tests/images/mlx-server/requirements.in"]),
}


def main() -> None:
    """Compiles all locks, or those named as arguments."""
    for lock in sys.argv[1:] or LOCKS:
        flags, inputs = LOCKS[lock]
        command = [sys.executable, "-m", *_UV.split(), *flags.split(), *inputs, "--output-file", lock]
        subprocess.run(command, cwd=ROOT, check=True)
        print(lock)


if __name__ == "__main__":
    main()
