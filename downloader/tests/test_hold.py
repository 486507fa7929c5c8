"""Holding: a pod that lives for long says again and again that it uses an entry."""

from __future__ import annotations

import errno
import signal
from typing import TYPE_CHECKING

import pytest
from building import KEY, age, failing
from using import OTHER_POD, POD

from llmkube_downloader.store import user
from llmkube_downloader.store.layout import Layout
from llmkube_downloader.store.users import uses

if TYPE_CHECKING:
    from command_line import Run, Start


def test_a_hold_renews_the_lease_until_it_is_told_to_end(layout: Layout, start: Start) -> None:
    holder = start("hold", KEY, "--root", layout.root, "--pod-uid", POD)
    assert holder.stdout
    assert holder.stdout.readline() == f"{KEY} is held for pod {POD}\n"
    assert [found.pod for found in uses(layout, KEY)] == [POD]
    holder.send_signal(signal.SIGTERM)
    assert holder.wait() == 143
    assert [found.pod for found in uses(layout, KEY)] == [POD]


class _EnoughError(Exception):
    pass


def test_a_hold_goes_on_when_the_lease_can_not_be_renewed(
    layout: Layout, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []
    ages: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        path = layout.leases(KEY) / f"use.{POD}"
        ages.append(path.stat().st_mtime)
        age(path, 3600)
        if len(waits) == 2:
            path.chmod(0)
            monkeypatch.setattr("llmkube_downloader.maintenance.pinning.renew_use", failing(errno.EIO))
        if len(waits) == 3:
            raise _EnoughError

    monkeypatch.setattr("time.sleep", wait)
    with pytest.raises(_EnoughError):
        run("hold", KEY, "--root", layout.root, "--pod-uid", POD)
    assert waits == [3600.0] * 3
    assert ages[1] > ages[0] - 1
    assert "can not be renewed: Input/output error" in capsys.readouterr().err


def test_a_hold_needs_a_pod_a_key_and_a_volume_that_can_be_written(
    layout: Layout, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = run("hold", KEY, "--root", layout.root)
    assert without.code == 10
    assert "LLMKUBE_POD_UID" in without.err
    assert run("hold", "no key", "--root", layout.root, "--pod-uid", OTHER_POD).code == 10
    assert run("hold", KEY, "--root", layout.root / "missing", "--pod-uid", OTHER_POD).code == 12
    monkeypatch.setattr(user, "open_file", failing(errno.EROFS))
    assert run("hold", KEY, "--root", layout.root, "--pod-uid", OTHER_POD).code == 15
