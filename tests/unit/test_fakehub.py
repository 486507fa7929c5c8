"""The fake hub speaks HTTP as the hub, its CDN and plain file servers do."""

import base64
import hashlib
import http.client
import json
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from fakehub import FakeHub, fingerprint, repository, write_repository

WEIGHTS = b"GGUF" + bytes(range(256)) * 40
CONFIG = b'{"model_type": "llama"}'
TOKEN = "hf_canary"


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes


def ask(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        target = parts._replace(scheme="", netloc="").geturl()
        connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    write_repository(tmp_path, "acme/tiny", {"model.gguf": WEIGHTS, "config.json": CONFIG, "sub/notes.txt": b"x"})
    with FakeHub(tmp_path, request_log=tmp_path / "requests.jsonl") as hub:
        yield hub


def signed_address(hub: FakeHub) -> str:
    return ask(f"{hub.endpoint}/acme/tiny/resolve/main/model.gguf").headers["Location"]


def test_an_lfs_file_is_announced_by_the_hub_and_served_by_the_cdn(hub: FakeHub) -> None:
    for method in ("HEAD", "GET"):
        redirect = ask(f"{hub.endpoint}/acme/tiny/resolve/main/model.gguf", method)
        assert redirect.status == 302
        assert redirect.headers["X-Linked-Etag"] == f'"{hashlib.sha256(WEIGHTS).hexdigest()}"'
        assert redirect.headers["X-Linked-Size"] == str(len(WEIGHTS))
        assert redirect.headers["Accept-Ranges"] == "bytes"
        assert len(redirect.headers["X-Repo-Commit"]) == 40
        assert redirect.headers["Location"].startswith(hub.cdn_url)
    assert urlsplit(hub.cdn_url).netloc != urlsplit(hub.endpoint).netloc
    assert ask(redirect.headers["Location"]).body == WEIGHTS


def test_a_small_file_is_served_by_the_hub_itself_under_its_git_blob_id(hub: FakeHub) -> None:
    answer = ask(f"{hub.endpoint}/acme/tiny/resolve/main/config.json")
    blob = hashlib.sha1(f"blob {len(CONFIG)}\0".encode() + CONFIG).hexdigest()  # noqa: S324
    assert (answer.status, answer.body, answer.headers["ETag"]) == (200, CONFIG, f'"{blob}"')


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        ("bytes=0-0", 206, 0, 0),
        ("bytes=100-", 206, 100, len(WEIGHTS) - 1),
        ("bytes=100-199", 206, 100, 199),
        ("bytes=-4", 206, len(WEIGHTS) - 4, len(WEIGHTS) - 1),
        ("bytes=100-99999999", 206, 100, len(WEIGHTS) - 1),
        ("bytes=5-4", 200, 0, len(WEIGHTS) - 1),
        ("bytes=0-1,4-5", 200, 0, len(WEIGHTS) - 1),
        ("lines=0-1", 200, 0, len(WEIGHTS) - 1),
    ],
)
def test_a_range_is_answered_with_exactly_its_bytes(
    hub: FakeHub, asked: str, status: int, first: int, last: int
) -> None:
    answer = ask(signed_address(hub), Range=asked)
    assert (answer.status, answer.body) == (status, WEIGHTS[first : last + 1])
    expected = f"bytes {first}-{last}/{len(WEIGHTS)}" if status == 206 else None
    assert answer.headers["Content-Range"] == expected


@pytest.mark.parametrize("asked", [f"bytes={len(WEIGHTS)}-", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused_with_the_size(hub: FakeHub, asked: str) -> None:
    answer = ask(signed_address(hub), Range=asked)
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(WEIGHTS)}")


def test_if_range_gives_a_part_only_for_the_same_strong_validator(hub: FakeHub) -> None:
    address = signed_address(hub)
    whole = ask(address, "HEAD")

    def status(validator: str) -> int:
        return ask(address, Range="bytes=5-", If_Range=validator).status

    assert status(whole.headers["ETag"]) == 206
    assert status(whole.headers["Last-Modified"]) == 206
    assert status('"another"') == 200
    assert status("W/" + whole.headers["ETag"]) == 200
    assert status("Thu, 01 Jan 1970 00:00:00 GMT") == 200
    assert status("neither tag nor date") == 200


def test_an_unchanged_object_is_not_sent_again(hub: FakeHub) -> None:
    address = f"{hub.endpoint}/acme/tiny/resolve/main/config.json"
    answer = ask(address, If_None_Match=ask(address).headers["ETag"])
    assert (answer.status, answer.body) == (304, b"")
    assert ask(address, If_None_Match='"another"').status == 200


def test_branches_tags_and_commits_name_revisions_and_a_moved_branch_keeps_its_old_commit(tmp_path: Path) -> None:
    write_repository(tmp_path, "acme/tiny", {"a.txt": b"old"})
    write_repository(tmp_path, "acme/tiny", {"a.txt": b"new"}, revision="next", tags={"v1.0": "main"})
    write_repository(tmp_path, "acme/tiny", {"a.txt": b"pr"}, revision="refs/pr/1")
    with FakeHub(tmp_path) as hub:

        def content(revision: str) -> bytes:
            return ask(f"{hub.endpoint}/acme/tiny/resolve/{revision}/a.txt").body

        old = ask(f"{hub.endpoint}/acme/tiny/resolve/main/a.txt").headers["X-Repo-Commit"]
        assert [content(name) for name in ("main", "v1.0", "next", "refs%2Fpr%2F1")] == [b"old", b"old", b"new", b"pr"]
        write_repository(tmp_path, "acme/tiny", {}, branches={"main": "next"})
        assert content("main") == b"new"
        assert content(old) == b"old"


def test_a_commit_is_a_function_of_the_content(tmp_path: Path) -> None:
    for name, content in (("one", b"same"), ("two", b"same"), ("three", b"other")):
        write_repository(tmp_path, f"acme/{name}", {"a.txt": content})
    with FakeHub(tmp_path) as hub:
        names = ("one", "two", "three")
        one, two, three = (json.loads(ask(f"{hub.endpoint}/api/models/acme/{name}").body)["sha"] for name in names)
    assert one == two != three


def test_a_file_that_is_replaced_gets_other_digests_and_validators_and_is_hashed_once(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    digest = repository._digest

    def counted(path: Path, size: int) -> repository.Digests:
        hashed.append(path.name)
        return digest(path, size)

    monkeypatch.setattr(repository, "_digest", counted)

    def seen() -> tuple[str | None, ...]:
        announced = ask(f"{hub.endpoint}/acme/tiny/resolve/main/model.gguf", "HEAD").headers
        served = ask(announced["Location"], "HEAD").headers
        return announced["X-Linked-Etag"], announced["X-Repo-Commit"], served["ETag"]

    before = seen()
    (tmp_path / "acme/tiny/main/model.gguf").write_bytes(WEIGHTS[::-1])
    assert not set(before) & set(seen())
    assert hashed.count("model.gguf") == 2
    assert not {tag and tag.strip('"') for tag in before[:2]} & {before[2]}


def test_pull_requests_are_listed_only_when_asked_for(hub: FakeHub) -> None:
    assert set(json.loads(ask(f"{hub.endpoint}/api/models/acme/tiny/refs").body)) == {"branches", "converts", "tags"}


def test_nothing_can_be_written_and_paths_info_is_posted(hub: FakeHub) -> None:
    for method, path in (("DELETE", "/api/models/acme/tiny"), ("PUT", "/acme/tiny/resolve/main/config.json")):
        assert ask(hub.endpoint + path, method).status == 405
    assert ask(f"{hub.endpoint}/api/models/acme/tiny/paths-info/main").status == 405


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/models/acme/absent", 401, "RepoNotFound"),
        ("/acme/absent/resolve/main/config.json", 401, "RepoNotFound"),
        ("/api/models/acme/tiny/revision/absent", 404, "RevisionNotFound"),
        ("/acme/tiny/resolve/absent/config.json", 404, "RevisionNotFound"),
        ("/acme/tiny/resolve/main/absent.json", 404, "EntryNotFound"),
        ("/api/models/acme/tiny/tree/main/absent", 404, "EntryNotFound"),
        ("/api/models/acme/..", 401, "RepoNotFound"),
        ("/acme/tiny/resolve/main/..%2F..%2Frequests.jsonl", 404, "EntryNotFound"),
        ("/elsewhere", 404, None),
    ],
)
def test_what_does_not_exist_is_answered_with_the_hubs_error_code(
    hub: FakeHub, path: str, status: int, code: str | None
) -> None:
    answer = ask(hub.endpoint + path)
    assert (answer.status, answer.headers["X-Error-Code"]) == (status, code)
    assert (answer.headers["WWW-Authenticate"] is not None) == (status == 401)
    assert answer.headers["X-Error-Message"] == json.loads(answer.body)["error"]


def test_the_cdn_serves_only_signed_addresses_and_no_credentials_with_them(hub: FakeHub, tmp_path: Path) -> None:
    address = signed_address(hub)
    assert ask(address.partition("?")[0]).status == 403
    assert ask(address.replace("Signature=", "Signature=0")).status == 403
    assert ask(address, Authorization=f"Bearer {TOKEN}").status == 400
    assert ask(address, "DELETE").status == 405
    with FakeHub(tmp_path, signature_seconds=-1) as expired:
        answer = ask(signed_address(expired))
    assert answer.status == 403
    assert b"<Code>AccessDenied</Code>" in answer.body


def test_a_file_that_vanished_from_behind_the_cdn_is_no_such_key(hub: FakeHub, tmp_path: Path) -> None:
    address = signed_address(hub)
    (tmp_path / "acme/tiny/main/model.gguf").unlink()
    answer = ask(address)
    assert answer.status == 404
    assert b"<Code>NoSuchKey</Code>" in answer.body


def test_plain_files_are_served_with_length_and_validator_behind_the_configured_guard(tmp_path: Path) -> None:
    for name in ("open.gguf", "bearer/model.gguf", "basic/model.gguf"):
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(WEIGHTS)
    guards = [{"path": "bearer/", "bearer": "secret"}, {"path": "basic/", "basic": "user:password"}]
    (tmp_path / "files.json").write_text(json.dumps(guards))
    basic = "Basic " + base64.b64encode(b"user:password").decode()
    with FakeHub(tmp_path) as hub:
        answer = ask(f"{hub.endpoint}/files/open.gguf")
        assert (answer.status, answer.body) == (200, WEIGHTS)
        assert answer.headers["Content-Length"] == str(len(WEIGHTS))
        assert ask(f"{hub.endpoint}/files/open.gguf", Range="bytes=4-", If_Range=answer.headers["ETag"]).status == 206
        for guard, right in (("bearer", "Bearer secret"), ("basic", basic)):
            address = f"{hub.endpoint}/files/{guard}/model.gguf"
            assert ask(address).status == 401
            assert ask(address, Authorization="Bearer wrong").status == 401
            assert ask(address, Authorization=right).body == WEIGHTS
        assert ask(f"{hub.endpoint}/files/absent").status == 404
        assert ask(f"{hub.endpoint}/files/..%2Ffiles.json").status == 404


def test_every_request_is_recorded_without_its_token(hub: FakeHub, tmp_path: Path) -> None:
    ask(signed_address(hub), Range="bytes=0-9", If_Range='"x"')
    ask(f"{hub.endpoint}/api/models/acme/tiny", Authorization=f"Bearer {TOKEN}")
    resolve, cdn, info = hub.requests
    assert (resolve.listener, resolve.method, resolve.path) == ("hub", "GET", "/acme/tiny/resolve/main/model.gguf")
    assert (resolve.status, resolve.authorization) == (302, None)
    assert (cdn.listener, cdn.range, cdn.if_range, cdn.status) == ("cdn", "bytes=0-9", '"x"', 200)
    assert cdn.bytes == len(WEIGHTS)
    assert info.authorization == fingerprint(TOKEN)
    assert hub.requests.bytes_sent("cdn") == len(WEIGHTS)
    assert hub.requests.of(listener="hub", path="/api/models/acme/tiny") == [info]
    hub.close()  # lines are written when an answer ends, which may be after it has been read
    lines = [json.loads(line) for line in (tmp_path / "requests.jsonl").read_text().splitlines()]
    assert [line["path"] for line in lines] == [record.path for record in hub.requests]
    assert TOKEN not in (tmp_path / "requests.jsonl").read_text()
    hub.requests.clear()
    assert len(hub.requests) == 0
    assert (tmp_path / "requests.jsonl").read_text() == ""


def test_a_broken_repository_description_is_named(tmp_path: Path) -> None:
    write_repository(tmp_path, "acme/tiny", {"a.txt": b""}, gated="perhaps")
    with FakeHub(tmp_path) as hub:
        answer = ask(f"{hub.endpoint}/api/models/acme/tiny")
        assert answer.status == 500
        assert "repo.json: gated 'perhaps' must be 'auto', 'manual' or absent" in answer.body.decode()
        write_repository(tmp_path, "acme/tiny", {}, colour="blue")
        assert b"repo.json is no description of a repository" in ask(f"{hub.endpoint}/api/models/acme/tiny").body


def test_a_root_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no directory"):
        FakeHub(tmp_path / "absent")
