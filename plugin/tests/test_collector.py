"""How a process ends that has read a large cluster: at once, and with all that is to be done at an end."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import releases

from llmkube_plugin import collector, scan

if TYPE_CHECKING:
    from fake_kubernetes import FakeKubernetes

    from conftest import Run

PROGRAM = """
import atexit, sys
from llmkube_plugin import collector

class Thing:
    def __del__(self):
        print("a thing is gone")

atexit.register(print, "the end")
for _ in range(2):
    collector.keep([Thing()])
print("another has taken its place")
sys.exit(3)
"""


def test_what_is_kept_is_not_freed_at_the_end_where_all_else_is_done() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)

    assert done.stdout.splitlines() == ["a thing is gone", "another has taken its place", "the end"]
    assert (done.returncode, done.stderr) == (3, "")


def test_garbage_is_looked_for_again_afterwards_whatever_happened() -> None:
    was = []

    def fail() -> None:
        with collector.idle():
            was.append(gc.isenabled())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [*was, gc.isenabled()] == [False, True]


@pytest.mark.parametrize(("many", "kept"), [(0, True), (500, False)])
def test_only_what_was_read_of_a_large_cluster_is_kept(
    cluster: FakeKubernetes, run: Run, monkeypatch: pytest.MonkeyPatch, many: int, kept: bool
) -> None:
    things: list[object] = []
    monkeypatch.setattr(collector, "keep", things.append)
    monkeypatch.setattr(scan, "_MANY", many)
    cluster.add(*releases.serving())

    run("cache", "list")

    assert bool(things) is kept
