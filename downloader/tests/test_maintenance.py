"""Listing and verifying entries."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from building import KEY, stage
from using import OTHER_POD, POD, lease, publish_entry, supersede
from weights import gguf

from llmkube_downloader.store.entry import look
from llmkube_downloader.store.trash import quarantine

if TYPE_CHECKING:
    from collections.abc import Callable

    from command_line import Run

from llmkube_downloader.store.layout import Layout

MODEL = gguf(50_000)
OTHER_KEY = "0123456789abcdef"


@pytest.fixture
def key(run: Run, root: Path, tmp_path: Path) -> str:
    """The key of an entry with two files."""
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "deep" / "tiny.gguf").write_bytes(MODEL)
    (tmp_path / "model" / "config.json").write_bytes(b"{}")
    report = run("fetch", f"file://{tmp_path}/model", "--root", root, "-o", "json").json
    return str(report["key"])


def entries(run: Run, root: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = run("list", "--root", root, "-o", "json").json["entries"]
    return listed


def states(run: Run, root: Path) -> list[tuple[str | None, str]]:
    return [(entry["key"], entry["state"]) for entry in entries(run, root)]


def test_an_entry_is_listed_with_what_it_holds(run: Run, root: Path, key: str, tmp_path: Path) -> None:
    (entry,) = entries(run, root)
    assert entry.pop("created").endswith("+00:00")
    assert entry == {
        "key": key,
        "entry": str(root / key),
        "state": "complete",
        "source": f"file://{tmp_path}/model",
        "revision": None,
        "bytes": len(MODEL) + 2,
        "files": 2,
        "lastUsed": None,
        "pinned": False,
        "users": 0,
        "pods": [],
    }


def test_who_uses_an_entry_is_listed_with_it(layout: Layout, run: Run) -> None:
    publish_entry(layout)
    lease(layout, OTHER_POD, days=30)
    (entry,) = entries(run, layout.root)
    assert (entry["users"], entry["pods"], entry["pinned"]) == (0, [], False)
    assert datetime.now(timezone.utc) - datetime.fromisoformat(entry["lastUsed"]) > timedelta(days=29)
    lease(layout)
    run("pin", KEY, "--root", layout.root)
    (entry,) = entries(run, layout.root)
    assert (entry["users"], entry["pods"], entry["pinned"]) == (1, [POD], True)
    assert datetime.now(timezone.utc) - datetime.fromisoformat(entry["lastUsed"]) < timedelta(minutes=5)
    row = run("list", "--root", layout.root).out.splitlines()[1].split()
    assert row[-3:] == ["1", "yes", "hf://org/repo"]


def test_what_no_starter_opens_has_no_users(layout: Layout, run: Run) -> None:
    publish_entry(layout)
    quarantine(layout, look(layout, KEY))
    stage(layout, {"part": b"123"})
    lease(layout)
    run("pin", KEY, "--root", layout.root)
    for entry in entries(run, layout.root):
        assert entry["state"] in ("partial", "damaged")
        assert (entry["users"], entry["pinned"], entry["lastUsed"]) == (0, False, None)
        # They are a reason all the same why the key is not removed.
        assert entry["pods"] == [POD]


def test_generations_are_entries_of_their_key(layout: Layout, run: Run) -> None:
    publish_entry(layout)
    newest = supersede(layout, "0badcafe")
    publish_entry(layout)
    lease(layout)
    assert [(Path(entry["entry"]), entry["key"], entry["users"]) for entry in entries(run, layout.root)] == [
        (layout.root / KEY, KEY, 1),
        (newest, KEY, 1),
    ]
    assert newest.name in run("list", "--root", layout.root).out


def test_what_is_of_no_entry_is_measured_beside_them(run: Run, root: Path, key: str) -> None:
    nothing = run("list", "--root", root, "-o", "json").json["beside"]
    layout = Layout(root)
    for directory, size in (
        (layout.trash / "gone.0", 100),
        (layout.adopting / "a", 20),
        (root, 3),
        (root / ".hidden", 9),
    ):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "file").write_bytes(bytes(size))
    (root / ".nfs000").write_bytes(bytes(7))

    assert nothing == {"trash": 0, "adopting": 0, "files": 0}
    assert run("list", "--root", root, "-o", "json").json["beside"] == {"trash": 100, "adopting": 20, "files": 3}
    assert [entry["key"] for entry in entries(run, root)] == [key]


def test_everything_that_takes_space_is_listed(run: Run, root: Path, key: str) -> None:
    (root / key / "config.json").unlink()
    (root / OTHER_KEY).mkdir()
    (root / OTHER_KEY / "model.gguf").write_bytes(MODEL)
    (root / "of another tool").mkdir()
    (root / "of another tool" / "file").write_bytes(b"12345")
    (root / ".snapshot").mkdir()
    (root / ".snapshot" / "file").write_bytes(b"of the file server")
    (root / "lost+found").mkdir()
    attempt = root / ".llmkube" / "staging" / OTHER_KEY / "attempt"
    attempt.mkdir(parents=True)
    (attempt / "part").write_bytes(b"123")
    assert states(run, root) == [
        (OTHER_KEY, "foreign"),
        (key, "damaged"),
        (None, "foreign"),
        (OTHER_KEY, "partial"),
    ]
    assert [entry["bytes"] for entry in entries(run, root)[2:]] == [5, 3]
    assert entries(run, root)[1]["problem"] == "config.json is missing"


def test_people_see_a_table(run: Run, root: Path, key: str) -> None:
    titles, row, _, space = run("list", "--root", root).out.splitlines()
    assert titles.split() == ["KEY", "STATE", "SIZE", "FILES", "CREATED", "LAST-USED", "USERS", "PINNED", "SOURCE"]
    assert row.split()[:5] == [key, "complete", "48.8", "KiB", "2"]
    assert f"on {root}" in space


def test_an_empty_cache_is_said_so_and_a_missing_one_is_an_error(run: Run, root: Path) -> None:
    missing = run("list", "--root", root)
    assert missing.code == 12
    root.mkdir()
    assert run("list", "--root", root).out.startswith("no entries\n")
    assert run("list", "--root", root, "-o", "json").json["entries"] == []


def test_a_whole_entry_is_verified(run: Run, root: Path, key: str) -> None:
    done = run("verify", "--root", root, "-o", "json")
    assert done.code == 0
    assert done.json["entries"] == [
        {"key": key, "entry": str(root / key), "state": "complete", "bytes": len(MODEL) + 2, "problems": []}
    ]


def flip_in(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def flip(entry: Path) -> None:
    flip_in(entry / "deep" / "tiny.gguf")


@pytest.mark.parametrize(
    ("damage", "path"),
    [
        (flip, "deep/tiny.gguf"),
        (lambda entry: os.truncate(entry / "deep" / "tiny.gguf", 5), "deep/tiny.gguf"),
        (lambda entry: (entry / "config.json").unlink(), "config.json"),
        (lambda entry: (entry / "extra").write_bytes(b"?"), "extra"),
        (lambda entry: (entry / ".llmkube.json").write_bytes(b"{}"), ".llmkube.json"),
    ],
    ids=["flipped bit", "truncated", "missing", "added", "manifest"],
)
def test_a_damaged_entry_is_found_and_named(
    run: Run, root: Path, key: str, damage: Callable[[Path], None], path: str
) -> None:
    damage(root / key)
    done = run("verify", key, "--root", root, "-o", "json")
    assert done.code == 13
    (entry,) = done.json["entries"]
    assert entry["state"] == "damaged"
    assert [problem["path"] for problem in entry["problems"]] == [path]
    assert path in run("verify", "--root", root).out


def test_files_that_an_nfs_client_keeps_open_are_not_damage(run: Run, root: Path, key: str) -> None:
    (root / key / ".nfs000001").write_bytes(b"unlinked while open")
    assert run("verify", "--root", root).code == 0


def test_verifying_all_leaves_out_what_is_not_ours(run: Run, root: Path, key: str) -> None:
    (root / OTHER_KEY).mkdir()
    (root / OTHER_KEY / "model.gguf").write_bytes(MODEL)
    assert [entry["key"] for entry in run("verify", "--root", root, "-o", "json").json["entries"]] == [key]
    assert run("verify", OTHER_KEY, "--root", root).code == 12


def test_all_generations_of_a_key_are_verified(layout: Layout, run: Run) -> None:
    publish_entry(layout)
    newest = supersede(layout, "0badcafe")
    publish_entry(layout)
    flip_in(newest / "model.gguf")
    for arguments in (["verify", KEY], ["verify"]):
        done = run(*arguments, "--root", layout.root, "-o", "json")
        assert done.code == 13
        assert [(entry["entry"], entry["state"]) for entry in done.json["entries"]] == [
            (str(layout.root / KEY), "complete"),
            (str(newest), "damaged"),
        ]


@pytest.mark.parametrize("command", ["verify", "remove", "pin", "unpin"])
def test_a_key_that_is_none_or_not_there_is_refused(run: Run, root: Path, key: str, command: str) -> None:
    assert key
    assert run(command, "../x", "--root", root).code == 10
    assert run(command, "of another tool", "--root", root).code == 10
    assert run(command, OTHER_KEY, "--root", root).code == 12
    assert not (root / ".llmkube" / "leases" / OTHER_KEY).exists()


def test_a_name_on_the_volume_can_not_steer_the_terminal(run: Run, root: Path) -> None:
    (root / "\x1b[2J\x9b2J\x07owned").mkdir(parents=True)
    assert run("list", "--root", root).out.replace("\n", "").isprintable()
