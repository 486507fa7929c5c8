"""A writer that was silent may wake up while others copy what it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attempts import fill
from building import KEY, age, content, idle

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store import life, staging
from llmkube_downloader.store.beacon import Beacon, Heartbeat
from llmkube_downloader.store.journal import read_journal
from llmkube_downloader.store.layout import OWNER, Layout
from llmkube_downloader.store.staging import Attempt, attempt


@pytest.fixture
def _remote(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the volume for one whose locks prove nothing."""
    monkeypatch.setattr(life, "file_system_type", lambda _: "nfs4")


@pytest.mark.usefixtures("_remote")
def test_a_silent_writer_that_wakes_up_with_another_content_leaves_none_of_it_under_the_old_name(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (
        content("model.gguf", sha256=None, validator='"old"'),
        content("model.gguf", sha256=None, validator='"new"'),
    )
    silent = Attempt(layout.staging(KEY) / ("0" * 32))
    silent.directory.mkdir(parents=True)
    Beacon(silent.directory / OWNER)
    silent.prepare()
    fill(silent, old, b"o")
    age(silent.directory / OWNER)
    read = read_journal

    def wake_up(path: Path, *, same_boot: bool) -> Any:
        kept = read(path, same_boot=same_boot)
        if silent.directory in path.parents and kept is not None:
            monkeypatch.setattr(staging, "read_journal", read)
            silent.keep_only([new])
            fill(silent, new, b"n")
        return kept

    monkeypatch.setattr(staging, "read_journal", wake_up)
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        kept = read(opened.journal("model.gguf"), same_boot=True)
        assert kept is None or (opened.files / "model.gguf").read_bytes() == {'"old"': b"o", '"new"': b"n"}[
            kept.identity.validator or ""
        ] * (kept.identity.size or 0)


# Where all locks are broken, everybody seems to be dead to everybody else.


def test_an_attempt_that_was_taken_before_its_first_word_says_so(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swept(path: Path) -> Beacon:
        path.parent.rmdir()
        return Beacon(path)

    monkeypatch.setattr(staging, "Beacon", swept)
    with pytest.raises(DownloaderError) as failure, attempt(layout, KEY, Heartbeat(idle)):
        pass
    assert failure.value.code is ExitCode.DELETED_OR_LOCK_TIMEOUT


def test_files_of_another_attempt_in_ones_own_are_no_fault_of_the_file_system(layout: Layout) -> None:
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        (opened.files / "model.gguf").touch()
        with pytest.raises(DownloaderError) as failure:
            opened.open(content("model.gguf"))
    assert failure.value.code is ExitCode.DELETED_OR_LOCK_TIMEOUT
