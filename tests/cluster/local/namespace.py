"""The namespaces that hold a local cluster: made by one process, entered by others, ended with it.

Process 1 of the cluster owns its network, mount and process namespaces. Killing it makes the kernel kill every other
process in there and drop every mount, link and iptables rule, whatever state a bring-up was in.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from cluster.local import processes, scratch

_NETWORK = """
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables; fi
"""


class Namespace:
    """The namespaces of one cluster, by the process id of its process 1."""

    def __init__(self, init: int) -> None:
        self.init = init

    @classmethod
    def create(cls, pause: Path, state: Path, inside: Path) -> Namespace:
        """Makes the namespaces, with `state` visible as `inside`, and returns when they are set up."""
        isolation = "--net --mount --pid --fork --propagation private --mount-proc"
        # In the background of a shell that ends: the cluster belongs to no process of this run.
        script = f'setsid unshare {isolation} "$0" </dev/null >/dev/null 2>&1 & echo $!'
        started = subprocess.run(["sh", "-c", script, pause], stdout=subprocess.PIPE, text=True, check=True)
        namespace = cls(_only_child(int(started.stdout)))
        namespace.run(["mount", "--make-rshared", "/"])
        namespace.run(["sh", "-c", scratch.script(str(state), str(inside)) + _NETWORK])
        return namespace

    def run(self, command: Sequence[str | Path], *, network: bool = True) -> str:
        """Runs a command inside and returns its output; a failure's message holds what it said.

        Without `network` the command has this machine's network, and still ends with the cluster.
        """
        spaces = ["--net"] if network else []
        enter = ["nsenter", "--target", str(self.init), "--mount", "--pid", *spaces, "--"]
        done = subprocess.run([*enter, *map(str, command)], capture_output=True, text=True, check=False)
        if done.returncode:
            message = f"{' '.join(map(str, command))}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}"
            raise RuntimeError(message)
        return done.stdout

    def spawn(
        self, command: Sequence[str | Path], log: str, environment: dict[str, str], *, network: bool = True
    ) -> int:
        """Starts a command inside that outlives the caller; returns its process id inside. `log` is a path inside."""
        script = 'log=$1; shift; "$@" >"$log" 2>&1 </dev/null & echo $!'
        variables = [f"{name}={value}" for name, value in environment.items()]
        output = self.run(["setsid", "sh", "-c", script, "spawn", log, "env", *variables, *command], network=network)
        return int(output)

    def alive(self, pid: int) -> bool:
        """Whether a process that `spawn` started is still there."""
        return Path("/proc", str(self.init), "root", "proc", str(pid)).exists()

    def kill(self) -> None:
        """Ends the namespaces and waits until their last process, and the one that made them, are gone."""
        last = [pid for pid in (self.init, processes.parent(self.init)) if pid > 1]
        with processes.awaiting_the_end(last), contextlib.suppress(ProcessLookupError):
            os.kill(self.init, signal.SIGKILL)


def _only_child(parent: int) -> int:
    """The child of `unshare`, which is process 1 inside."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
            # The child exists before it has become process 1's program and mounted its /proc.
            if found and Path(f"/proc/{found[0]}/comm").read_text().strip() == "pause":
                return int(found[0])
        except (FileNotFoundError, ProcessLookupError) as error:
            message = "unshare failed: this machine's kernel or policy lets root make no namespaces"
            raise RuntimeError(message) from error
        time.sleep(0.01)
    message = "unshare started no process within 10 s"
    raise RuntimeError(message)
