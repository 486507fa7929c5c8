"""Promises about a volume whose machine loses power at any time.

All that a disk is told while models are fetched, refreshed, mended and removed is recorded. Then the power is cut after
every flush, and at random with writes lost and torn: see docs/reliability.md. `LLMKUBE_TEST_FAULTS=deep` makes 25 times
as many random cuts, others each time, which takes some minutes more.
"""

from __future__ import annotations

import os
import re
import secrets
import select
from typing import TYPE_CHECKING, Any

import pytest

from faults.deep import deep, needs_root
from faults.place import FILE_SYSTEMS, Worker, Workers
from powerloss.recording import LOG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, needs_root]

_CUTS = 500 if deep() else 20
_SEED = secrets.randbelow(2**31) if deep() else 0
_PROCESSES = 2
# For what takes milliseconds when it happens at all.
_MOST_SECONDS = 60


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers() as started:
        yield started


@pytest.fixture(scope="module")
def recordings(workers: Workers) -> dict[str, Path]:
    """Where the disk of each file system was recorded."""
    started = {kind: workers.start("powerloss.recording", kind) for kind in FILE_SYSTEMS}
    return {kind: _finished(worker) for kind, worker in started.items()}


@pytest.mark.parametrize("file_system", FILE_SYSTEMS)
def test_after_a_power_cut_a_name_is_absent_or_whole_and_the_next_fetch_succeeds(
    workers: Workers, recordings: dict[str, Path], file_system: str
) -> None:
    tally = _cut(workers, recordings[file_system], file_system, "--cuts", str(_CUTS), "--seed", str(_SEED))
    assert tally["cuts"] > _CUTS
    assert tally["wrong"] == []


@pytest.mark.parametrize(
    ("forgotten", "moment", "sign"),
    [
        ("everything", "after build", "not first: .* has wrong bytes in"),
        ("publication", "after build", "first is gone"),
        ("data", "during go-on", "the next fetch ended with exit code 1[35]"),
    ],
)
def test_a_cache_that_does_not_sync_is_caught(workers: Workers, forgotten: str, moment: str, sign: str) -> None:
    phase = moment.rpartition(" ")[2]
    recorder = workers.start("powerloss.recording", "ext4", "--forget", forgotten, "--phase", phase)
    wrong = _cut(workers, _finished(recorder), "ext4", "--at", moment, "--until", sign)["wrong"]
    assert any(re.search(f"{moment}: {sign}", line) for line in wrong), wrong


@pytest.mark.parametrize("_", range(8))
def test_a_recording_can_be_killed_at_any_time_and_ends(tmp_path: Path, _: int) -> None:
    # Who is the last to end, and has to unmount the file system, differs from time to time.
    os.mkfifo(tmp_path / LOG)
    # A pipe in place of the log tells when the file system is in use; then nobody reads it any more.
    log = os.open(tmp_path / LOG, os.O_RDONLY | os.O_NONBLOCK)
    recorder = Worker(tmp_path, "powerloss.recording", "ext4")
    try:
        seen = b""
        while b"begin build" not in seen:
            await_readable(log, "nothing was recorded")
            seen = seen[-20:] + os.read(log, 65536)
        running = [os.pidfd_open(pid) for pid in recorder.processes()]
    finally:
        recorder.kill()
    assert len(running) > 2
    for process in running:
        await_readable(process, "it waits for a disk that it serves")
        os.close(process)
    os.close(log)


def await_readable(descriptor: int, otherwise: str) -> None:
    assert select.select([descriptor], [], [], _MOST_SECONDS)[0], otherwise


def _finished(recorder: Worker) -> Path:
    recorder.result()
    return recorder.directory


def _cut(workers: Workers, recording: Path, file_system: str, *flags: str) -> dict[str, Any]:
    """Cut the power with several processes, and add up what came of it."""
    shares = [f"{number}/{_PROCESSES}" for number in range(_PROCESSES)]
    started = [workers.start("powerloss.checking", recording, file_system, "--share", each, *flags) for each in shares]
    tallies = [worker.result() for worker in started]
    return {
        "cuts": sum(each["cuts"] for each in tallies),
        "wrong": [line for each in tallies for line in each["wrong"]],
    }
