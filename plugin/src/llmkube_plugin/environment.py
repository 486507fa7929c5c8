"""Makes the plugin's virtual environment, once for each lock file and Python, and prints where it is.

Run as a script, before anything is installed: only the standard library is there. The environment lies in the user's
cache folder and not beside the plugin, whose folder may be read-only or somebody's source tree:

    plugin-venv/<digest>/       an environment, with a copy of the lock file that it was made from
    plugin-venv/at/<folder>/note   which of them the plugin in that folder uses; bin/python.sh reads it
    plugin-venv/tidy            a copy of bin/tidy, which removes what no plugin uses

A package of the plugin has the wheels of its dependencies, and pip's, in plugin/wheels: then no network is needed.
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
_LOCK = "requirements.txt"


class SetupError(Exception):
    """The environment can not be made; the text says why and what to do."""


def cache_folder() -> Path:
    """Return the folder of all environments."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmkube" / "plugin-venv"


def environment_path(requirements: Path) -> Path:
    """Return the folder of the environment for a lock file and the Python that runs this."""
    # The suffix of extension modules names version, processor and C library in one.
    identity = (requirements.read_bytes(), EXTENSION_SUFFIXES[0].encode(), sys.base_prefix.encode())
    return cache_folder() / hashlib.sha256(b"\0".join(identity)).hexdigest()[:16]


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
    wheels = requirements.parent / "wheels"
    pip_wheel = next(wheels.glob("pip-*.whl"), None)
    _say(f"making a Python environment in {environment} (1 of 2)")
    # The program itself and not a link to it: the link may lead to another version one day.
    base = str(Path(sys.executable).resolve())
    _run(
        [base, "-I", "-m", "venv", *(["--without-pip"] if pip_wheel else []), str(environment)],
        f"{sys.executable} can not make environments. On Debian and Ubuntu install python3-venv, or name another "
        "Python in LLMKUBE_PYTHON.",
    )
    _say("installing its Python packages (2 of 2)")
    pip = [str(environment / "bin" / "python"), "-I", *([f"{pip_wheel}/pip"] if pip_wheel else ["-m", "pip"])]
    source = ["--isolated", "--no-index", "--find-links", str(wheels)] if pip_wheel else []
    # The lock names all that is needed. Modules are compiled when they are first imported; most never are.
    how = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    _run(
        [*pip, "install", *how, *source, "--require-hashes", "-r", str(requirements)],
        _advice(offline=bool(pip_wheel)),
    )
    shutil.copyfile(requirements, environment / _LOCK)
    (environment / _MARKER).touch()


def _advice(*, offline: bool) -> str:
    if offline:
        version = ".".join(map(str, sys.version_info[:2]))
        return (
            f"the package of the plugin has no Python packages for Python {version} on {sys.platform} "
            f"{os.uname().machine}. Name another Python in LLMKUBE_PYTHON, or install the plugin from git."
        )
    return (
        "the Python packages could not be installed. Check the network and pip's configuration, then run "
        "`helm llmkube --help`, which tries again."
    )


def note(environment: Path, folder: Path) -> None:
    """Leave word that the plugin whose scripts are in `folder` uses the environment.

    A cache folder that can not be written costs the next start some time, and nothing else.
    """
    import shutil

    notes = cache_folder() / "at" / str(folder).lstrip("/")
    with contextlib.suppress(OSError):
        notes.mkdir(parents=True, exist_ok=True)
        new = notes / f"note.{os.getpid()}"
        new.write_text(f"{environment}\n{os.environ.get('LLMKUBE_PYTHON', '')}\n")
        new.replace(notes / "note")
        tidy = cache_folder() / f"tidy.{os.getpid()}"
        shutil.copy(folder / "tidy", tidy)
        tidy.replace(cache_folder() / "tidy")


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
    """Print the path of the environment of the plugin; the first argument is the folder of its scripts."""
    folder = Path(sys.argv[1])
    requirements = folder.resolve().parent / _LOCK
    environment = environment_path(requirements)
    try:
        if not is_complete(environment):
            make(environment, requirements)
    except SetupError as error:
        _say(str(error))
        sys.exit(1)
    note(environment, folder)
    sys.stdout.write(f"{environment}\n")


if __name__ == "__main__":
    main()
