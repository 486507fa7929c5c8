"""Where a model is had from: other entries, other caches and mirrors are asked before its origin."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from origin_server import Origin, Reply
from weights import gguf, sha256

from fakehub import FakeHub, write_repository
from llmkube_downloader.key import parse_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from command_line import Done, Run

MODEL, OTHER = gguf(700_000, seed=1), gguf(700_000, seed=2)

pytestmark = pytest.mark.usefixtures("waits")


@pytest.fixture(autouse=True)
def _allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", "127.0.0.1")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """The root of another cache."""
    return tmp_path / "shared"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    write_repository(tmp_path / "hub", "acme/tiny", {"a.gguf": MODEL, "b.gguf": OTHER})
    write_repository(tmp_path / "hub", "acme/copy", {"same.gguf": MODEL})
    with FakeHub(tmp_path / "hub") as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


def model(done: Done) -> bytes:
    assert done.code == 0, done.err
    return (Path(done.json["entry"]) / "model.gguf").read_bytes()


def get(run: Run, root: Path, source: str, *arguments: str | Path) -> Done:
    return run("fetch", source, "--root", root, "-o", "json", *arguments)


@pytest.mark.usefixtures("hub")
def test_content_that_the_volume_has_under_another_key_is_copied(run: Run, root: Path) -> None:
    assert get(run, root, "hf://acme/tiny/a.gguf").json["bytesFetched"] == len(MODEL)
    done = get(run, root, "hf://acme/copy/same.gguf")
    assert model(done) == MODEL
    assert (done.json["bytesFetched"], done.json["bytesReused"]) == (0, len(MODEL))
    assert done.json["verified"] == "sha256"


@pytest.mark.usefixtures("hub")
def test_a_copy_that_is_damaged_is_fetched_from_the_origin_instead(run: Run, root: Path) -> None:
    first = Path(get(run, root, "hf://acme/tiny/a.gguf").json["entry"]) / "model.gguf"
    first.write_bytes(MODEL[:-1] + bytes([MODEL[-1] ^ 1]))
    done = get(run, root, "hf://acme/copy/same.gguf")
    assert model(done) == MODEL
    assert done.json["bytesFetched"] == len(MODEL)
    assert "not using copies on the volume" in done.err


def test_another_cache_is_asked_before_the_origin(run: Run, root: Path, shared: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", MODEL)
    get(run, shared, url)
    asked = len(origin.asked)
    done = get(run, root, url, "--upstream", shared)
    assert model(done) == MODEL
    assert len(origin.asked) == asked
    assert (done.json["bytesFetched"], done.json["requests"]) == (0, 0)
    assert get(run, root, url).json["result"] == "hit"


def test_a_damaged_upstream_entry_is_passed_over(run: Run, root: Path, shared: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", MODEL)
    (Path(get(run, shared, url).json["entry"]) / "model.gguf").write_bytes(OTHER)
    done = get(run, root, url, "--upstream", shared)
    assert model(done) == MODEL
    assert done.json["bytesFetched"] == len(MODEL)
    assert f"trying {url}" in done.err


def test_an_upstream_that_is_not_there_is_no_trouble(run: Run, root: Path, shared: Path, origin: Origin) -> None:
    assert model(get(run, root, origin.serve("/tiny.gguf", MODEL), "--upstream", shared)) == MODEL


def test_several_upstreams_come_from_one_environment_variable(
    run: Run, root: Path, shared: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = origin.serve("/tiny.gguf", MODEL)
    get(run, shared, url)
    monkeypatch.setenv("LLMKUBE_UPSTREAM", f"{shared}-none\n{shared}")
    assert get(run, root, url).json["bytesFetched"] == 0


def test_a_mirror_is_asked_before_the_origin_and_changes_no_name(run: Run, root: Path, origin: Origin) -> None:
    url, mirror = origin.serve("/tiny.gguf", MODEL), origin.serve("/mirror/any-name", MODEL)
    done = get(run, root, url, "--mirror", mirror)
    assert model(done) == MODEL
    assert origin.times("/tiny.gguf") == 0
    assert done.json["key"] == parse_source(url).key
    assert "mirror" not in (Path(done.json["entry"]) / ".llmkube.json").read_text()


@pytest.mark.parametrize("status", [404, 403, 503])
def test_the_next_place_is_asked_when_a_mirror_fails(run: Run, root: Path, origin: Origin, status: int) -> None:
    url, gone = origin.serve("/tiny.gguf", MODEL), origin.serve("/gone", Reply(status=status))
    second = origin.serve("/second", MODEL)
    done = get(run, root, url, "--mirror", gone, "--mirror", second)
    assert model(done) == MODEL
    assert f"trying {second}" in done.err
    assert origin.times("/tiny.gguf") == 0


def test_a_mirror_with_other_bytes_than_expected_is_passed_over(run: Run, root: Path, origin: Origin) -> None:
    url, wrong = origin.serve("/tiny.gguf", MODEL), origin.serve("/wrong", OTHER)
    done = get(run, root, url, "--mirror", wrong, "--sha256", sha256(MODEL))
    assert model(done) == MODEL


def test_when_every_place_fails_the_source_itself_is_named(run: Run, root: Path, origin: Origin) -> None:
    url, gone = origin.serve("/tiny.gguf", Reply(status=404)), origin.serve("/gone", Reply(status=503))
    done = run("fetch", url, "--root", root, "--mirror", gone)
    assert done.code == 12
    assert "/tiny.gguf answered 404" in done.err


def test_another_hub_is_asked_without_the_token_of_the_first(
    run: Run, root: Path, hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    with FakeHub(tmp_path / "hub") as mirror:
        done = get(run, root, "hf://acme/tiny/a.gguf", "--mirror", mirror.endpoint)
        assert model(done) == MODEL
        assert list(hub.requests) == []
        assert all("hf_canary" not in str(request) for request in mirror.requests)


def test_what_goes_beyond_the_budget_is_refused_before_the_first_byte(run: Run, root: Path, origin: Origin) -> None:
    first, second = origin.serve("/first.gguf", MODEL), origin.serve("/second.gguf", OTHER)
    assert get(run, root, first, "--budget", "1M").code == 0
    done = get(run, root, second, "--budget", "1M")
    assert done.code == 14
    error = json.loads(done.out)["error"]
    assert "683.6 KiB more" in error["cause"]
    assert "--budget" in error["action"]
    assert origin.times("/second.gguf") == 0
    assert get(run, root, second, "--budget", "2M").code == 0


def test_a_volume_that_can_not_be_measured_is_named(
    run: Run, root: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmkube_downloader.store import volume

    def fail(_: Path) -> int:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(volume, "size_of_tree", fail)
    done = run("fetch", origin.serve("/tiny.gguf", MODEL), "--root", root, "--budget", "1G")
    assert done.code == 15
    assert str(root) in done.err
