"""Makes the plugin's virtual environment, once for each lock file and Python, and prints where it is.

Run as a script, before anything is installed: only the standard library is there. The environment lies in the user's
cache folder and not beside the plugin, whose folder may be read-only or somebody's source tree.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKER = ".complete"


class SetupError(Exception):
    """The environment can not be made; the text says why and what to do."""


def environment_path(requirements: Path) -> Path:
    """Return the folder of the environment for a lock file and the Python that runs this."""
    # The suffix of extension modules names version, processor and C library in one.
    identity = (requirements.read_bytes(), EXTENSION_SUFFIXES[0].encode(), sys.base_prefix.encode())
    digest = hashlib.sha256(b"\0".join(identity)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "llmkube" / "plugin-venv" / digest


def is_complete(environment: Path) -> bool:
    """Return whether an environment was made to its end, and its Python is still there."""
    return (environment / _MARKER).exists() and (environment / "bin" / "python").exists()


def make(environment: Path, requirements: Path) -> None:
    """Make the environment; several processes may do so at once, and one of them works.

    Raises SetupError. An environment left half-made is made anew.
    """
    try:
        environment.parent.mkdir(parents=True, exist_ok=True)
        with _lock(environment.with_suffix(".lock")):
            if not is_complete(environment):
                _install(environment, requirements)
    except OSError as error:
        raise SetupError(
            f"can not write to {environment.parent}: {error.strerror}. Name another folder in XDG_CACHE_HOME."
        ) from error


def _install(environment: Path, requirements: Path) -> None:
    import shutil

    shutil.rmtree(environment, ignore_errors=True)
    _say(f"making a Python environment in {environment} (1 of 2)")
    _run(
        [sys.executable, "-I", "-m", "venv", str(environment)],
        f"{sys.executable} can not make environments. On Debian and Ubuntu install python3-venv, or name another "
        "Python in LLMKUBE_PYTHON.",
    )
    _say("installing its Python packages (2 of 2)")
    pip = [str(environment / "bin" / "python"), "-I", "-m", "pip", "install"]
    _run(
        [*pip, "--quiet", "--no-input", "--disable-pip-version-check", "--require-hashes", "-r", str(requirements)],
        "the Python packages could not be installed. Check the network and pip's configuration, then run "
        "`helm llmkube --help`, which tries again.",
    )
    (environment / _MARKER).touch()


def _run(command: list[str], advice: str) -> None:
    """Run a step; when it fails, say its last words and the advice."""
    import subprocess

    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()] or ["it said nothing"]
        # pip marks the line that counts, what follows is advice on pip.
        told = next((line for line in words if line.startswith("ERROR:")), words[-1])
        raise SetupError(f"{advice} ({told.strip()})")


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock that the operating system gives back when its holder dies."""
    import fcntl

    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another process that makes the Python environment")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    sys.stderr.write(f"helm llmkube: {text}\n")


def main() -> None:
    """Print the path of the environment for the lock file that the first argument names."""
    requirements = Path(sys.argv[1]).resolve()
    environment = environment_path(requirements)
    try:
        if not is_complete(environment):
            make(environment, requirements)
    except SetupError as error:
        _say(str(error))
        sys.exit(1)
    sys.stdout.write(f"{environment}\n")


if __name__ == "__main__":
    main()
