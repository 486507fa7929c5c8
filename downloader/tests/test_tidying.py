"""What a process that was killed left beside a whole entry is removed by the next fetch of it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attempts import BODY, leave
from building import age, content, failing
from launching import launched
from using import left_in

from llmkube_downloader.key import parse_source
from llmkube_downloader.store import tidying
from llmkube_downloader.store.beacon import Beacon
from llmkube_downloader.store.layout import OWNER, Layout
from llmkube_downloader.store.lease import try_take

if TYPE_CHECKING:
    from command_line import Run


@pytest.fixture
def fetched(run: Run, root: Path, tmp_path: Path) -> str:
    """A source whose entry is there."""
    (tmp_path / "tiny.gguf").write_bytes(BODY)
    source = f"file://{tmp_path}/tiny.gguf"
    assert run("fetch", source, "--root", root).code == 0
    return source


@pytest.fixture
def layout(root: Path) -> Layout:
    return Layout(root)


@pytest.fixture
def key(fetched: str) -> str:
    return parse_source(fetched).key


def again(run: Run, source: str, root: Path) -> None:
    """Fetch the source once more, as the launcher leaves it to the full command line."""
    assert run("fetch", source, "--root", root, "-o", "json").json["result"] == "hit"


def test_where_nothing_is_left_a_warm_start_does_without(fetched: str, root: Path) -> None:
    assert launched("fetch", fetched, "--root", root)


def test_an_attempt_that_was_killed_after_it_published_is_removed(
    run: Run, layout: Layout, fetched: str, key: str
) -> None:
    left = leave(layout, key=key, synced=range(10))
    (left.files / "model.gguf").unlink()
    left.files.rmdir()
    assert launched("fetch", fetched, "--root", layout.root) is None
    again(run, fetched, layout.root)
    assert left_in(layout.staging(key)) == left_in(layout.trash) == []
    assert launched("fetch", fetched, "--root", layout.root)


def test_an_attempt_that_another_one_was_faster_than_is_removed_once_its_writer_is_dead(
    run: Run, layout: Layout, fetched: str, key: str
) -> None:
    left = leave(layout, key=key, synced=range(5))
    alive = Beacon(left.directory / "alive.json")
    (left.directory / "alive.json").rename(left.directory / OWNER)
    again(run, fetched, layout.root)
    assert left_in(layout.staging(key)) == [left.directory.name]
    alive._let_go()
    again(run, fetched, layout.root)
    assert left_in(layout.staging(key)) == []


def test_an_attempt_to_fetch_another_content_is_kept_for_the_refresh_that_goes_on_with_it(
    run: Run, layout: Layout, fetched: str, key: str
) -> None:
    newer = bytes(reversed(BODY))
    left = leave(layout, key=key, synced=range(5), body=newer, identity=content("model.gguf", newer))
    again(run, fetched, layout.root)
    assert left_in(layout.staging(key)) == [left.directory.name]


def test_what_no_refresh_could_go_on_with_is_removed(run: Run, layout: Layout, fetched: str, key: str) -> None:
    leave(layout, key=key, synced=range(5), identity=content("model.gguf", BODY, sha256=None))
    again(run, fetched, layout.root)
    assert left_in(layout.staging(key)) == []


def test_the_build_lease_of_one_that_died_is_removed(run: Run, layout: Layout, fetched: str, key: str) -> None:
    taken = try_take(layout, key)
    assert taken
    taken._let_go()
    (layout.leases(key) / "build.stale.0").touch()
    assert launched("fetch", fetched, "--root", layout.root) is None
    again(run, fetched, layout.root)
    assert left_in(layout.leases(key)) == []


def test_while_somebody_works_on_the_key_nothing_is_removed(run: Run, layout: Layout, fetched: str, key: str) -> None:
    left = leave(layout, key=key)
    taken = try_take(layout, key)
    assert taken
    again(run, fetched, layout.root)
    assert left_in(layout.staging(key)) == [left.directory.name]
    taken.withdraw()


def test_what_lies_in_the_trash_is_removed(run: Run, layout: Layout, fetched: str) -> None:
    (layout.trash / "0123456789abcdef.0").mkdir()
    assert launched("fetch", fetched, "--root", layout.root) is None
    again(run, fetched, layout.root)
    assert left_in(layout.trash) == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO], ids=errno.errorcode.get)
def test_where_nothing_can_be_removed_the_entry_is_used_all_the_same(
    run: Run, layout: Layout, fetched: str, key: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    left = leave(layout, key=key)
    monkeypatch.setattr(tidying, "try_take", failing(number))
    again(run, fetched, layout.root)
    assert left_in(layout.staging(key)) == [left.directory.name]


# Trying a volume.


def test_a_probe_whose_maker_was_killed_is_removed_by_the_next_fetch(
    run: Run, root: Path, tmp_path: Path, fetched: str
) -> None:
    probes = [root / ".llmkube.probe.0", root / ".llmkube/staging/.llmkube.probe.1", root / ".llmkube.probe.2"]
    for probe in probes:
        probe.mkdir()
        beacon = Beacon(probe / OWNER)
        (probe / "format.json").touch()
        if probe is not probes[-1]:
            beacon._let_go()
    (tmp_path / "other.gguf").write_bytes(BODY)
    assert run("fetch", f"file://{tmp_path}/other.gguf", "--root", root).code == 0
    assert [probe.exists() for probe in probes] == [False, False, True]


@pytest.mark.parametrize("place", [".", ".llmkube/staging"])
def test_nothing_is_written_into_the_probe_of_another_who_is_about_to_remove_it(
    run: Run, root: Path, tmp_path: Path, fetched: str, place: str
) -> None:
    probe = root / place / ".llmkube.probe.0"
    probe.mkdir()
    owner = Beacon(probe / OWNER)
    before = probe.stat().st_mtime_ns
    (tmp_path / "other.gguf").write_bytes(BODY)
    assert run("fetch", f"file://{tmp_path}/other.gguf", "--root", root).code == 0
    assert probe.stat().st_mtime_ns == before
    owner.withdraw()


def test_a_probe_without_a_word_of_its_maker_is_removed_after_a_minute(
    run: Run, root: Path, tmp_path: Path, fetched: str
) -> None:
    staging = root / ".llmkube/staging"
    young, old, used = staging / ".llmkube.probe.0", staging / ".llmkube.probe.1", root / ".llmkube.probe.2"
    for probe in (young, old, used):
        probe.mkdir()
    age(old)
    (tmp_path / "other.gguf").write_bytes(BODY)
    assert run("fetch", f"file://{tmp_path}/other.gguf", "--root", root).code == 0
    assert [probe.exists() for probe in (young, old, used)] == [True, False, False]


def test_whoever_takes_a_stale_lease_over_goes_on_with_its_attempt_which_is_a_moment_younger(
    run: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody can prove the death of a writer that was killed on another machine.
    monkeypatch.setattr("llmkube_downloader.store.life._is_dead", lambda *_: False)
    (tmp_path / "tiny.gguf").write_bytes(BODY)
    source = f"file://{tmp_path}/tiny.gguf"
    layout, key = Layout(root), parse_source(source).key
    digest = content("model.gguf", BODY)
    left = leave(layout, key=key, synced=range(5), identity=digest)
    age(left.directory / OWNER, 55)
    taken = try_take(layout, key)
    assert taken
    taken._let_go()
    age(layout.leases(key) / "build")
    report = run("fetch", source, "--root", root, "--sha256", str(digest.sha256), "-o", "json").json
    assert report["bytesReused"] > 0
    assert left_in(layout.staging(key)) == []
    assert left_in(layout.leases(key)) == []


def test_a_format_that_was_never_written_is_written_by_the_next_fetch(run: Run, root: Path, fetched: str) -> None:
    whole = Layout(root).format.read_bytes()
    Layout(root).format.write_bytes(b"")
    assert run("fetch", fetched, "--root", root, "--refresh", "always").code == 0
    assert Layout(root).format.read_bytes() == whole


def test_whoever_is_taken_for_dead_while_it_tries_a_volume_goes_on(
    run: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where all locks are broken, everybody seems to be.
    (tmp_path / "tiny.gguf").write_bytes(BODY)
    rename = Path.rename

    def swept(path: Path, target: Path) -> Path:
        if path.name.startswith(".llmkube.probe."):
            shutil.rmtree(path)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", swept)
    assert run("fetch", f"file://{tmp_path}/tiny.gguf", "--root", root).code == 0
    assert [path.name for path in root.iterdir() if path.name.startswith(".llmkube.")] == []
