"""The transfer: every byte is received once, over several connections, whatever the server can and can not do."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from origin_server import Asked, Origin, Reply
from transfers import (
    BLOCK,
    CHECKPOINT,
    ETAG,
    PATH,
    SLOTS,
    announcing,
    asked_span,
    body_of,
    partial,
    received,
    small,
    spans,
)

from llmkube_downloader.sha256 import Sha256, checkpoint_count
from llmkube_downloader.store import part as part_module
from llmkube_downloader.transfer import download
from llmkube_downloader.transfer.pace import Pace

if TYPE_CHECKING:
    from command_line import Run

__all__ = ["small"]

pytestmark = pytest.mark.usefixtures("small", "waits")

# On both sides of a block, of a stretch, of a checkpoint and of all the memory there is.
SIZES = [
    *(0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1),
    *(CHECKPOINT - 1, CHECKPOINT, CHECKPOINT + 1, SLOTS * BLOCK, SLOTS * BLOCK + 1, 3 * SLOTS * BLOCK + 5),
]


def states_of(body: bytes) -> bytes:
    states = b""
    for number in range(checkpoint_count(len(body))):
        digest = Sha256()
        digest.update(memoryview(bytearray(body[: (number + 1) * CHECKPOINT])))
        states += digest.state() or b""
    return states


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "reply",
    [
        {"headers": ETAG},
        {"headers": ETAG, "ranges": False},
        {},
        {"framing": "chunked"},
        {"headers": ETAG, "framing": "chunked"},
    ],
    ids=["parts", "whole", "no tag", "no size", "no size but a tag"],
)
def test_files_of_all_sizes_arrive(run: Run, root: Path, origin: Origin, size: int, reply: dict[str, Any]) -> None:
    body = body_of(0, more=size)
    done = run("fetch", origin.serve(PATH, Reply(body, **reply)), "--root", root, "-o", "json")
    assert received(done) == body
    assert done.json["bytesFetched"] == size
    states = Path(done.json["entry"]) / ".llmkube.sha256"
    assert (states.read_bytes() if states.exists() else b"") == states_of(body)


@pytest.mark.parametrize("headers", [ETAG, announcing(body_of(40, more=7))], ids=["tag", "hash"])
def test_every_byte_is_asked_for_once(run: Run, root: Path, origin: Origin, headers: dict[str, str]) -> None:
    body = body_of(40, more=7)
    done = run("fetch", origin.serve(PATH, Reply(body, headers=headers)), "--root", root, "-o", "json")
    assert received(done) == body
    asked = spans(origin)
    assert len(asked) > 4
    assert [start for start, _ in asked] == [0, *(end for _, end in asked[:-1])]
    assert asked[-1][1] == len(body)
    assert origin.sent(PATH) == len(body)


def test_a_tag_makes_sure_that_all_parts_are_of_one_content(run: Run, root: Path, origin: Origin) -> None:
    run("fetch", origin.serve(PATH, Reply(body_of(9), headers=ETAG)), "--root", root)
    assert {asked.headers.get("If-Range") for asked in origin.asked if asked.range} == {'"1"'}
    body = body_of(9, seed=1)
    run("fetch", origin.serve("/hash.bin", Reply(body, headers={**ETAG, **announcing(body)})), "--root", root)
    assert {asked.headers.get("If-Range") for asked in origin.asked if "hash" in asked.path} == {None}


@pytest.mark.parametrize("tag", ['W/"1"', "unquoted", ""])
def test_a_weak_tag_is_none(run: Run, root: Path, origin: Origin, tag: str) -> None:
    url = origin.serve(PATH, Reply(body_of(9), headers={"ETag": tag}))
    assert received(run("fetch", url, "--root", root, "-o", "json")) == body_of(9)
    assert spans(origin) == []


def test_several_connections_receive_at_the_same_time(run: Run, root: Path, origin: Origin) -> None:
    body, held = body_of(12), [Reply(body_of(12), headers=ETAG, stall_at=0) for _ in range(3)]

    def hold(asked: Asked, number: int) -> Reply:
        start, _ = asked_span(asked)
        if asked.method == "HEAD" or not 2 <= number <= 4:
            return Reply(body, headers=ETAG)
        held[number - 2].stall_at = start
        return held[number - 2]

    def let_go() -> None:
        for reply in held:
            reply.stalled.wait()
        for reply in held:
            reply.go_on.set()

    threading.Thread(target=let_go, daemon=True).start()
    assert received(run("fetch", origin.decide(PATH, hold), "--root", root, "-o", "json")) == body


def test_one_connection_is_enough(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve(PATH, Reply(body_of(50), headers=ETAG))
    assert received(run("fetch", url, "--root", root, "--connections", "1", "-o", "json")) == body_of(50)
    # It asks on the connection on which it had asked what there is.
    assert origin.connections == 1


def test_connections_are_used_again(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve(PATH, Reply(body_of(60), headers=ETAG))
    assert received(run("fetch", url, "--root", root, "--connections", "4", "-o", "json")) == body_of(60)
    assert origin.times(PATH) > 8
    assert origin.connections <= 4


@pytest.mark.parametrize("secure", [False, True])
def test_a_connection_that_the_server_closed_meanwhile_is_no_failure(
    run: Run, root: Path, origin: Origin, secure_origin: Origin, waits: list[float], secure: bool
) -> None:
    body, server = body_of(30), secure_origin if secure else origin

    def end_without_a_word(asked: Asked, _: int) -> Reply:
        return partial(body, *asked_span(asked), 'ETag: "1"') if asked.range else Reply(body, headers=ETAG)

    done = run("fetch", server.decide(PATH, end_without_a_word), "--root", root, "-o", "json")
    assert received(done) == body
    assert waits == []
    assert "trying again" not in done.err


@pytest.mark.parametrize("cut", [1, BLOCK // 2, BLOCK, 5 * BLOCK + 1, 30 * BLOCK - 1])
@pytest.mark.parametrize("headers", [ETAG, announcing(body_of(30))], ids=["tag", "hash"])
def test_a_body_that_breaks_off_is_gone_on_with_at_that_byte(
    run: Run, root: Path, origin: Origin, cut: int, headers: dict[str, str]
) -> None:
    url = origin.serve(PATH, Reply(body_of(30), headers=headers, cut_at=cut, times=1))
    done = run("fetch", url, "--root", root, "-o", "json")
    assert received(done) == body_of(30)
    assert origin.sent(PATH) == done.json["bytesFetched"] == 30 * BLOCK
    assert cut in [start for start, _ in spans(origin)]


def test_a_server_that_sends_only_whole_files_is_asked_once(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve(PATH, Reply(body_of(40), headers=ETAG, ranges=False))
    assert received(run("fetch", url, "--root", root, "-o", "json")) == body_of(40)
    assert origin.times(PATH) == 1


def test_of_a_whole_file_that_broke_off_the_beginning_is_passed_over(run: Run, root: Path, origin: Origin) -> None:
    cut = 20 * BLOCK + 9
    url = origin.serve(PATH, Reply(body_of(40), headers=ETAG, ranges=False, cut_at=cut, times=1))
    done = run("fetch", url, "--root", root, "-o", "json")
    assert received(done) == body_of(40)
    assert origin.sent(PATH) == 40 * BLOCK + cut


def test_a_body_that_breaks_after_its_last_byte_is_whole(run: Run, root: Path, origin: Origin) -> None:
    whole = Reply(body_of(20), headers=ETAG)
    broken = Reply(body_of(20), headers=ETAG, ranges=False, framing="chunked", cut_at=20 * BLOCK)
    url = origin.decide(PATH, lambda asked, _: whole if asked.method == "HEAD" else broken)
    assert received(run("fetch", url, "--root", root, "-o", "json")) == body_of(20)
    assert origin.times(PATH) == 1


def test_a_body_that_goes_on_after_its_announced_end_is_refused(run: Run, root: Path, origin: Origin) -> None:
    longer = Reply(body_of(20, more=1), framing="chunked")
    url = origin.decide(PATH, lambda asked, _: Reply(body_of(20)) if asked.method == "HEAD" else longer)
    done = run("fetch", url, "--root", root)
    assert done.code == 13
    assert f"goes on after the {20 * BLOCK} bytes" in done.err


def test_a_file_that_changes_is_received_anew_and_not_mixed(run: Run, root: Path, origin: Origin) -> None:
    old, new = Reply(body_of(60), headers=ETAG), Reply(body_of(60, seed=1), headers={"ETag": '"2"'})
    url = origin.decide(PATH, lambda _, number: old if number <= 5 else new)
    done = run("fetch", url, "--root", root, "-o", "json")
    assert received(done) == body_of(60, seed=1)
    assert "changed at its origin" in done.err


def test_a_change_is_noticed_on_a_server_that_does_not_look_at_if_range(run: Run, root: Path, origin: Origin) -> None:
    new = body_of(60, seed=1)

    def change(asked: Asked, number: int) -> Reply:
        if number <= 5:
            return Reply(body_of(60), headers=ETAG)
        return partial(new, *asked_span(asked), 'ETag: "2"') if asked.range else Reply(new, headers={"ETag": '"2"'})

    assert received(run("fetch", origin.decide(PATH, change), "--root", root, "-o", "json")) == new


def test_what_begins_anew_without_its_tag_may_be_another_content(run: Run, root: Path, origin: Origin) -> None:
    old = Reply(body_of(30), headers=ETAG, ranges=False, cut_at=20 * BLOCK)
    new = Reply(body_of(30, seed=1), ranges=False)
    url = origin.decide(PATH, lambda _, number: old if number == 1 else new)
    assert received(run("fetch", url, "--root", root, "-o", "json")) == body_of(30, seed=1)


def signed(origin: Origin, body: bytes, uses: int) -> str:
    """Serve a body behind addresses that each work for some requests; return the one that redirects to them."""
    used: dict[str, int] = {}

    def redirect(_: Asked, number: int) -> Reply:
        return Reply(status=302, headers={"Location": f"/cdn?signature={number}"})

    def serve(asked: Asked, _: int) -> Reply:
        used[asked.path] = used.get(asked.path, 0) + (asked.method == "GET")
        return Reply(b"expired", status=403) if used[asked.path] > uses else Reply(body, headers=ETAG)

    origin.decide("/cdn", serve)
    return origin.decide(PATH, redirect)


def test_a_redirect_is_followed_once_for_all_parts(run: Run, root: Path, origin: Origin) -> None:
    url = signed(origin, body_of(40), uses=1000)
    assert received(run("fetch", url, "--root", root, "--connections", "1", "-o", "json")) == body_of(40)
    assert origin.times(PATH) == 1
    assert origin.times("/cdn") > 4


@pytest.mark.parametrize("connections", ["1", "8"])
def test_a_signed_address_that_expired_is_asked_for_anew(
    run: Run, root: Path, origin: Origin, waits: list[float], connections: str
) -> None:
    url = signed(origin, body_of(60), uses=3)
    done = run("fetch", url, "--root", root, "--connections", connections, "-o", "json")
    assert received(done) == body_of(60)
    assert origin.sent("/cdn") == 60 * BLOCK + len(b"expired") * (origin.times(PATH) - 1)
    assert waits == []


def test_an_origin_that_refuses_too_is_believed(run: Run, root: Path, origin: Origin) -> None:
    url = signed(origin, body_of(60), uses=0)
    assert run("fetch", url, "--root", root, "--connections", "1").code == 11
    assert origin.times(PATH) == 1


def test_an_origin_that_wants_a_pause_gets_it(run: Run, root: Path, origin: Origin, waits: list[float]) -> None:
    pause = Reply(status=429, headers={"Retry-After": "30"})
    url = origin.decide(
        PATH, lambda asked, number: pause if number == 3 and asked.range else Reply(body_of(20), headers=ETAG)
    )
    done = run("fetch", url, "--root", root, "--connections", "1", "-o", "json")
    assert received(done) == body_of(20)
    assert [round(wait) for wait in waits] == [30]
    assert "429" in done.err


def test_a_pause_is_for_all_connections(run: Run, root: Path, origin: Origin, waits: list[float]) -> None:
    pause = Reply(status=503, headers={"Retry-After": "30"})
    url = origin.decide(PATH, lambda _, number: pause if number == 3 else Reply(body_of(60), headers=ETAG))
    done = run("fetch", url, "--root", root, "--connections", "4", "-o", "json")
    assert received(done) == body_of(60)
    # Here no time goes by, so whoever asks for something later is told to wait too.
    assert len(waits) > 4


def test_a_cap_on_the_rate_reaches_all_connections(run: Run, root: Path, origin: Origin, waits: list[float]) -> None:
    url = origin.serve(PATH, Reply(body_of(20), headers=ETAG))
    done = run("fetch", url, "--root", root, "--limit-rate", "10", "-o", "json")
    assert received(done) == body_of(20)
    assert max(waits) > 0.9 * 20 * BLOCK / 10


def test_bytes_that_are_passed_over_count_for_the_cap(
    run: Run, root: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent: list[int] = []
    monkeypatch.setattr(Pace, "spend", lambda _, count: spent.append(count))
    url = origin.serve(PATH, Reply(body_of(20), headers=ETAG, ranges=False, cut_at=10 * BLOCK, times=1))
    assert received(run("fetch", url, "--root", root, "-o", "json")) == body_of(20)
    assert sum(spent) == 30 * BLOCK


@pytest.mark.parametrize("size", [1, BLOCK - 1, BLOCK, 9 * BLOCK + 1, 20 * BLOCK + 4095])
def test_past_the_page_cache_files_end_where_they_should(
    run: Run, root: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(part_module, "_DIRECT_BYTES", 1)
    url = origin.serve(PATH, Reply(body_of(0, more=size), headers=ETAG))
    assert received(run("fetch", url, "--root", root, "-o", "json")) == body_of(0, more=size)


def test_many_small_files_arrive_in_little_memory(run: Run, root: Path, tmp_path: Path) -> None:
    sizes = [0, 1, BLOCK, BLOCK + 1, 3 * BLOCK, 100]
    files = {f"folder{number % 3}/{number}.json": body_of(0, number, sizes[number % 6]) for number in range(100)}
    for path, body in files.items():
        (tmp_path / "from" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "from" / path).write_bytes(body)
    done = run("fetch", f"file://{tmp_path}/from", "--root", root, "-o", "json")
    assert {path: received(done, path) for path in files} == files


def test_no_file_is_left_open(run: Run, root: Path, tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    for number in range(9):
        (tmp_path / "from" / f"{number}.json").write_bytes(body_of(number))
    before = sorted(Path("/proc/self/fd").iterdir())
    for last in (b"no GGUF", body_of(1)):
        (tmp_path / "from" / "last.gguf").write_bytes(last)
        code = run("fetch", f"file://{tmp_path}/from", "--root", root).code
        assert code == (0 if last == body_of(1) else 13)
        assert sorted(Path("/proc/self/fd").iterdir()) == before
    assert download._RING_BYTES == SLOTS * BLOCK
