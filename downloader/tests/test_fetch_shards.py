"""The address of the first shard of a model stands for all of them, which lie beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from caches_of_others import tree
from origin_server import Origin, Reply
from transfers import announcing
from weights import gguf, sha256

from llmkube_downloader.key import parse_source

if TYPE_CHECKING:
    from command_line import Run

SHARDS = {f"tiny-0000{number}-of-00003.gguf": gguf(20_000, seed=number) for number in (1, 2, 3)}
FIRST = next(iter(SHARDS))

pytestmark = pytest.mark.usefixtures("allow", "waits")


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch, origin: Origin) -> None:
    """Allow plain http to the test's own server."""
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", origin.host)


def serve(origin: Origin, *, folder: str = "/q4", query: str = "") -> str:
    """Serve all shards, with hashes, and return the address of the first one."""
    for name, data in SHARDS.items():
        origin.serve(f"{folder}/{name}{query}", Reply(data, headers=announcing(data)))
    return origin.url(f"{folder}/{FIRST}{query}")


def test_all_shards_are_fetched_and_keep_their_names(run: Run, root: Path, origin: Origin) -> None:
    url = serve(origin)
    done = run("fetch", url, "--root", root, "-o", "json")
    assert done.code == 0, done.err
    assert tree(Path(done.json["entry"])) == SHARDS
    assert done.json["verified"] == "sha256"


def test_the_key_is_that_of_the_address(run: Run, root: Path, origin: Origin) -> None:
    url = serve(origin)
    report = run("fetch", url, "--root", root, "-o", "json").json
    assert (report["key"], report["source"]) == (parse_source(url).key, url)
    assert run("fetch", url, "--root", root, "-o", "json").json["result"] == "hit"


def test_numbers_are_written_as_in_the_first_one(run: Run, root: Path, origin: Origin) -> None:
    names = [f"tiny-{number}-of-10.gguf" for number in range(1, 11)]
    for number, name in enumerate(names):
        origin.serve(f"/{name}", gguf(1000, seed=number))
    report = run("fetch", origin.url("/tiny-1-of-10.gguf"), "--root", root, "-o", "json").json
    assert sorted(tree(Path(report["entry"]))) == sorted(names)


def test_a_shard_that_is_missing_is_named_before_a_byte_is_received(run: Run, root: Path, origin: Origin) -> None:
    url = serve(origin)
    origin.serve("/q4/tiny-00003-of-00003.gguf", Reply(status=404))
    done = run("fetch", url, "--root", root)
    assert done.code == 12
    assert "/q4/tiny-00003-of-00003.gguf answered 404" in done.err
    assert sum(origin.sent(f"/q4/{name}") for name in SHARDS) == 0


def test_a_query_that_is_no_signature_goes_to_all(run: Run, root: Path, origin: Origin) -> None:
    url = serve(origin, query="?download=true")
    done = run("fetch", url, "--root", root, "-o", "json")
    assert done.code == 0, done.err
    assert tree(Path(done.json["entry"])) == SHARDS


@pytest.mark.parametrize("signature", ["X-Amz-Signature=abc", "sv=2023&sig=abc", "Expires=9&Signature=abc"])
def test_a_signature_is_no_key_to_other_shards(run: Run, root: Path, origin: Origin, signature: str) -> None:
    done = run("fetch", serve(origin, query=f"?{signature}"), "--root", root)
    assert done.code == 21
    assert "is the first of 3 shards" in done.err
    assert "abc" not in done.err
    assert not origin.asked


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("tiny-00001-of-00001.gguf?sig=abc", "model.gguf"),  # all there is
        ("tiny-00002-of-00003.gguf", "model.gguf"),  # asked for by its own name
        ("tiny-00001-of-00000.gguf", "model.gguf"),
    ],
)
def test_other_shards_are_files_like_any(run: Run, root: Path, origin: Origin, name: str, kept: str) -> None:
    url = origin.serve(f"/{name}", gguf(1000))
    done = run("fetch", url, "--root", root, "-o", "json")
    assert done.code == 0, done.err
    assert list(tree(Path(done.json["entry"]))) == [kept]


def test_names_that_are_quoted_in_the_address(run: Run, root: Path, origin: Origin) -> None:
    for number in (1, 2):
        origin.serve(f"/a%20b-{number}-of-2.gguf", gguf(1000, seed=number))
    done = run("fetch", origin.url("/a%20b-1-of-2.gguf"), "--root", root, "-o", "json")
    assert sorted(tree(Path(done.json["entry"]))) == ["a b-1-of-2.gguf", "a b-2-of-2.gguf"]


def test_each_shard_has_its_hash(run: Run, root: Path, origin: Origin) -> None:
    url = serve(origin)
    assert run("fetch", url, "--root", root, "--sha256", sha256(SHARDS[FIRST])).code == 10
    wrong = f"tiny-00002-of-00003.gguf={sha256(b'')}"
    assert run("fetch", url, "--root", root, "--sha256", wrong).code == 13
    right = f"{FIRST}={sha256(SHARDS[FIRST])}"
    assert run("fetch", url, "--root", root, "--sha256", right).code == 0


def test_a_mirror_has_them_beside_its_first_one_too(run: Run, root: Path, origin: Origin) -> None:
    mirror = serve(origin, folder="/mirror")
    url = origin.url(f"/{FIRST}")
    report = run("fetch", url, "--root", root, "--mirror", mirror, "-o", "json").json
    assert tree(Path(report["entry"])) == SHARDS
    assert not any(asked.path.startswith("/tiny") for asked in origin.asked)


def test_a_mirror_of_one_file_can_not_stand_for_all(run: Run, root: Path, origin: Origin) -> None:
    mirror = origin.serve("/blob/1", SHARDS[FIRST])
    done = run("fetch", serve(origin), "--root", root, "--mirror", mirror, "-o", "json")
    assert done.code == 0, done.err
    assert tree(Path(done.json["entry"])) == SHARDS
    assert "/blob/1 is not the address of a first of 3 shards; trying" in done.err
