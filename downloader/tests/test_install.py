"""The image's content: a launcher that runs without anything else of the machine."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

import click
from weights import gguf

DOWNLOADER = Path(__file__).parents[1]


def test_the_launcher_of_the_image_runs_alone_and_compiled(tmp_path: Path) -> None:
    context = tmp_path / "context"
    shutil.copytree(DOWNLOADER / "src", context / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(DOWNLOADER / "install.py", context)
    shutil.copytree(Path(click.__file__).parent, context / "site" / "click")
    specification = importlib.util.spec_from_file_location("install", context / "install.py")
    assert specification
    assert specification.loader
    install = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(install)
    install.main(tmp_path / "image", [])
    shutil.rmtree(context)

    lib = tmp_path / "image" / "lib"
    for module in ("cli", "launch", "store/completeness"):
        source = lib / "llmkube_downloader" / f"{module}.py"
        assert Path(importlib.util.cache_from_source(str(source))).exists()
    for path in lib.rglob("*"):
        path.chmod(0o555)

    def run(*arguments: str | Path) -> str:
        return subprocess.run(
            [tmp_path / "image" / "llmkube-downloader", *arguments],
            env={"PATH": os.defpath, "PYTHONPATH": "/nowhere", "PYTHONSTARTUP": "/nowhere"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert len(run("key", "hf://org/repo").strip()) == 16

    (tmp_path / "tiny.gguf").write_bytes(gguf())
    fetch = ("fetch", f"file://{tmp_path}/tiny.gguf", "--root", tmp_path / "models", "-o", "json")
    assert json.loads(run(*fetch))["result"] == "fetched"
    # A start from a cache that is filled needs none of the dependencies.
    shutil.rmtree(lib / "click")
    assert json.loads(run(*fetch))["result"] == "hit"


def test_the_lock_names_no_index() -> None:
    lines = (DOWNLOADER / "requirements.txt").read_text().splitlines()
    assert lines
    assert not [line for line in lines if "://" in line or line.startswith("-")]
