"""Places for tests to break things in: file systems of their own, in namespaces that end with the test."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.local.processes import awaiting_the_end

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

FILE_SYSTEMS = ("ext4", "xfs")
_MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}
_MOUNT = {"ext4": "loop", "xfs": "loop,nouuid"}
# Process 1 of the namespace ends with `unshare`, and that with the test; with process 1 everything in it ends:
# processes, mounts, and the loop devices that only these mounts held.
_ISOLATED = (
    *("setpriv", "--pdeathsig", "KILL", "--"),
    *("unshare", "--net", "--mount", "--propagation", "private"),
    *("--pid", "--fork", "--kill-child", "--mount-proc", "--"),
)
# Bytes that a socket keeps at most of what its reader has not read yet. What a process that is killed had not read can
# be no part of what it keeps, so there has to be little of it wherever bytes are counted that are sent again.
_RECEIVE_BUFFER = 32 * 1024


class Worker:
    """A module that runs in namespaces of its own and answers with one JSON value.

    - directory: where it may write.
    """

    def __init__(self, directory: Path, module: str, *arguments: str | Path) -> None:
        """Start `python -m MODULE DIRECTORY ARGUMENTS`; a name without a dot is that of a module of this package."""
        self.directory = directory
        self.name = " ".join(map(str, (module, *arguments)))
        self._process = subprocess.Popen(
            [*_ISOLATED, sys.executable, "-m", module if "." in module else f"faults.{module}", directory, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=clean_environment(),
            text=True,
        )

    def result(self) -> Any:
        """Wait until it ends and return its answer."""
        out, _ = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(f"{self.name} ended with {self._process.returncode}")
        return json.loads(out)

    def processes(self) -> list[int]:
        """Everything that runs in it now."""
        return descendants(self._process.pid)

    def kill(self) -> None:
        """End it, whatever it does, and wait until all that runs in its namespaces is gone.

        Its directory is mounted on there. Removed before that, it takes the mounts with it, and Linux 6.18 keeps a file
        system on a loop device that it detached so, and the memory under it, for ever.
        """
        running = self.processes() if self._process.poll() is None else []
        with self._process, awaiting_the_end(running):
            self._process.kill()


class Workers:
    """Starts workers, none of which outlives the context. Their directories are in memory, where there is that much."""

    def __enter__(self) -> Self:
        memory = Path("/dev/shm")  # noqa: S108 - no name in there is guessed
        self._directory = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None, prefix="llmkube-faults-"))
        self._started: list[Worker] = []
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as everything:  # also when one of them does not end
            everything.callback(shutil.rmtree, self._directory)
            for worker in self._started:
                everything.callback(worker.kill)

    def start(self, module: str, *arguments: str | Path) -> Worker:
        """Start one."""
        directory = self._directory / str(len(self._started))
        directory.mkdir()
        self._started.append(Worker(directory, module, *arguments))
        return self._started[-1]


def clean_environment(**changes: str) -> dict[str, str]:
    """The environment without what would steer a downloader, and with `changes`."""
    steering = ("LLMKUBE_", "HF_", "HUGGING")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(steering) and not name.lower().endswith("_proxy")
    }
    return {**kept, **changes}


def set_up_network() -> None:
    """Make the loopback of a network namespace usable, with small buffers."""
    subprocess.run(["ip", "link", "set", "lo", "mtu", "9000", "up"], check=True)
    Path("/proc/sys/net/ipv4/tcp_rmem").write_text(f"4096 {_RECEIVE_BUFFER} {_RECEIVE_BUFFER}")


def mount_memory(directory: Path) -> None:
    """Keep what is put into a directory in memory, and nothing of it when the mount namespace ends."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(directory)], check=True)


def mount_new(kind: str, directory: Path, size: int) -> Path:
    """Make a file system of `size` bytes in a file in the directory, and return where it is mounted.

    Only for a process in a mount namespace of its own.
    """
    image, point = directory / f"{kind}.image", directory / kind
    with image.open("wb") as file:
        file.truncate(size)
    point.mkdir()
    subprocess.run([*_MAKE[kind], str(image)], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["mount", "-t", kind, "-o", _MOUNT[kind], str(image), str(point)], check=True)
    return point


def descendants(pid: int) -> list[int]:
    """Return the children of a process, theirs, and so on; of those that end meanwhile maybe nothing."""
    children = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += [int(child) for child in (task / "children").read_text(encoding="ascii").split()]
    return [*children, *(each for child in children for each in descendants(child))]


def answer(result: Any) -> None:
    """Print a worker's answer."""
    print(json.dumps(result), flush=True)


def reap(pid: int) -> int:
    """Wait for a child and return its exit code, or the negative number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill(pid: int) -> int:
    """Kill a child and return what it ended with, which is its own exit code where it was faster."""
    os.kill(pid, signal.SIGKILL)
    return reap(pid)
