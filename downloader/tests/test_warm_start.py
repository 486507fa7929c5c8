"""A warm start: no network, no writing, and nothing imported that only a fetch needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import SOURCES
from weights import gguf

if TYPE_CHECKING:
    from command_line import Run

HEAVY = ("huggingface_hub", "httpx2", "http.client", "ssl", "socket", "urllib.request", "shutil", "asyncio")
PROBE = """
import json, sys
from llmkube_downloader import cli
try:
    cli.main()
except SystemExit as ended:
    print(json.dumps({"code": ended.code, "modules": sorted(sys.modules)}))
"""


@pytest.fixture
def source(run: Run, root: Path, tmp_path: Path) -> str:
    """A source whose entry is there and whose origin is not any more."""
    model = tmp_path / "tiny.gguf"
    model.write_bytes(gguf())
    assert run("fetch", f"file://{model}", "--root", root).code == 0
    model.unlink()
    return f"file://{model}"


def times(root: Path) -> dict[str, tuple[int, int]]:
    paths = [root, *root.rglob("*")]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in paths}


def test_a_hit_imports_nothing_that_only_a_fetch_needs(source: str, root: Path) -> None:
    # -S as in the image: site-packages bring imports of their own. What the dependencies are found by is set here.
    paths = [str(SOURCES), *(path for path in sys.path if path.endswith("site-packages"))]
    done = subprocess.run(
        [sys.executable, "-S", "-c", PROBE, "fetch", source, "--root", str(root), "-o", "json"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    )
    report, probe = map(json.loads, done.stdout.splitlines())
    assert report["result"] == "hit"
    assert set(probe["modules"]).isdisjoint(HEAVY)
    assert not [module for module in probe["modules"] if module.startswith("llmkube_downloader.sources")]


def test_a_hit_changes_nothing_on_the_volume(run: Run, source: str, root: Path) -> None:
    before = times(root)
    assert run("fetch", source, "--root", root).code == 0
    assert times(root) == before


def test_a_hit_needs_no_right_to_write(run: Run, source: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def read_only(path: str, flags: int, *rest: int, **named: int) -> int:
        assert not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return opened(path, flags, *rest, **named)

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a hit must not write")

    monkeypatch.setattr(os, "open", read_only)
    for name in ("mkdir", "rename", "unlink", "rmdir", "utime", "chmod"):
        monkeypatch.setattr(os, name, forbidden)
    assert run("fetch", source, "--root", root).code == 0


def test_listing_and_verifying_change_nothing_on_the_volume(run: Run, source: str, root: Path) -> None:
    assert source
    before = times(root)
    assert run("list", "--root", root).code == 0
    assert run("verify", "--root", root).code == 0
    assert times(root) == before


def test_a_hit_of_many_files_reads_none_of_them(
    run: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "many").mkdir()
    for number in range(20):
        (tmp_path / "many" / f"{number}.json").write_text("{}")
    run("fetch", f"file://{tmp_path}/many", "--root", root)
    read: list[str] = []
    read_bytes = Path.read_bytes

    def noted(path: Path) -> bytes:
        read.append(path.name)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    assert run("fetch", f"file://{tmp_path}/many", "--root", root, "-o", "json").json["result"] == "hit"
    assert read == [".llmkube.json"]
