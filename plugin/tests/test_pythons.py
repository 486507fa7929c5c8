"""Every Python that the plugin is promised for, as far as this machine has it: the packages for it, and all modules."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import releases
from helm_homes import call, user

from tools import plugin_package

pytestmark = pytest.mark.slow

# Imports all modules of both packages, with what they import at their top.
IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path[:0] = sys.argv[1:]
for name in ("llmkube_plugin", "llmkube_downloader"):
    for module in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
from kubernetes import client, config
import huggingface_hub, jinja2, yaml
huggingface_hub.HfApi()
client.ApiClient(client.Configuration()).param_serialize("GET", "/api/v1/pods")
"""


def interpreter(version: str) -> str | None:
    """Return a Python of a version: on PATH, or where pyenv has it."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [str(path) for path in sorted(kept.glob(f"{version}.*/bin/python3"))]
    show = ["-I", "-c", "import sys; print(sys.executable)"]
    for candidate in [*candidates, *filter(None, [shutil.which(f"python{version}")])]:
        done = subprocess.run([candidate, *show], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return None


@pytest.mark.parametrize("version", plugin_package.PYTHONS)
def test_it_runs_with(version: str, tmp_path: Path) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine")
    pack = [sys.executable, str(releases.REPOSITORY / "tests" / "tools" / "plugin_package.py"), "--into", str(tmp_path)]
    subprocess.run([*pack, "--python", version, "--platform", plugin_package.this_platform()], check=True)
    with tarfile.open(next(tmp_path.glob("*.tgz"))) as tar:
        tar.extractall(tmp_path, filter="data")
    root = tmp_path / "llmkube"
    home = {**user(tmp_path, tmp_path / "cache"), "LLMKUBE_PYTHON": python}
    (tmp_path / "models").mkdir()

    call(home, str(root / "plugin" / "bin" / "prepare"))

    listed = call(home, str(root / "plugin" / "bin" / "llmkube"), "cache", "list", "--dir", str(tmp_path / "models"))
    assert "No entries found in" in listed.stderr
    own = str(next((tmp_path / "cache").glob("llmkube/plugin-venv/*/bin/python")))
    call(
        home, own, "-I", "-W", "error", "-c", IMPORT_ALL, str(root / "plugin" / "src"), str(root / "downloader" / "src")
    )
    assert f"python{version}" in str(next((tmp_path / "cache").glob("llmkube/plugin-venv/*/lib/python*")))
