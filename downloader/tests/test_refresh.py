"""Newer contents of a source: fetched beside the one that pods use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from origin_server import Origin, Reply
from weights import gguf

from fakehub import FakeHub, write_repository
from llmkube_downloader import refresh
from llmkube_downloader.key import parse_source
from llmkube_downloader.store import volume

if TYPE_CHECKING:
    from command_line import Done, Run

OLD, NEW = gguf(300_000, seed=1), gguf(300_000, seed=2)

pytestmark = pytest.mark.usefixtures("waits")


@pytest.fixture(autouse=True)
def _allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", "127.0.0.1")


def tagged(body: bytes, tag: str) -> Reply:
    return Reply(body, headers={"ETag": f'"{tag}"'})


def get(run: Run, root: Path, source: str, refresh: str) -> Done:
    done = run("fetch", source, "--root", root, "--refresh", refresh, "-o", "json")
    assert done.code == 0, done.err
    return done


def content(done: Done) -> bytes:
    return (Path(done.json["entry"]) / "model.gguf").read_bytes()


def test_a_newer_content_is_published_beside_the_old_one_and_used_from_then_on(
    run: Run, root: Path, origin: Origin
) -> None:
    url = origin.serve("/m.gguf", tagged(OLD, "old"))
    old = get(run, root, url, "on-change")
    assert old.json["result"] == "fetched"
    origin.serve("/m.gguf", tagged(NEW, "new"))
    new = get(run, root, url, "on-change")
    assert new.json["result"] == "refreshed"
    assert Path(new.json["entry"]).name.startswith(f"{parse_source(url).key}-")
    assert (content(old), content(new)) == (OLD, NEW)
    after = get(run, root, url, "never")
    assert (after.json["result"], after.json["entry"]) == ("hit", new.json["entry"])


def test_what_has_not_changed_is_not_fetched_again(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/m.gguf", tagged(OLD, "old"))
    get(run, root, url, "on-change")
    asked = origin.times("/m.gguf")
    done = get(run, root, url, "on-change")
    assert (done.json["result"], done.json["bytesFetched"], done.json["requests"]) == ("hit", 0, 1)
    assert origin.times("/m.gguf") == asked


def test_always_fetches_again_and_keeps_the_entry_when_nothing_is_new(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/m.gguf", Reply(OLD))
    first = get(run, root, url, "always")
    again = get(run, root, url, "always")
    assert (again.json["result"], again.json["entry"]) == ("hit", first.json["entry"])
    assert again.json["bytesFetched"] == len(OLD)
    origin.serve("/m.gguf", Reply(NEW))
    assert content(get(run, root, url, "always")) == NEW


def test_an_origin_that_is_away_does_not_keep_a_pod_from_starting(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/m.gguf", tagged(OLD, "old"))
    get(run, root, url, "on-change")
    origin.close()
    done = get(run, root, url, "on-change")
    assert (done.json["result"], done.json["stale"]) == ("hit", True)
    assert "going on with the content that is there" in done.err


def test_a_newer_content_that_can_not_be_had_leaves_the_old_one_in_use(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/m.gguf", tagged(OLD, "old"))
    get(run, root, url, "on-change")
    origin.serve("/m.gguf", Reply(b"<html>moved</html>", headers={"ETag": '"page"', "Content-Type": "text/html"}))
    done = get(run, root, url, "on-change")
    assert (content(done), done.json["stale"]) == (OLD, True)
    assert len([path for path in root.iterdir() if not path.name.startswith(".")]) == 1


def test_a_branch_that_moved_costs_only_the_files_that_changed(
    run: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_repository(tmp_path / "hub", "acme/tiny", {"a.gguf": OLD, "config.json": b"{}"})
    with FakeHub(tmp_path / "hub") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        first = get(run, root, "hf://acme/tiny", "on-change")
        write_repository(tmp_path / "hub", "acme/tiny", {"a.gguf": OLD, "config.json": b'{"new": 1}'})
        second = get(run, root, "hf://acme/tiny", "on-change")
    assert second.json["result"] == "refreshed"
    assert second.json["bytesReused"] == len(OLD)
    assert second.json["bytesFetched"] == len(b'{"new": 1}')
    assert (Path(first.json["entry"]) / "config.json").read_bytes() == b"{}"


def test_two_refreshes_leave_the_newest_in_use(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/m.gguf", tagged(OLD, "1"))
    get(run, root, url, "on-change")
    for number in (2, 3):
        origin.serve("/m.gguf", tagged(gguf(1000, seed=number), str(number)))
        get(run, root, url, "on-change")
    assert content(get(run, root, url, "never")) == gguf(1000, seed=3)
    refs = root / ".llmkube" / "refs" / parse_source(url).key
    assert [path.name[:8] for path in sorted(refs.iterdir())] == ["00000001", "00000002"]


def test_going_back_to_an_older_content_uses_what_is_there(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/m.gguf", tagged(OLD, "1"))
    get(run, root, url, "on-change")
    origin.serve("/m.gguf", tagged(NEW, "2"))
    get(run, root, url, "on-change")
    origin.serve("/m.gguf", tagged(gguf(1000, seed=3), "3"))
    get(run, root, url, "on-change")
    origin.serve("/m.gguf", tagged(NEW, "2"))
    back = get(run, root, url, "on-change")
    assert (content(back), back.json["result"]) == (NEW, "refreshed")
    assert content(get(run, root, url, "never")) == NEW


def test_a_read_only_entry_without_changes_needs_no_writing(
    run: Run, root: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = origin.serve("/m.gguf", tagged(OLD, "old"))
    get(run, root, url, "on-change")
    for user in (volume, refresh):
        monkeypatch.setattr(user, "prepare", lambda _: pytest.fail("it was written"))
    assert get(run, root, url, "on-change").json["result"] == "hit"
