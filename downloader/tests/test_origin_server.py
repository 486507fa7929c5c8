"""The server of these tests is a faithful one where it is not told otherwise: what fails is then the downloader."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

import pytest
from origin_server import Generated, Origin, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY = bytes(range(256)) * 4
TAG = '"v1"'
DATE = "Sat, 21 Nov 2026 10:00:00 GMT"


@pytest.fixture
def client(origin: Origin) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(origin.host, origin.port, timeout=30)
    yield connection
    connection.close()


def ask(client: http.client.HTTPConnection, path: str = "/m", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """Ask for a path, with underscores for the dashes of headers; return status, body and headers."""
    client.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = client.getresponse()
    return answer.status, answer.read(), dict(answer.headers.items())


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("0-9", 0, 10), ("100-", 100, 1024), ("1000-2000", 1000, 1024), ("-24", 1000, 1024), ("-5000", 0, 1024)],
)
def test_a_range_is_answered_with_its_bytes(
    origin: Origin, client: http.client.HTTPConnection, wanted: str, start: int, end: int
) -> None:
    origin.serve("/m", BODY)
    status, body, headers = ask(client, Range=f"bytes={wanted}")
    assert (status, body) == (206, BODY[start:end])
    assert headers["Content-Range"] == f"bytes {start}-{end - 1}/1024"
    assert headers["Content-Length"] == str(end - start)
    assert (origin.asked[0].range, origin.sent("/m")) == (f"bytes={wanted}", end - start)


def test_a_range_behind_the_end_can_not_be_satisfied(origin: Origin, client: http.client.HTTPConnection) -> None:
    origin.serve("/m", BODY)
    status, body, headers = ask(client, Range="bytes=1024-")
    assert (status, body, headers["Content-Range"]) == (416, b"", "bytes */1024")


@pytest.mark.parametrize(
    ("condition", "status"),
    [(TAG, 206), ('"v2"', 200), (f"W/{TAG}", 200), (DATE, 206), ("Sat, 21 Nov 2026 10:00:01 GMT", 200), ("soon", 200)],
)
def test_a_range_of_another_content_is_not_sent(
    origin: Origin, client: http.client.HTTPConnection, condition: str, status: int
) -> None:
    origin.serve("/m", Reply(BODY, headers={"ETag": TAG, "Last-Modified": DATE}))
    assert ask(client, Range="bytes=0-9", If_Range=condition)[0] == status


def test_a_weak_tag_is_no_condition_for_a_range(origin: Origin, client: http.client.HTTPConnection) -> None:
    origin.serve("/m", Reply(BODY, headers={"ETag": f"W/{TAG}"}))
    assert ask(client, Range="bytes=0-9", If_Range=f"W/{TAG}")[0] == 200


def test_a_connection_is_kept_unless_it_is_not_wanted(origin: Origin, client: http.client.HTTPConnection) -> None:
    origin.serve("/m", BODY)
    for _ in range(3):
        assert ask(client)[1] == BODY
    assert origin.connections == 1
    assert ask(client, Connection="close")[2]["Connection"] == "close"
    assert ask(client)[1] == BODY
    assert origin.connections == 2


@pytest.mark.parametrize("fault", ["cut_at", "reset_at"])
def test_a_fault_hits_its_byte_in_whichever_range_it_is(
    origin: Origin, client: http.client.HTTPConnection, fault: str
) -> None:
    origin.serve("/m", Reply(BODY, times=1, **{fault: 500}))  # type: ignore[arg-type]
    assert ask(client, Range="bytes=0-499")[1] == BODY[:500]
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        ask(client, Range="bytes=400-599")
    client.close()
    assert ask(client, Range="bytes=400-599")[1] == BODY[400:600]


def test_chunks_end_only_where_the_body_does(origin: Origin, client: http.client.HTTPConnection) -> None:
    origin.serve("/m", Reply(BODY, framing="chunked", cut_at=len(BODY)), Reply(BODY, framing="chunked", piece=100))
    with pytest.raises(http.client.IncompleteRead):
        ask(client)
    client.close()
    assert ask(client)[1] == BODY


def test_raw_bytes_are_sent_as_they_are(origin: Origin, client: http.client.HTTPConnection) -> None:
    origin.serve("/m", Reply(raw=b"SSH-2.0-OpenSSH\r\n"))
    with pytest.raises(http.client.BadStatusLine):
        ask(client)


def test_a_function_decides_by_the_number_of_the_request(origin: Origin, client: http.client.HTTPConnection) -> None:
    origin.decide("/m", lambda _, number: Reply(b"yes") if number % 2 else Reply(status=503))
    assert [ask(client, f"/m?sig={number}")[0] for number in range(4)] == [200, 503, 200, 503]


def test_a_large_body_takes_no_memory(origin: Origin, client: http.client.HTTPConnection) -> None:
    large = Generated(10**15, lambda start, end: bytes(index % 251 for index in range(start, end)))
    origin.serve("/m", Reply(large))
    status, body, headers = ask(client, Range=f"bytes={10**14}-{10**14 + 9}")
    assert (status, headers["Content-Range"]) == (206, f"bytes {10**14}-{10**14 + 9}/{10**15}")
    assert body == large[10**14 : 10**14 + 10]
