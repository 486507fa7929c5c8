"""Answers with parts of a file: each is used for what it is, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from origin_server import Asked, Origin, Reply
from transfers import BLOCK, ETAG, PATH, asked_span, body_of, partial, received, small, spans

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Run

__all__ = ["small"]

pytestmark = pytest.mark.usefixtures("small", "waits")


def test_parts_shorter_than_asked_for_are_no_failure(run: Run, root: Path, origin: Origin, waits: list[float]) -> None:
    body = body_of(10)

    def give_less(asked: Asked, _: int) -> Reply:
        start, end = asked_span(asked)
        return partial(body, start, min(end, start + 3000), 'ETag: "1"') if asked.range else Reply(body, headers=ETAG)

    assert received(run("fetch", origin.decide(PATH, give_less), "--root", root, "-o", "json")) == body
    assert waits == []
    assert len({start for start, _ in spans(origin)}) == origin.times(PATH)


def test_parts_without_a_new_byte_are_given_up(run: Run, root: Path, origin: Origin) -> None:
    body, here = body_of(10), 3000
    head = f"HTTP/1.1 206 Some\r\nContent-Range: bytes 0-{len(body) - 1}/{len(body)}\r\n\r\n".encode()

    def say_it_again(asked: Asked, number: int) -> Reply:
        if not asked.range:
            return Reply(body, headers=ETAG)
        if number == 1:
            return Reply(raw=head + body[:here])
        return partial(body, 0, here, 'ETag: "1"') if number < 50 else Reply(status=404)

    assert run("fetch", origin.decide(PATH, say_it_again), "--root", root).code == 16
    assert origin.times(PATH) <= 4 * 5


def test_a_part_from_another_place_is_not_used(run: Run, root: Path, origin: Origin) -> None:
    body = body_of(20)

    def shift(asked: Asked, number: int) -> Reply:
        start, end = asked_span(asked)
        shifted = start + BLOCK < end and number <= 2
        return partial(body, start + BLOCK, end + BLOCK, 'ETag: "1"') if shifted else Reply(body, headers=ETAG)

    assert received(run("fetch", origin.decide(PATH, shift), "--root", root, "-o", "json")) == body


@pytest.mark.parametrize(
    "content_range",
    [
        f"bytes {BLOCK}-{2 * BLOCK - 1}/{20 * BLOCK}",
        f"bytes 0-{BLOCK - 2}/{20 * BLOCK}",
        "bytes 5-3/9",
        "bytes */9",
        "pages 1-2/3",
        "",
        None,
    ],
)
def test_a_part_that_is_not_the_one_asked_for_is_not_used(
    run: Run, root: Path, origin: Origin, content_range: str | None
) -> None:
    wrong = Reply(body_of(20), headers={**ETAG, "Content-Range": content_range})
    right = Reply(body_of(20), headers=ETAG)
    url = origin.decide(PATH, lambda asked, number: wrong if asked.method == "GET" and number <= 2 else right)
    assert received(run("fetch", url, "--root", root, "-o", "json")) == body_of(20)
    origin.serve("/always.bin", wrong)
    assert run("fetch", origin.url("/always.bin"), "--root", root).code == 16
    assert origin.times("/always.bin") <= 4 * 5


def test_a_part_of_a_file_of_another_size_is_begun_with_again(run: Run, root: Path, origin: Origin) -> None:
    body, right = body_of(20), Reply(body_of(20), headers=ETAG)

    def of_another_size(asked: Asked, number: int) -> Reply:
        wrong = asked.range and (number == 1 or "always" in asked.path)
        return partial(body, *asked_span(asked), total=21 * BLOCK) if wrong else right

    url = origin.decide(PATH, of_another_size)
    assert received(run("fetch", url, "--root", root, "-o", "json")) == body
    assert run("fetch", origin.decide("/always.bin", of_another_size), "--root", root).code == 13
    assert origin.times("/always.bin") <= 4 * 5


def test_a_file_that_has_become_shorter_is_begun_with_again(run: Run, root: Path, origin: Origin) -> None:
    shorter, asked = Reply(body_of(3, seed=1), headers={"ETag": '"2"'}), Reply(status=416)
    replies = {1: Reply(body_of(20), headers=ETAG), 2: asked}
    url = origin.decide(PATH, lambda asked, number: replies.get(number, shorter))
    assert received(run("fetch", url, "--root", root, "-o", "json")) == body_of(3, seed=1)
    always = origin.decide("/always.bin", lambda asked, _: replies[1] if asked.method == "HEAD" else replies[2])
    assert run("fetch", always, "--root", root).code == 13
    assert origin.times("/always.bin") <= 4 * 5
