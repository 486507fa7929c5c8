"""Removing races with starting: whoever was told that the entry is there finds it whole, wherever the two meet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from using import POD, before_each_operation, left_in
from weights import gguf

from llmkube_downloader.store import removal
from llmkube_downloader.store.entry import State, look
from llmkube_downloader.store.layout import Layout
from llmkube_downloader.store.users import who_uses

if TYPE_CHECKING:
    import subprocess

    from command_line import Run, Start
    from origin_server import Origin

ROUNDS = 50
# What an NFS client does that has read the directory of leases before the intent was in it.
STALE = """
from llmkube_downloader.store import use, user
use.live_intents = lambda *_: []
user.listdir = lambda _: []
"""
QUICK = """
from llmkube_downloader.store import lease
lease.POLL_SECONDS = 0.01
"""


class Race:
    """A removal in this process, and starters in processes of their own that come at any point of it."""

    def __init__(self, run: Run, start: Start, origin: Origin, layout: Layout, patch: pytest.MonkeyPatch) -> None:
        self.layout = layout
        self.codes: list[int] = []
        self._run = run
        self._start = start
        self._patch = patch
        self._source = (origin.serve("/tiny.gguf", gguf()), "--root", layout.root, "--allow-http", origin.host)
        self.key = str(run("fetch", *self._source, "-o", "json").json["key"])

    def operations(self) -> int:
        """Return how many operations on files a removal has."""
        seen: list[int] = []
        with before_each_operation(self.layout.root, seen.append):
            self._run("remove", self.key, "--root", self.layout.root)
        return len(seen)

    def violation(self, point: int, place: Path, *, stale: bool) -> str:
        """Let somebody start before an operation of a removal, and return what they were promised and did not get.

        - stale: they do not see that somebody is about to remove the entry.
        """
        for lease in self.layout.leases(self.key).glob("use.*"):
            lease.unlink()
        self._run("fetch", *self._source)
        (place / "sitecustomize.py").write_text(QUICK + (STALE if stale else ""))
        started: list[subprocess.Popen[str]] = []
        missed: list[int] = []

        def step(number: int) -> None:
            if number == point:
                started.append(self._begin(place))
                _await_end_or_waiting(started[0])
            elif started and started[0].poll() is not None and not self._is_whole():
                missed.append(number)

        with before_each_operation(self.layout.root, step):
            self.codes.append(self._run("remove", self.key, "--root", self.layout.root).code)
        if not started:
            # This removal had fewer operations than the one that was counted.
            started.append(self._begin(place))
        output, errors = started[0].communicate()
        if started[0].returncode != 0:
            return f"a starter at {point} ended with {started[0].returncode}: {output}{errors}"
        if not self._is_whole():
            return f"a starter at {point} was told of an entry that is gone afterwards"
        if missed and not stale:
            return f"a starter at {point} was told of an entry that was gone at {missed}"
        return ""

    def _begin(self, place: Path) -> subprocess.Popen[str]:
        with self._patch.context() as patch:
            patch.setenv("LLMKUBE_POD_UID", POD)
            patch.setenv("PYTHONPATH", str(place))
            return self._start("fetch", *self._source)

    def _is_whole(self) -> bool:
        return look(self.layout, self.key).state is State.COMPLETE


@pytest.fixture
def race(run: Run, start: Start, origin: Origin, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Race:
    return Race(run, start, origin, layout, monkeypatch)


def _await_end_or_waiting(starter: subprocess.Popen[str]) -> None:
    said = b""
    assert starter.stderr
    while b"waiting" not in said and (more := os.read(starter.stderr.fileno(), 4096)):
        said += more
    if b"waiting" not in said:
        starter.wait()


def rounds(operations: int) -> list[tuple[int, bool]]:
    """Return points of a removal, spread evenly over all of it, alternately for starters that see and that do not."""
    return [(number * operations // ROUNDS, number % 2 == 1) for number in range(ROUNDS)]


def second_half(operations: int) -> range:
    """Return the points at which a removal moves, looks again and gives up; before it only plans and looks."""
    return range(operations // 2, operations)


def test_whoever_starts_during_a_removal_ends_with_a_whole_entry(race: Race, tmp_path: Path) -> None:
    broken = [race.violation(point, tmp_path, stale=stale) for point, stale in rounds(race.operations())]
    assert [violation for violation in broken if violation] == []
    assert set(race.codes) == {0, 21}
    assert left_in(race.layout.trash) == []
    assert not [name for name in left_in(race.layout.leases(race.key)) if not name.startswith("use.")]


def test_without_the_second_look_the_race_is_lost(race: Race, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def first_look_only(layout: Layout, key: str, counts: Any) -> list[str]:
        return [] if left_in(layout.trash) else who_uses(layout, key, counts)

    monkeypatch.setattr(removal, "who_uses", first_look_only)
    assert any(race.violation(point, tmp_path, stale=True) for point in second_half(race.operations()))


def test_without_the_intent_the_race_is_lost(race: Race, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = removal._Intent.__init__

    def unwritten(intent: removal._Intent, layout: Layout, key: str) -> None:
        write(intent, layout, key)
        intent.withdraw()

    monkeypatch.setattr(removal._Intent, "__init__", unwritten)
    assert any(race.violation(point, tmp_path, stale=False) for point in second_half(race.operations()))
