"""Users who have never used Helm, and what they install the plugin from."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import releases

from tools import plugin_package

PLUGIN = releases.REPOSITORY / "plugin"
# The variables that name the programs to test with: Helm 4, and Helm 3 where it is there too.
HELMS = ["HELM", *(["HELM3"] if os.environ.get("HELM3") else [])]
# HELM_PLUGINS is not among them: Helm 4 looks there for plugins, and yet installs directories below HELM_DATA_HOME.
_HOMES = ("HELM_DATA_HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME")


def user(home: Path, cache: Path) -> dict[str, str]:
    """Return the environment of a user whose Helm has its folders below `home`, and whose cache folder is `cache`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HELM_", "LLMKUBE_", "KUBE"))}
    homes = {name: str(home / name) for name in _HOMES}
    return {**kept, **homes, "XDG_CACHE_HOME": str(cache), "LLMKUBE_PYTHON": sys.executable}


def call(environment: dict[str, str], *line: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it said; it has to end with `code`."""
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def unverified(helm: str) -> list[str]:
    """Return the option without which Helm 4 installs nothing that is not signed; Helm 3 does not know it."""
    return [] if call({**os.environ}, helm, "version", "--short").stdout.startswith("v3") else ["--verify=false"]


def checkout(path: Path, wheels: Path | None = None) -> Path:
    """Make a repository of what a clone of ours would hold.

    With `wheels`, a folder of them, it asks for click alone and has it, which is enough for `--version` and quick.
    """
    listed = ["git", "-C", str(releases.REPOSITORY), "ls-files", "-co", "--exclude-standard", "-z"]
    wanted = ["plugin", "downloader", "charts/llmkube/catalog.yaml", *plugin_package.ENTRANCE]
    names = subprocess.run([*listed, *wanted], capture_output=True, check=True).stdout
    for name in names.decode().split("\0")[:-1]:
        original, copy = releases.REPOSITORY / name, path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(original.read_bytes())
        copy.chmod(original.stat().st_mode)
    if wheels is not None:
        (path / "plugin" / "requirements.txt").write_text(only_click())
        (path / "plugin" / "wheels").mkdir()
        for wheel in (*wheels.glob("pip-*"), *wheels.glob("click-*")):
            shutil.copy(wheel, path / "plugin" / "wheels")
    (path / ".gitignore").write_text("__pycache__/\n")
    subprocess.run(["git", "-C", str(path), "init", "--quiet"], check=True)
    commit(path)
    return path


def commit(path: Path) -> None:
    """Commit all that was changed in a repository."""
    git = ["git", "-C", str(path), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "change"], check=True)


def only_click() -> str:
    """Return a lock file of click alone."""
    found = re.search(r"^click==(?:[^\n]*\\\n)+[^\n]*\n", (PLUGIN / "requirements.txt").read_text(), re.MULTILINE)
    assert found
    return found[0]


def script(path: Path, text: str) -> Path:
    """Write a program for the shell."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def tree(root: Path) -> set[str]:
    """Return the files below a folder, without Python's compiled ones."""
    return {str(path) for path in root.rglob("*") if "__pycache__" not in path.parts}
