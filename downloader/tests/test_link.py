"""A server that is told one path finds there whichever content of a source its pod got."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from launching import MODEL, SOURCE, launched, put
from origin_server import Origin, Reply
from weights import gguf

from llmkube_downloader.errors import ExitCode
from llmkube_downloader.key import parse_source

if TYPE_CHECKING:
    from command_line import Run

OLD, NEW = gguf(300_000, seed=1), gguf(300_000, seed=2)


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """A path that a server was told."""
    (tmp_path / "entries").mkdir()
    return tmp_path / "entries" / "model"


@pytest.fixture
def entry(root: Path) -> Path:
    """The entry of SOURCE."""
    return put(root, parse_source(SOURCE), {"model.gguf": MODEL})


def test_a_newer_content_is_found_under_the_path_of_the_old_one(
    run: Run, root: Path, origin: Origin, link: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", "127.0.0.1")
    monkeypatch.setenv("LLMKUBE_LINK", str(link))
    for tag, body in (("old", OLD), ("new", NEW)):
        url = origin.serve("/m.gguf", Reply(body, headers={"ETag": f'"{tag}"'}))
        assert run("fetch", url, "--root", root, "--refresh", "on-change").code == 0
        assert (link / "model.gguf").read_bytes() == body
    assert [path.name for path in link.parent.iterdir()] == ["model"]


def test_a_warm_start_links_to_what_it_answers(root: Path, entry: Path, link: Path) -> None:
    link.symlink_to("elsewhere")
    link.with_name("model.new").symlink_to("what a start that was killed left")
    assert (launched("fetch", SOURCE, "--root", root, "--link", link) or "").endswith(f"{entry}\n")
    assert link.readlink() == entry


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("place", ["model", "nowhere/model"])
def test_what_can_be_no_link_is_named_and_left_alone(run: Run, root: Path, link: Path, place: str) -> None:
    link.mkdir()
    path = link.parent / place
    assert launched("fetch", SOURCE, "--root", root, "--link", path) is None
    done = run("fetch", SOURCE, "--root", root, "--link", path)
    assert done.code == ExitCode.VOLUME
    assert f"{path} can not be made a link to" in done.err
    assert "Give --link a path that is free" in done.err
    assert link.is_dir()
    assert not link.is_symlink()
