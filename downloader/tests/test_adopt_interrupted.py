"""An adoption that takes files may end at any moment; no file is ever lost, and the next one goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from building import age
from caches_of_others import REPOSITORY, SERVED, put, tree
from command_line import SOURCES
from test_adopt_in_place import adopt

from llmkube_downloader.adopt.workplace import workplace
from llmkube_downloader.key import parse_source
from llmkube_downloader.store.beacon import Beacon, Heartbeat
from llmkube_downloader.store.entry import State, look
from llmkube_downloader.store.layout import Layout

if TYPE_CHECKING:
    from command_line import Run

WHOLE = "hf://acme/tiny"
KEY = parse_source(WHOLE).key
# Runs the command line, and kills it in place of its n-th call of a function.
KILLED = """
import os, sys
from pathlib import Path
from llmkube_downloader import cli

name, left = sys.argv.pop(1), int(sys.argv.pop(1))
target = Path if hasattr(Path, name) else os
original = getattr(target, name)

def deadly(*arguments, **options):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), {signal})
    return original(*arguments, **options)

setattr(target, name, deadly)
cli.main()
"""


def end_at(call: str, number: int, root: Path, folder: Path, how: signal.Signals) -> int:
    """Run an adoption that ends at a call, and return its exit code."""
    flags = ["adopt", "--root", str(root), "--from", str(folder), "--source", WHOLE, "--move"]
    command = [sys.executable, "-c", KILLED.replace("{signal}", str(int(how))), call, str(number), *flags]
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60).returncode


def somewhere(root: Path, folder: Path) -> dict[str, bytes]:
    """Return what is in the folder or in the entry."""
    entry = look(Layout(root), KEY)
    return {**tree(folder), **(tree(entry.path) if entry.state is State.COMPLETE else {})}


def taken(root: Path) -> dict[str, bytes]:
    """Return the files that lie between their old and their new place."""
    return {name: data for name, data in tree(root / ".llmkube" / "adopting").items() if "/files/" in name}


@pytest.mark.parametrize(("call", "numbers"), [("rename", range(1, 12)), ("fsync", range(1, 30, 3))])
def test_a_kill_at_any_moment_loses_no_file(run: Run, root: Path, tmp_path: Path, call: str, numbers: range) -> None:
    codes = []
    for number in numbers:
        place, folder = root / str(number), put(tmp_path / f"folder {number}", REPOSITORY)
        codes.append(end_at(call, number, place, folder, signal.SIGKILL))
        assert look(Layout(place), KEY).state in (State.ABSENT, State.COMPLETE)
        done = adopt(run, place, "--from", folder, "--source", WHOLE, "--move")
        assert done.code == 0, (number, done.json)
        assert somewhere(place, folder) == REPOSITORY
        assert tree(place / KEY) == SERVED
        assert taken(place) == {}
    assert codes[0] == -signal.SIGKILL
    assert codes[-1] == 0


@pytest.mark.parametrize("number", [3, 4, 6])
def test_a_process_that_is_asked_to_end_puts_everything_back(root: Path, tmp_path: Path, number: int) -> None:
    folder = put(tmp_path / "folder", REPOSITORY)
    assert end_at("rename", number, root, folder, signal.SIGTERM) == 143
    assert tree(folder) == REPOSITORY
    assert taken(root) == {}
    assert list((root / ".llmkube" / "leases" / KEY).iterdir()) == []


def test_what_can_not_be_put_back_stays_where_it_is(layout: Layout, tmp_path: Path) -> None:
    folder = put(tmp_path / "folder", {"a": b"1"})
    with workplace(layout, Heartbeat(lambda: (0, None))) as place:
        place.take({folder / "a": "a"})
        put(folder, {"a": b"another one"})
    assert list(taken(layout.root).values()) == [b"1"]
    assert tree(folder) == {"a": b"another one"}


class TestPuttingBack:
    @pytest.fixture
    def cut_off(self, layout: Layout, tmp_path: Path) -> Path:
        """The workplace of a dead process that had taken two files."""
        folder = put(tmp_path / "folder", {"a": b"1", "deep/b": b"2"})
        heartbeat = Heartbeat(lambda: (0, None))
        with workplace(layout, heartbeat) as place:
            (directory,) = layout.adopting.iterdir()
            place.take({folder / "a": "a", folder / "deep" / "b": "deep/b"})
            assert tree(folder) == {}
            (folder / "deep").rmdir()
            kept = directory.with_name("dead")
            directory.rename(kept)
            directory.mkdir()
        age(kept / "owner.json")
        return kept

    def test_files_return_to_where_they_were(self, run: Run, root: Path, tmp_path: Path, cut_off: Path) -> None:
        assert adopt(run, root).code == 0
        assert tree(tmp_path / "folder") == {"a": b"1", "deep/b": b"2"}
        assert not cut_off.exists()

    def test_a_file_whose_place_is_taken_stays_and_is_named(
        self, run: Run, root: Path, tmp_path: Path, cut_off: Path, layout: Layout
    ) -> None:
        put(tmp_path / "folder", {"a": b"another one"})
        for _ in range(2):
            done = adopt(run, root)
            assert done.code == 21
            (left,) = done.json["left"]
            assert "its old place is taken" in left["cause"]
            assert tree(tmp_path / "folder") == {"a": b"another one", "deep/b": b"2"}
            (kept,) = layout.adopting.iterdir()
            assert (kept / "files" / "a").read_bytes() == b"1"
        assert not cut_off.exists()
        assert "of an adoption that was cut off" in run("doctor", "--root", root).out

    def test_who_works_there_is_left_alone(self, run: Run, root: Path, cut_off: Path) -> None:
        (cut_off / "owner.json").unlink()
        owner = Beacon(cut_off / "owner.json")
        assert adopt(run, root).code == 0
        assert tree(cut_off / "files") == {"a": b"1", "deep/b": b"2"}
        assert "cut off" not in run("doctor", "--root", root).out
        owner.withdraw()

    def test_a_record_that_is_cut_off_is_of_nothing_taken(self, run: Run, root: Path, cut_off: Path) -> None:
        (cut_off / "moves.json").write_bytes((cut_off / "moves.json").read_bytes()[:10])
        (cut_off / "files" / "a").unlink()
        (cut_off / "files" / "deep" / "b").unlink()
        assert adopt(run, root).code == 0
        assert not cut_off.exists()
