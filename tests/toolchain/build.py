"""Builds the tools of the catalog into a cache folder, each once per content of its module.

A tool lands in `<cache>/tools/<name>-<hash>/`, where the hash covers everything that its binary is made of; there it
is found by later runs, by other checkouts, and by CI. The Go module and build caches used on the way belong to this
builder alone and are dropped at the end of a run: together they grow to several gigabytes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from toolchain.catalog import TOOLS, Files, Tool
from toolchain.golang import environment, find_go
from toolchain.modules import copy_files

HERE = Path(__file__).parent
NEEDED_BYTES = 9 * 2**30  # measured: module cache 3 GiB + build cache 4 GiB + binaries 1 GiB, and some air


class BuildError(Exception):
    """A tool could not be built; the message names it, the log, and what to do."""


def cache_root() -> Path:
    """The folder that holds all that is built once and kept: `$XDG_CACHE_HOME/llmkube`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llmkube"


def content_hash(tool: Tool | Files) -> str:
    """Names a build: 12 hex digits over the module's files, the build flags and the platform."""
    digest = hashlib.sha256(repr((tool, platform.system(), platform.machine())).encode())
    for path in sorted((HERE / tool.module).rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(HERE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def tool_dir(tool: Tool | Files) -> Path:
    """Where what is made of `tool` is, or will be."""
    return cache_root() / "tools" / f"{tool.name}-{content_hash(tool)}"


def binaries(names: Iterable[str]) -> dict[str, Path]:
    """Maps each binary and link of the named tools to its path, and the name of a set of files to its folder.

    Raises BuildError when one is not built: `ensure` builds them.
    """
    found: dict[str, Path] = {}
    for tool in map(TOOLS.__getitem__, names):
        folder = tool_dir(tool)
        if not folder.is_dir():
            message = f"{tool.name} is not built yet; `make tools` builds all of them"
            raise BuildError(message)
        found |= {tool.name if name == "." else name: folder / name for name in tool.products}
    return found


def ensure(names: Iterable[str]) -> dict[str, Path]:
    """Builds what is missing of the named tools, telling how long it takes, and returns their binaries."""
    wanted = [TOOLS[name] for name in dict.fromkeys(names)]
    if _missing(wanted):  # who needs nothing built does not wait for those who do
        with _locked():
            missing = _missing(wanted)
            if missing:
                _build_all(missing)
    return binaries(tool.name for tool in wanted)


def _missing(wanted: list[Tool | Files]) -> list[Tool | Files]:
    return [tool for tool in wanted if not tool_dir(tool).is_dir()]


def _build_all(missing: list[Tool | Files]) -> None:
    _check_space()
    go = find_go(cache_root())
    minutes = max(1, round(sum(tool.seconds for tool in missing) / 60))
    _say(
        f"{len(missing)} tools to build from source, about {minutes} min on 2 cores, once: they stay in {cache_root()}"
    )
    workspace = cache_root() / "go-build"
    try:
        for number, tool in enumerate(missing, 1):
            _say(f"[{number}/{len(missing)}] {tool.name}: {tool.describe}, usually {_span(tool.seconds)} ...")
            started = time.monotonic()
            _build(tool, go, workspace)
            left = len(missing) - number
            _say(f"[{number}/{len(missing)}] {tool.name}: built in {_span(time.monotonic() - started)}; {left} remain")
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _build(tool: Tool | Files, go: Path, workspace: Path) -> None:
    """Builds into a folder of its own and publishes it by one rename, so that a killed build leaves no half tool."""
    staging = tool_dir(tool).with_name(f".{tool.name}-{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    log = cache_root() / "logs" / f"build-{tool.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("w") as output:
            if isinstance(tool, Files):
                copy_files(tool, HERE, go, workspace, staging, output.fileno())
            else:
                _compile(tool, go, workspace, staging, output.fileno())
        staging.rename(tool_dir(tool))
    except subprocess.CalledProcessError as error:
        tail = "\n".join(log.read_text().splitlines()[-15:])
        message = f"{tool.name} did not build; the whole log is in {log}\n{tail}"
        raise BuildError(message) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _compile(tool: Tool, go: Path, workspace: Path, folder: Path, output: int) -> None:
    for package, binary in tool.packages.items():
        _go_build(tool, go, workspace, package, folder / binary, output)
    for link in tool.links:
        (folder / link).symlink_to(next(iter(tool.packages.values())))


def _go_build(tool: Tool, go: Path, workspace: Path, package: str, target: Path, output: int) -> None:
    variables = environment(workspace) | {"CGO_ENABLED": "1" if tool.cgo else "0"}
    command = [
        str(go),
        "build",
        "-trimpath",
        f"-ldflags={tool.ldflags}",
        f"-tags={tool.tags}",
        "-o",
        str(target),
        package,
    ]
    subprocess.run(command, cwd=HERE / tool.module, env=variables, stdout=output, stderr=output, check=True)


def _check_space() -> None:
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if free < NEEDED_BYTES:
        message = (
            f"building the tools needs {NEEDED_BYTES / 2**30:.0f} GiB below {root}, {free / 2**30:.1f} GiB are free; "
            "free some, or set XDG_CACHE_HOME to a folder on a larger disk"
        )
        raise BuildError(message)


@contextmanager
def _locked() -> Iterator[None]:
    """Lets one process build at a time: two would need twice the memory and the disk."""
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    with (root / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another run is building tools; waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
