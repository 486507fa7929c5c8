"""Connections and their answers: a connection has one user, is never another one, and can be woken up."""

from __future__ import annotations

import http.client
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from origin_server import Asked, Origin, Reply
from transfers import BLOCK, ETAG, PATH, announcing, body_of, small, spans

from llmkube_downloader.sources.interface import Span
from llmkube_downloader.transfer import connection
from llmkube_downloader.transfer.address import AllowedHttp, parse_address
from llmkube_downloader.transfer.client import HttpClient
from llmkube_downloader.transfer.retry import Retries, TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from command_line import Run

    from llmkube_downloader.transfer.response import Response

__all__ = ["small"]

BODY = body_of(20)


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient(AllowedHttp(frozenset("*")), Retries(print), 60)
    yield client
    client.pool.close()


def read(response: Response) -> bytes:
    """Read an answer to its end."""
    data, buffer = b"", memoryview(bytearray(1000))
    while count := response.readinto(buffer):
        data += buffer[:count]
    return data


@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}], ids=["kept", "closed by its server"])
@pytest.mark.parametrize("secure", [False, True])
def test_a_thread_that_is_woken_up_never_gets_what_was_not_sent(
    client: HttpClient, origin: Origin, secure_origin: Origin, secure: bool, headers: dict[str, str]
) -> None:
    reply = Reply(BODY, headers=headers, stall_at=len(BODY) - 1)
    response = client.open_once((secure_origin if secure else origin).serve(PATH, reply))
    buffer = memoryview(bytearray(1))
    assert response.readinto(buffer) == 1
    reply.stalled.wait()
    # All but the last byte is in the buffers of the network now, encrypted where the server does that.
    response.abort()
    data = bytes(buffer)
    with suppress(TransientError):
        while response.readinto(buffer):
            data += bytes(buffer)
    assert BODY.startswith(data)
    response.close()


def test_a_connection_is_kept_once(client: HttpClient, origin: Origin) -> None:
    url = origin.serve(PATH, BODY)
    response = client.open_once(url)
    assert read(response) == BODY
    response.close()
    response.close()
    kept = client.pool.take(parse_address(url), only_public=False)
    assert kept
    assert client.pool.take(parse_address(url), only_public=False) is None
    kept.http.close()


def test_a_connection_with_an_answer_under_way_is_not_kept(client: HttpClient, origin: Origin) -> None:
    url = origin.serve(PATH, BODY)
    response = client.open_once(url)
    response.readinto(memoryview(bytearray(1000)))
    response.close()
    assert client.pool.take(parse_address(url), only_public=False) is None


def test_a_closed_connection_never_connects_again_by_itself(client: HttpClient, origin: Origin) -> None:
    url = origin.serve(PATH, BODY)
    response = client.open_once(url)
    read(response)
    response.close()
    kept = client.pool.take(parse_address(url), only_public=False)
    assert kept
    kept.http.close()
    with pytest.raises(http.client.NotConnected):
        kept.http.request("GET", PATH)
    assert origin.connections == 1


def test_where_only_public_hosts_are_allowed_a_kept_connection_is_no_way_around(
    client: HttpClient, origin: Origin
) -> None:
    url = origin.serve(PATH, BODY)
    response = client.open_once(url)
    read(response)
    response.close()
    assert client.pool.take(parse_address(url), only_public=True) is None


def test_a_part_is_asked_for_with_its_condition(client: HttpClient, origin: Origin) -> None:
    url = origin.serve(PATH, Reply(BODY, headers=ETAG))
    response = client.open_once(url, Span(BLOCK, 3 * BLOCK, '"1"'))
    assert (response.start, response.size, response.total, response.validator) == (BLOCK, 2 * BLOCK, len(BODY), '"1"')
    assert read(response) == BODY[BLOCK : 3 * BLOCK]
    response.close()
    response = client.open_once(url, Span(BLOCK, None, '"2"'))
    assert (response.start, response.size) == (0, len(BODY))
    response.close()
    assert [asked.headers.get("If-Range") for asked in origin.asked] == ['"1"', '"2"']


@pytest.fixture
def private_origin() -> Iterator[Origin]:
    """A second server, on an address that tests take for a private one."""
    server = Origin("127.0.0.2")
    yield server
    server.close()


@pytest.mark.usefixtures("small", "waits")
class TestManyParts:
    def test_a_token_goes_with_none_of_the_parts_to_another_server(
        self, run: Run, root: Path, origin: Origin, private_origin: Origin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_ENDPOINT", origin.url(""))
        monkeypatch.setenv("HF_TOKEN", "hf_canary")
        monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", "*")
        target = private_origin.serve(PATH, Reply(BODY, headers=ETAG))
        url = origin.redirect("/hub.bin", target, headers=announcing(BODY))
        assert run("fetch", url, "--root", root).code == 0
        assert len(spans(private_origin)) > 4
        assert {asked.headers.get("Authorization") for asked in private_origin.asked} == {None}
        assert {asked.headers.get("Authorization") for asked in origin.asked} == {"Bearer hf_canary"}

    def test_where_a_redirect_led_may_not_become_private_for_later_parts(
        self, run: Run, root: Path, origin: Origin, private_origin: Origin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", "*")
        monkeypatch.setattr(connection, "is_public", lambda ip: ip == "127.0.0.1")
        private_origin.serve(PATH, BODY)
        away = Reply(status=302, headers={"Location": private_origin.url(PATH)})
        origin.decide("/cdn", lambda asked, number: away if number == 3 and asked.range else Reply(BODY, headers=ETAG))
        url = origin.redirect(PATH, "/cdn")
        done = run("fetch", url, "--root", root, "--connections", "1")
        assert done.code == 21
        assert "not on the public internet" in done.err
        assert private_origin.asked == []

    def test_a_name_that_leads_elsewhere_for_later_parts_is_refused(
        self, run: Run, root: Path, origin: Origin, private_origin: Origin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        public = {origin.host, private_origin.host}
        monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", "*")
        monkeypatch.setattr(connection, "is_public", lambda ip: ip in public)

        def become_private(_: Asked, number: int) -> Reply:
            if number == 2:
                public.remove(private_origin.host)
            return Reply(BODY, headers={**ETAG, "Connection": "close"})

        url = origin.redirect(PATH, private_origin.decide(PATH, become_private))
        done = run("fetch", url, "--root", root, "--connections", "1")
        assert done.code == 21
        assert private_origin.times(PATH) == 2
