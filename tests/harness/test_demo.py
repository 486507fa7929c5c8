"""`make demo` shows everything for real, and `make demo-down` leaves nothing of it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.choice import choice
from cluster.provider import tools_folder
from harness.machine import look
from images.build import DOWNLOADER, MODEL_SERVER, NODE_IMAGES, REPOSITORY, build
from toolchain.build import cache_root
from toolchain.catalog import SETS

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(choice() != "local", reason="only the cluster built from source leaves traces here"),
]

SHARED = ("tools", "images", "plugin-venv")  # what is built once


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A cache folder of its own, so that a demo of the developer goes on, with what is built once.

    What a failed demo left is removed in the end.
    """
    tools_folder(SETS["demo"])
    build([DOWNLOADER, MODEL_SERVER, *NODE_IMAGES])
    (tmp_path / "llmkube").mkdir()
    for name in SHARED:
        (cache_root() / name).mkdir(exist_ok=True)
        (tmp_path / "llmkube" / name).symlink_to(cache_root() / name)
    variables = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    yield variables
    _make("demo-down", variables)


def test_the_demo_chats_starts_again_without_fetching_and_leaves_nothing(environment: dict[str, str]) -> None:
    before = look()
    shown = _make("demo", environment)
    assert "fetched 100.0Mi" in shown  # on the directory
    assert "nothing downloaded" in shown
    assert re.search(r"(Job|container) fetched 1\d\d,\d{3},\d{3} bytes in .* verified by sha256", shown)
    assert len(re.findall(r"^   model: \w+ \w+ \w+", shown, re.MULTILINE)) == 2
    assert "second start: 0 bytes fetched" in shown

    _make("demo-down", environment)
    assert look() == before
    left = {path.name for path in (Path(environment["XDG_CACHE_HOME"]) / "llmkube").iterdir()}
    assert left <= {*SHARED, "bin", "logs", "build.lock", "clusters"}
    assert [path.name for path in (Path(environment["XDG_CACHE_HOME"]) / "llmkube/clusters").iterdir()] == [".lock"]


def _make(target: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["make", target], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
