"""Lets a run use several processes (`pytest -n 2`): which tests stay together, and who runs alone.

What waits (for a cluster, a network, a fault) and what computes then share the machine's cores. A plugin of pytest.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Where tests are, and what those share a process with that share what takes long to set up; of the rest, the tests of a
# module stay together. In this order: what needs the machine for itself, what computes and may run beside that, what
# mostly waits, the longest first, and what computes again, so that no process is left with a long one in the end.
_LANES = {
    "tests/harness/": "harness",
    "tests/chart/": "",
    "plugin/tests/test_install": "install",
    "plugin/tests/": "",
    "tests/protocol/": "",
    "tests/e2e/nodes/": "nodes",
    "tests/gitops/": "",
    "tests/apiserver/test_upgrade": "",
    "tests/e2e/test_waiting": "",
    "tests/e2e/test_plugin_load": "",
    "tests/e2e/": "",
    "tests/apiserver/": "apiserver",
    "tests/faults/": "",
    "tests/powerloss/": "",
    "": "",
}
# These compare the machine before and after: nothing that changes it may run beside them.
_ALONE = "tests/harness/"
_UNSEEN = ("tests/chart/", "plugin/tests/", "tests/protocol/")  # leave no trace that those look for


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Give every process whole groups of tests, one after the other."""
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = _group
    return scheduler


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests for several processes; a run in one process stays as it is."""
    if _is_worker(config):
        lanes = list(_LANES)
        items.sort(key=lambda item: lanes.index(_lane(item.nodeid)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Run what compares the machine before and after while nothing else changes it, one such test after the other."""
    if not _is_worker(item.config) or item.nodeid.startswith(_UNSEEN):
        return (yield)
    alone = item.nodeid.startswith(_ALONE)
    if not _turn.locks:
        _turn.take(run_folder(item.config._tmp_path_factory), alone=alone)  # type: ignore[attr-defined]
    try:
        return (yield)
    finally:
        if not (alone and nextitem and nextitem.nodeid.startswith(_ALONE)):
            _turn.give_back()


class Turn:
    """The machine, held alone or with others. Who wants it alone shuts the door first, or its turn would never come."""

    def __init__(self) -> None:
        self.locks: list[IO[str]] = []

    def take(self, folder: Path, *, alone: bool) -> None:
        """Wait for the machine; `folder` is where all processes of the run meet."""
        with (folder / "door").open("w") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            machine = (folder / "machine").open("w")
            fcntl.flock(machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            self.locks.append(machine)

    def give_back(self) -> None:
        """Let others have it."""
        while self.locks:
            self.locks.pop().close()


_turn = Turn()


def run_process() -> int:
    """Return the process of the run as a whole, whose end is the end of all that the run made."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """Return the temporary folder of the whole run, in which each process has one of its own."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _group(test: str) -> str:
    """What a test, named by its file and function, shares a process with: others of its lane, or of its module."""
    return _LANES[_lane(test)] or test.partition("::")[0]


def _lane(test: str) -> str:
    return next(start for start in _LANES if test.startswith(start))
