"""The image's content: a launcher that runs without anything else of the machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import click

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
    assert list((lib / "llmkube_downloader" / "__pycache__").glob("cli.*.pyc"))
    for path in lib.rglob("*"):
        path.chmod(0o555)
    done = subprocess.run(
        [tmp_path / "image" / "llmkube-downloader", "key", "hf://org/repo"],
        env={"PATH": os.defpath, "PYTHONPATH": "/nowhere", "PYTHONSTARTUP": "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout.strip()) == 16


def test_the_lock_names_no_index() -> None:
    lines = (DOWNLOADER / "requirements.txt").read_text().splitlines()
    assert lines
    assert not [line for line in lines if "://" in line or line.startswith("-")]
