"""Puts everything that the image holds of ours into a directory. The Dockerfile beside this file runs it.

    python3 install.py TARGET [ARGUMENT OF PIP]...

TARGET gets `lib/`, the package with its dependencies, compiled, and the executable `llmkube-downloader`. A directory
`site/` beside this file is taken as the dependencies; without one pip installs what requirements.txt locks.
"""
# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import compileall
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Neither a shell nor `env` nor site-packages nor the environment's Python variables take part in a start.
SCRIPT = """#!{python} -IS
import sys

sys.path.insert(0, "{lib}")
from llmkube_downloader.launch import main

main()
"""


def main(target: Path, pip_arguments: list[str]) -> None:
    """Fill the target directory."""
    lib = target / "lib"
    if (HERE / "site").is_dir():
        shutil.copytree(HERE / "site", lib)
    else:
        install = ["install", "--no-cache-dir", "--no-compile", "--only-binary=:all:", "--require-hashes"]
        locked = ["--target", str(lib), "--requirement", str(HERE / "requirements.txt")]
        subprocess.run([sys.executable, "-m", "pip", *install, *locked, *pip_arguments], check=True)
    shutil.copytree(HERE / "src" / "llmkube_downloader", lib / "llmkube_downloader")
    # Compiled files are never compared with their sources, which nobody changes in an image.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(lib, quiet=1, invalidation_mode=mode):
        raise SystemExit(f"{lib} can not be compiled")
    script = target / "llmkube-downloader"
    script.write_text(SCRIPT.format(python=sys.executable, lib=lib), encoding="utf-8")
    script.chmod(0o755)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
