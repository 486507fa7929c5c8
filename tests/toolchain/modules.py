"""Takes files out of Go modules: what is no program comes in like one, pinned in a go.mod, checked by its go.sum."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from toolchain.catalog import Files
from toolchain.golang import environment


def copy_files(wanted: Files, modules: Path, go: Path, workspace: Path, folder: Path, output: int) -> None:
    """Downloads the modules that `wanted` names and copies its files into `folder`.

    - modules: the folder that has the pinned module of `wanted`.
    - output: file descriptor that gets what `go` says.

    Raises CalledProcessError: `go` could not download a module, or its content is not what go.sum says.
    """
    command = [str(go), "mod", "download", "-json", *wanted.files]
    place, variables = modules / wanted.module, environment(workspace)
    done = subprocess.run(command, cwd=place, env=variables, stdout=subprocess.PIPE, stderr=output, check=False)
    os.write(output, done.stdout)  # it says there, too, what went wrong
    done.check_returncode()
    for module in _documents(done.stdout.decode()):
        for path in wanted.files[module["Path"]]:
            shutil.copyfile(Path(module["Dir"]) / path, folder / Path(path).name)


def _documents(text: str) -> list[dict[str, Any]]:
    """Reads JSON objects that follow each other."""
    decoder = json.JSONDecoder()
    found = []
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found
