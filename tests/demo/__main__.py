"""`python -m demo plan|up|local|down`: what `make demo`, `make demo-local` and `make demo-down` run."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
from pathlib import Path

from cluster.choice import choice

TESTS = Path(__file__).parent.parent


def main() -> None:
    """Dispatches; a failure is one message that names the step."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("command", choices=["plan", "up", "local", "down"])
    command = parser.parse_args().command
    try:
        {"plan": _plan, "up": _up, "local": _local, "down": _down}[command]()
    except (RuntimeError, OSError, AssertionError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}\nWhat was made so far is still there for a look; `make demo-down` removes it.")
    except KeyboardInterrupt:
        sys.exit("interrupted; `make demo-down` removes what was made so far")


def _plan() -> None:
    from demo import plan

    plan.check_and_tell()


def _local() -> None:
    from demo import local, state

    state.folder().mkdir(parents=True, exist_ok=True)
    local.make_model()
    local.show(state.start_hub("127.0.0.1"))
    state.stop_hubs()


def _up() -> None:
    from demo import serving

    background = _Background()
    _local()
    background.wait()
    serving.prepare()
    serving.show()


def _down() -> None:
    from demo import serving, state

    state.stop_hubs()
    serving.remove()
    state.remove_folder()
    print("the demo is removed; tools and images stay in the cache folder")


class _Background:
    """The tools, built while the first part is shown; what the build says is printed once that part is over."""

    def __init__(self) -> None:
        purpose = "demo" if choice() == "local" else "demo-foreign"
        script = f"{sys.executable} -m preflight cluster && exec {sys.executable} -m toolchain {purpose} >/dev/null"
        if purpose != "demo":
            script = f"exec {sys.executable} -m toolchain {purpose} >/dev/null"
        self._process = subprocess.Popen(
            ["nice", "-n", "10", "sh", "-c", script], cwd=TESTS, stderr=subprocess.PIPE, text=True, env=os.environ
        )
        self._lines: list[str] = []
        self._visible = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self) -> None:
        """Shows what the build has said so far, then follows it to its end."""
        print("\n== The tools for the cluster", flush=True)
        self._visible.set()
        self._reader.join()
        if self._process.wait():
            message = "a tool could not be built, see above"
            raise RuntimeError(message)

    def _read(self) -> None:
        assert self._process.stderr is not None
        held: list[str] = []
        for line in self._process.stderr:
            held.append(line)
            if self._visible.is_set():
                sys.stderr.write("".join(f"   {text}" for text in held))
                sys.stderr.flush()
                held.clear()
        self._visible.wait()
        sys.stderr.write("".join(f"   {text}" for text in held))


if __name__ == "__main__":
    main()
