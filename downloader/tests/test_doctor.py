"""The doctor says whether a directory can hold a cache, what is wrong with what is there, and what to do."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from building import KEY, age, build, failing
from examining import findings
from weights import gguf

from llmkube_downloader import doctor
from llmkube_downloader.doctor import probes
from llmkube_downloader.store.disk import create_exclusively
from llmkube_downloader.store.lease import try_take
from llmkube_downloader.store.volume import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from command_line import Done, Run, Start

    from llmkube_downloader.store.layout import Layout


def tree(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in root.rglob("*")}


def test_a_healthy_cache_has_no_findings_and_nothing_is_left_behind(
    examine: Callable[[], Done], layout: Layout
) -> None:
    build(layout)
    before = tree(layout.root)
    done = examine()
    assert done.code == 0
    assert findings(done, "problem") == {}
    assert findings(done, "ok").keys() >= {
        *("access", "capabilities", "clock", "space", "format", "entries", "leftovers"),
    }
    assert findings(done, "ok")["entries"]["what"] == "1 complete, 1000 B"
    assert findings(done, "ok")["leftovers"]["what"] == "none"
    assert tree(layout.root) == before


def test_people_see_what_to_do_below_each_finding(run: Run, layout: Layout) -> None:
    build(layout)
    (layout.entry(KEY) / "model.gguf").unlink()
    done = run("doctor", "--root", layout.root)
    lines = done.out.splitlines()
    (place,) = (number for number, line in enumerate(lines) if line.startswith("problem"))
    assert lines[place] == f"problem  entries: damaged: model.gguf is missing ({layout.entry(KEY)})"
    assert lines[place + 1].strip().startswith("Fetch its source again")
    assert done.code == 13


def test_a_directory_that_is_not_there_is_the_only_finding(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "missing", tmp_path / "file"):
        done = run("doctor", "--root", path, "-o", "json")
        assert done.code == 12
        assert list(findings(done, "problem")) == ["directory"]
        assert len(done.json["findings"]) == 1
    assert not (tmp_path / "missing").exists()


def test_a_directory_of_others_names_the_value_to_set(start: Start, root: Path) -> None:
    root.mkdir(mode=0o555)
    # Root may write everywhere, unless it gives up the right to.
    within = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    process = start("doctor", "--root", root, "-o", "json", within=within)
    out, said = process.communicate()
    assert process.returncode == 15, said
    (problem,) = (finding for finding in json.loads(out)["findings"] if finding["level"] == "problem")
    assert f"uid {os.geteuid()}" in problem["what"]
    assert "mode 0555" in problem["what"]
    assert "fsGroup" in problem["action"]


def _not_exclusive(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _caseless(path: Path) -> int:
    return create_exclusively(path.with_name(path.name.lower()))


def _shortened(path: Path) -> int:
    return create_exclusively(path.with_name(path.name[:8]))


def _replacing(old: Path, new: Path) -> None:
    if new.is_dir():
        (new / "there").unlink(missing_ok=True)
    old.replace(new)


def _emptying(old: Path, new: Path) -> None:
    if not new.is_dir():
        old.replace(new)
        return
    (new / "there").unlink()
    raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))


def _copying(old: Path, new: Path) -> None:
    if old.is_dir():
        new.mkdir()
    else:
        new.write_bytes(old.read_bytes())


_MKDIR = Path.mkdir


class TestCapabilities:
    @pytest.mark.parametrize(
        ("target", "name", "broken", "ability"),
        [
            (probes, "create_exclusively", _not_exclusive, "creating files exclusively"),
            (Path, "mkdir", lambda path: _MKDIR(path, exist_ok=True), "creating directories exclusively"),
            (probes, "write_durably", lambda path, data: path.write_bytes(data[:2]), "writing and syncing files"),
            (os, "pwrite", failing(errno.EOPNOTSUPP), "changing files in place"),
            (os, "ftruncate", lambda *_: None, "changing files in place"),
            (Path, "rename", failing(errno.ENOSYS), "renaming files"),
            (Path, "rename", _copying, "renaming files"),
            (Path, "rename", _copying, "renaming directories"),
            (Path, "rename", _replacing, "keeping full directories"),
            (Path, "rename", _emptying, "keeping full directories"),
        ],
    )
    def test_what_a_cache_needs_is_tried_out(
        self,
        examine: Callable[[], Done],
        monkeypatch: pytest.MonkeyPatch,
        root: Path,
        target: Any,
        name: str,
        broken: Callable[..., Any],
        ability: str,
    ) -> None:
        monkeypatch.setattr(target, name, broken)
        done = examine()
        assert done.code == 19
        problems = [finding for finding in done.json["findings"] if finding["level"] == "problem"]
        assert ability in {finding["object"] for finding in problems}
        assert "another file system" in problems[0]["action"]
        assert list(root.iterdir()) == []

    @pytest.mark.parametrize(
        ("create", "ability"),
        [
            (_caseless, "telling capitals from small letters"),
            (_shortened, "names of 255 bytes"),
            (_shortened, "names with spaces and letters of any language"),
        ],
    )
    def test_names_that_do_not_work_are_a_warning(
        self, examine: Callable[[], Done], monkeypatch: pytest.MonkeyPatch, create: Callable[[Path], int], ability: str
    ) -> None:
        monkeypatch.setattr(probes, "create_exclusively", create)
        done = examine()
        assert done.code == 0
        warnings = {finding["object"]: finding for finding in done.json["findings"] if finding["level"] == "warning"}
        assert "exclude" in warnings[ability]["action"]

    def test_directories_that_can_not_be_synced_are_a_warning(
        self, examine: Callable[[], Done], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sync = os.fsync

        def files_only(descriptor: int) -> None:
            if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112 - a link of the kernel
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", files_only)
        done = examine()
        assert done.code == 0
        assert findings(done, "warning")["capabilities"]["object"] == "syncing directories"

    @pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 14), (errno.EDQUOT, 14), (errno.EIO, 15)])
    def test_trouble_is_no_lack_of_ability(
        self, examine: Callable[[], Done], monkeypatch: pytest.MonkeyPatch, number: int, code: int
    ) -> None:
        monkeypatch.setattr(probes, "write_durably", failing(number))
        assert examine().code == code


class TestSpace:
    @pytest.mark.parametrize(
        ("free", "total", "level", "code"),
        [(0, 100, "problem", 14), (4, 100, "warning", 0), (5, 100, "ok", 0), (0, 0, "ok", 0)],
    )
    def test_a_full_volume_is_a_problem_and_a_filling_one_a_warning(
        self, examine: Callable[[], Done], monkeypatch: pytest.MonkeyPatch, free: int, total: int, level: str, code: int
    ) -> None:
        monkeypatch.setattr(doctor, "usage", lambda _: Usage(total, free))
        done = examine()
        assert "space" in findings(done, level)
        assert done.code == code

    @pytest.mark.parametrize(("left", "of", "level"), [(0, 100, "problem"), (4, 100, "warning"), (5, 100, "ok")])
    def test_files_are_counted_like_bytes(
        self, examine: Callable[[], Done], monkeypatch: pytest.MonkeyPatch, left: int, of: int, level: str
    ) -> None:
        self._counting(monkeypatch, of, left)
        assert "number of files" in findings(examine(), level)

    def test_a_file_system_that_does_not_count_files_has_no_limit(
        self, examine: Callable[[], Done], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._counting(monkeypatch, 0, 0)
        done = examine()
        assert done.code == 0
        assert "number of files" not in findings(done, "ok")

    def _counting(self, monkeypatch: pytest.MonkeyPatch, of: int, left: int) -> None:
        class Counted:
            f_files, f_favail, f_blocks, f_bavail, f_frsize = of, left, 100, 50, 4096

        monkeypatch.setattr(os, "statvfs", lambda _: Counted)


@pytest.mark.parametrize(("apart", "level"), [(0, "ok"), (61, "warning"), (-61, "warning")])
def test_clocks_that_differ_are_a_warning(
    examine: Callable[[], Done], monkeypatch: pytest.MonkeyPatch, apart: int, level: str
) -> None:
    monkeypatch.setattr(doctor, "time", lambda: 1_000_000.0)
    monkeypatch.setattr(doctor, "file_server_now", lambda _: 1_000_000.0 + apart)
    assert "clock" in findings(examine(), level)


@pytest.mark.parametrize(("written", "code"), [('{"formatVersion": 99}', 10), ("{", 15)])
def test_a_format_that_is_not_known_is_a_problem(
    examine: Callable[[], Done], layout: Layout, written: str, code: int
) -> None:
    layout.format.write_text(written)
    done = examine()
    assert done.code == code
    assert findings(done, "problem").keys() == {"format"}


def test_the_first_problem_decides_the_exit_code(
    examine: Callable[[], Done], layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(layout)
    (layout.entry(KEY) / "model.gguf").unlink()
    monkeypatch.setattr(doctor, "usage", lambda _: Usage(100, 0))
    done = examine()
    assert findings(done, "problem").keys() == {"space", "entries"}
    assert done.code == 14


def test_directories_of_others_are_told_by_where_they_lie(examine: Callable[[], Done], root: Path) -> None:
    for name in (KEY, "of another tool"):
        (root / name).mkdir()
        (root / name / "model.gguf").write_bytes(gguf(2048))
    done = examine()
    assert done.code == 0
    in_the_way = findings(done, "warning")["entries"]
    assert in_the_way["object"] == str(root / KEY)
    assert "adopt" in in_the_way["action"]
    assert findings(done, "ok")["entries"]["what"] == "directories of others: 1, 2.0 KiB"


class TestLeftovers:
    def test_the_lease_of_a_dead_process(self, examine: Callable[[], Done], layout: Layout) -> None:
        lease = try_take(layout, KEY)
        assert lease
        assert findings(examine(), "warning") == {}
        lease.release()
        age(lease.path)
        assert KEY in findings(examine(), "warning")["leftovers"]["object"]

    def test_what_a_dead_process_received(self, examine: Callable[[], Done], layout: Layout) -> None:
        attempt = layout.staging(KEY) / "attempt"
        (attempt / "files").mkdir(parents=True)
        (attempt / "files" / "model.gguf").write_bytes(gguf(2048))
        assert findings(examine(), "warning") == {}
        age(attempt)
        finding = findings(examine(), "warning")["leftovers"]
        assert finding["what"] == "2.0 KiB of a fetch that was cut off"
        assert f"remove {KEY}" in finding["action"]

    def test_what_waits_in_the_trash(self, examine: Callable[[], Done], layout: Layout) -> None:
        (layout.trash / "old").mkdir()
        (layout.trash / "old" / "file").write_bytes(gguf(2048))
        assert findings(examine(), "warning")["leftovers"]["what"].startswith("2.0 KiB in the trash")

    def test_a_damaged_entry_that_was_moved_aside(self, examine: Callable[[], Done], layout: Layout) -> None:
        (layout.quarantine / f"{KEY}.0123").mkdir(parents=True)
        done = examine()
        assert done.code == 0
        assert f"remove {KEY}" in findings(done, "warning")["leftovers"]["action"]

    def test_a_probe_that_was_cut_off(self, examine: Callable[[], Done], root: Path) -> None:
        probe = root / ".llmkube.doctor.0123"
        probe.mkdir()
        assert findings(examine(), "warning") == {}
        age(probe)
        assert findings(examine(), "warning")["leftovers"]["object"] == str(probe)

    def test_where_nothing_can_be_written_nobody_is_called_dead(
        self, examine: Callable[[], Done], layout: Layout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lease = try_take(layout, KEY)
        assert lease
        age(lease.path)
        attempt = layout.staging(KEY) / "attempt"
        attempt.mkdir(parents=True)
        age(attempt)
        monkeypatch.setattr("llmkube_downloader.store.beacon.file_server_now", failing(errno.EROFS))
        done = examine()
        assert done.code == 0
        assert findings(done, "warning") == {}
        lease.withdraw()


def test_a_volume_that_can_not_be_read_is_a_problem(
    examine: Callable[[], Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmkube_downloader.doctor.contents.survey", failing(errno.EIO))
    done = examine()
    assert done.code == 15
    assert findings(done, "problem").keys() == {"entries"}
