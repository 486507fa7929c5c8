"""What the demo prints: steps with their times, commands as a person would type them, and their output."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

_STARTED = time.monotonic()


def line(text: str = "") -> None:
    """Prints one line."""
    print(text, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announces a step, and afterwards says how long it took."""
    line(f"\n== {title}")
    started = time.monotonic()
    yield
    line(f"   ({time.monotonic() - started:.1f} s; {time.monotonic() - _STARTED:.0f} s since the start)")


def run(command: Sequence[str], env: Mapping[str, str], shown: str | None = None) -> None:
    """Shows a command, runs it on the terminal, and fails when it fails."""
    line(f"   $ {shown or shlex.join(command)}")
    subprocess.run(command, env=dict(env), check=True)
