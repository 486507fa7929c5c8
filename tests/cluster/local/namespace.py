"""The namespaces that hold a local cluster: made by one process, entered by others, ended with it.

Process 1 of the cluster owns its network, mount and process namespaces. Killing it makes the kernel kill every other
process in there and drop every mount, link and iptables rule, whatever state a bring-up was in.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

_SETUP = """
set -eu
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p {inside}
mount --bind {state} {inside}
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
        isolation = ["--net", "--mount", "--pid", "--fork", "--propagation", "private", "--mount-proc"]
        parent = subprocess.Popen(
            ["unshare", *isolation, pause],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        namespace = cls(_only_child(parent))
        namespace.run(["sh", "-c", _SETUP.format(inside=inside, state=state)])
        return namespace

    def command(self, command: Sequence[str | Path]) -> list[str]:
        """The command line that runs `command` inside."""
        return ["nsenter", "--target", str(self.init), "--net", "--mount", "--pid", "--", *map(str, command)]

    def run(self, command: Sequence[str | Path]) -> str:
        """Runs a command inside and returns its output; a failure's message holds what it said."""
        done = subprocess.run(self.command(command), capture_output=True, text=True, check=False)
        if done.returncode:
            message = f"{' '.join(map(str, command))}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}"
            raise RuntimeError(message)
        return done.stdout

    def spawn(self, command: Sequence[str | Path], log: str, environment: dict[str, str]) -> int:
        """Starts a command inside that outlives the caller; returns its process id inside. `log` is a path inside."""
        script = 'log=$1; shift; "$@" >"$log" 2>&1 </dev/null & echo $!'
        variables = [f"{name}={value}" for name, value in environment.items()]
        output = self.run(["setsid", "sh", "-c", script, "spawn", log, "env", *variables, *command])
        return int(output)

    def alive(self, pid: int) -> bool:
        """Whether a process that `spawn` started is still there."""
        return Path(f"/proc/{self.init}/root/proc/{pid}").exists()

    def kill(self) -> None:
        """Ends the namespaces and waits until their last process is gone."""
        try:
            descriptor = os.pidfd_open(self.init)
        except ProcessLookupError:
            return
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)  # readable when the process has ended
            if not poller.poll(30_000):
                message = f"process {self.init} and what runs in its namespaces did not end within 30 s"
                raise RuntimeError(message)
        finally:
            os.close(descriptor)


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def _only_child(parent: subprocess.Popen[bytes]) -> int:
    """The child of `unshare`, which is process 1 inside."""
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if parent.poll() is not None:
            message = "unshare failed: this machine's kernel or policy lets root make no namespaces"
            raise RuntimeError(message)
        found = children.read_text().split()
        # The child exists before it has become process 1's program and mounted its /proc.
        if found and Path(f"/proc/{found[0]}/comm").read_text().strip() == "pause":
            return int(found[0])
        time.sleep(0.01)
    message = "unshare started no process within 10 s"
    raise RuntimeError(message)
