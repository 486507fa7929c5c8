"""A pod says that it uses an entry before it trusts it: whoever removes entries then sees the pod, or is seen by it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from building import age, failing
from launching import MODEL, SOURCE, launched, put

from llmkube_downloader import launch
from llmkube_downloader.key import parse_source
from llmkube_downloader.store import user

POD = "0f0e0d0c-1111-2222-3333-444444444444"


@pytest.fixture
def entry(root: Path) -> Path:
    """The entry of SOURCE."""
    return put(root, parse_source(SOURCE), {"model.gguf": MODEL})


@pytest.fixture
def leases(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the leases of SOURCE, for whose pod the test runs."""
    monkeypatch.setenv("LLMKUBE_POD_UID", POD)
    return root / ".llmkube" / "leases" / parse_source(SOURCE).key


@pytest.mark.usefixtures("entry")
def test_a_pod_that_uses_an_entry_says_which(root: Path, leases: Path) -> None:
    assert launched("fetch", SOURCE, "--root", root)
    (lease,) = leases.iterdir()
    assert lease.name == f"use.{POD}"
    since = int(lease.stat().st_mtime)
    assert json.loads(lease.read_text()) == {
        "host": os.uname().nodename,
        "podUID": POD,
        "since": since,
        "opening": False,
        "entries": [leases.name],
    }
    assert lease.read_text().index("\n") == 1023


def test_until_a_pod_has_opened_an_entry_its_lease_stands_for_all(
    root: Path, leases: Path, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def listdir(path: str) -> list[str]:
        seen.append(json.loads((leases / f"use.{POD}").read_text())["opening"])
        return [found.name for found in Path(path).iterdir()]

    monkeypatch.setattr(launch, "listdir", listdir)
    monkeypatch.setattr(user, "listdir", listdir)
    assert entry
    for _ in range(2):
        assert launched("fetch", SOURCE, "--root", root)
    assert seen == [True] * 4


@pytest.mark.usefixtures("entry")
def test_a_pod_starts_also_where_it_can_not_say_what_it_opened(
    root: Path, leases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = [os.pwrite, failing(errno.ENOSPC)]
    monkeypatch.setattr(user, "pwrite", lambda *arguments: writes.pop(0)(*arguments))
    assert launched("fetch", SOURCE, "--root", root)
    assert json.loads((leases / f"use.{POD}").read_text())["opening"] is True


@pytest.mark.usefixtures("entry")
def test_a_pod_that_starts_again_renews_its_lease(root: Path, leases: Path) -> None:
    assert launched("fetch", SOURCE, "--root", root)
    lease = leases / f"use.{POD}"
    written, inode = lease.stat().st_mtime, lease.stat().st_ino
    age(lease, 1000)
    assert launched("fetch", SOURCE, "--root", root)
    assert lease.stat().st_mtime >= written
    assert json.loads(lease.read_text())["since"] == int(written)
    assert lease.stat().st_ino == inode


@pytest.mark.usefixtures("entry")
def test_an_entry_that_is_about_to_be_removed_is_not_trusted(root: Path, leases: Path) -> None:
    leases.mkdir(parents=True)
    intent = leases / "intent.0123"
    intent.touch()
    assert launched("fetch", SOURCE, "--root", root) is None
    # Whoever removes learns of the pod all the same.
    assert (leases / f"use.{POD}").exists()
    intent.unlink()
    assert launched("fetch", SOURCE, "--root", root)


def test_an_entry_that_was_removed_meanwhile_is_not_trusted(
    root: Path, leases: Path, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def removed(_root: str, _key: str, _pod: str) -> None:
        entry.rename(root / "elsewhere")
        leases.mkdir(parents=True)

    monkeypatch.setattr(user, "begin", removed)
    assert launched("fetch", SOURCE, "--root", root) is None


def test_the_lease_is_written_before_intents_are_looked_for(
    root: Path, leases: Path, entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def listdir(path: str) -> list[str]:
        seen.append((leases / f"use.{POD}").exists())
        return [found.name for found in Path(path).iterdir()]

    monkeypatch.setattr(user, "listdir", listdir)
    assert entry
    assert launched("fetch", SOURCE, "--root", root)
    assert seen == [True]


@pytest.mark.usefixtures("entry")
def test_a_lease_that_is_gone_again_is_not_relied_upon(
    root: Path, leases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user, "_refresh", lambda _: (leases / f"use.{POD}").unlink())
    assert launched("fetch", SOURCE, "--root", root) is None


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM], ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["mkdir", "open_file", "pwrite"])
@pytest.mark.usefixtures("entry")
def test_where_nothing_can_be_written_a_pod_starts_all_the_same(
    root: Path, leases: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    monkeypatch.setattr(user, call, failing(number))
    assert launched("fetch", SOURCE, "--root", root)
    leases.mkdir(parents=True, exist_ok=True)
    (leases / "intent.0123").touch()
    assert launched("fetch", SOURCE, "--root", root) is None


@pytest.mark.parametrize("call", ["mkdir", "open_file", "pwrite", "listdir"])
@pytest.mark.usefixtures("entry", "leases")
def test_trouble_with_a_lease_is_left_to_the_full_command_line(
    root: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(user, call, failing(errno.EIO))
    assert launched("fetch", SOURCE, "--root", root) is None


@pytest.mark.parametrize("pod", ["../../../away", "a/b", ".", "-", "p\u00f6d"])
@pytest.mark.usefixtures("entry")
def test_what_is_no_uid_of_a_pod_names_no_lease(root: Path, monkeypatch: pytest.MonkeyPatch, pod: str) -> None:
    monkeypatch.setenv("LLMKUBE_POD_UID", pod)
    before = sorted(root.parent.rglob("*"))
    assert launched("fetch", SOURCE, "--root", root) is None
    assert sorted(root.parent.rglob("*")) == before


@pytest.mark.usefixtures("leases")
def test_a_pod_says_nothing_about_an_entry_that_is_not_there(root: Path) -> None:
    assert launched("fetch", SOURCE, "--root", root) is None
    assert not root.exists()
