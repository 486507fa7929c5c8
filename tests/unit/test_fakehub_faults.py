"""Every fault of the fake hub does what it says, to the requests it names and to no other."""

import http.client
import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fakehub import FakeHub, Fault, FaultTable, write_repository

WEIGHTS = b"GGUF" + bytes(range(256)) * 4000
SIZE = len(WEIGHTS)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    write_repository(tmp_path, "acme/tiny", {"model.gguf": WEIGHTS, "config.json": b"{}"})
    with FakeHub(tmp_path) as hub:
        yield hub


def get(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a GET that follows redirects; a broken body is an IncompleteRead.

    The connection is offered for further requests, as real clients do.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        target = parts._replace(scheme="", netloc="").geturl()
        connection.request("GET", target, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        answer = response.status, dict(response.headers), response.read()
    finally:
        connection.close()
    return get(answer[1]["Location"], **headers) if answer[0] == 302 else answer


def weights(hub: FakeHub, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return get(f"{hub.endpoint}/acme/tiny/resolve/main/model.gguf", **headers)


def announced(hub: FakeHub) -> Message:
    """What the hub tells about the weights, without a look at the CDN."""
    connection = http.client.HTTPConnection(urlsplit(hub.endpoint).netloc)
    connection.request("HEAD", "/acme/tiny/resolve/main/model.gguf")
    headers = connection.getresponse().headers
    connection.close()
    return headers


def config(hub: FakeHub, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return get(f"{hub.endpoint}/acme/tiny/resolve/main/config.json", **headers)


def test_a_status_takes_the_place_of_the_answer(hub: FakeHub) -> None:
    hub.faults.add(Fault(listener="hub", status=429, headers={"Retry-After": "7"}, body="slow down"))
    status, headers, body = config(hub)
    assert (status, headers["Retry-After"], body) == (429, "7", b"slow down")


def test_a_web_page_takes_the_place_of_the_answer(hub: FakeHub) -> None:
    hub.faults.add(Fault(listener="cdn", html=True))
    status, headers, body = weights(hub)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert body.startswith(b"<!DOCTYPE html>")


def test_headers_are_set_on_or_taken_from_the_normal_answer(hub: FakeHub) -> None:
    hub.faults.add(Fault(listener="cdn", headers={"content-range": "bytes 7-9/10", "etag": None}))
    status, headers, body = weights(hub, Range="bytes=0-2")
    assert (status, body) == (206, WEIGHTS[:3])
    assert headers["content-range"] == "bytes 7-9/10"
    assert "ETag" not in headers


def test_without_a_content_length_the_end_of_the_connection_ends_the_body(hub: FakeHub) -> None:
    hub.faults.add(Fault(listener="cdn", headers={"Content-Length": None}))
    _, headers, body = weights(hub)
    assert body == WEIGHTS
    assert "Content-Length" not in headers


def test_a_content_length_that_is_too_large_is_never_fulfilled(hub: FakeHub) -> None:
    hub.faults.add(Fault(listener="cdn", headers={"Content-Length": str(SIZE + 1)}))
    with pytest.raises(http.client.IncompleteRead):
        weights(hub)


@pytest.mark.parametrize("offset", [0, 1, SIZE // 2, SIZE - 1])
def test_a_truncated_body_ends_before_the_byte_at_the_offset(hub: FakeHub, offset: int) -> None:
    hub.faults.add(Fault(truncate_at=offset, nth=1))
    with pytest.raises(http.client.IncompleteRead) as broken:
        weights(hub)
    assert broken.value.partial == WEIGHTS[:offset]
    assert hub.requests.of("cdn")[0].bytes == offset
    assert weights(hub)[2] == WEIGHTS


def test_an_offset_counts_in_the_object_however_it_is_asked_for(hub: FakeHub) -> None:
    hub.faults.add(Fault(truncate_at=1000))
    assert weights(hub, Range="bytes=0-999")[2] == WEIGHTS[:1000]
    assert weights(hub, Range="bytes=1001-")[2] == WEIGHTS[1001:]
    assert hub.faults.describe()["faults"] == [{"truncate_at": 1000, "matched": 0}]
    with pytest.raises(http.client.IncompleteRead) as broken:
        weights(hub, Range="bytes=900-")
    assert broken.value.partial == WEIGHTS[900:1000]


@pytest.mark.parametrize("offset", [0, 1000, SIZE // 2])
def test_a_reset_connection_is_reset_by_the_peer(hub: FakeHub, offset: int) -> None:
    hub.faults.add(Fault(reset_at=offset))
    with pytest.raises(ConnectionResetError):
        weights(hub)
    assert hub.requests.of("cdn")[0].bytes == offset


def test_a_corrupt_byte_is_the_only_one_that_differs(hub: FakeHub) -> None:
    hub.faults.add(Fault(corrupt_at=300_000))
    body = weights(hub)[2]
    assert [at for at in range(SIZE) if body[at] != WEIGHTS[at]] == [300_000]
    assert weights(hub, Range="bytes=300000-300000")[2] == bytes([WEIGHTS[300_000] ^ 0xFF])


def test_a_stalled_answer_waits_until_it_is_released(hub: FakeHub) -> None:
    hub.faults.add(Fault(stall_at=1000))
    answers: list[bytes] = []
    reader = threading.Thread(target=lambda: answers.append(weights(hub)[2]))
    reader.start()
    hub.faults.wait_until_stalled()
    assert hub.requests.of("cdn")[0].bytes == 1000
    assert hub.faults.describe()["stalled"] == 1
    hub.faults.release()
    reader.join()
    assert answers == [WEIGHTS]


def test_clearing_the_faults_releases_what_is_stalled(hub: FakeHub) -> None:
    hub.faults.add(Fault(stall_at=0))
    reader = threading.Thread(target=weights, args=[hub])
    reader.start()
    hub.faults.wait_until_stalled()
    hub.faults.clear()
    reader.join(timeout=60)
    assert not reader.is_alive()


def test_a_client_that_goes_away_leaves_no_trace_on_standard_error(
    hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.faults.add(Fault(stall_at=1000))
    address = urlsplit(announced(hub)["Location"])
    connection = http.client.HTTPConnection(address.netloc)
    connection.request("GET", f"{address.path}?{address.query}")
    hub.faults.wait_until_stalled()
    connection.close()
    hub.faults.release()
    hub.close()
    assert capsys.readouterr().err == ""


def test_closing_the_hub_breaks_what_is_stalled_and_what_is_idle(tmp_path: Path) -> None:
    write_repository(tmp_path, "acme/tiny", {"config.json": b"{}"})
    with FakeHub(tmp_path) as hub:
        host, port = hub.endpoint.removeprefix("http://").split(":")
        hub.faults.add(Fault(stall_at=0, nth=1))
        with socket.create_connection((host, int(port))) as idle, socket.create_connection((host, int(port))) as busy:
            busy.sendall(b"GET /acme/tiny/resolve/main/config.json HTTP/1.1\r\nHost: x\r\n\r\n")
            hub.faults.wait_until_stalled()
            hub.close()
            assert idle.recv(1) == b""


def test_waiting_for_a_stall_that_never_comes_is_an_error(hub: FakeHub) -> None:
    with pytest.raises(TimeoutError, match="no answer stalled"):
        hub.faults.wait_until_stalled(timeout=0)


def test_an_ignored_range_is_answered_with_everything(hub: FakeHub) -> None:
    hub.faults.add(Fault(listener="cdn", ignore_range=True))
    status, _, body = weights(hub, Range="bytes=5-")
    assert (status, body) == (200, WEIGHTS)


def test_a_changed_entity_tag_ends_what_if_range_held_together(hub: FakeHub) -> None:
    _, before, _ = weights(hub)
    hub.faults.add(Fault(change_etag=True))
    status, after, body = weights(hub, Range="bytes=5-", If_Range=before["ETag"])
    assert (status, body) == (200, WEIGHTS)
    assert after["ETag"] != before["ETag"]
    assert weights(hub)[1]["ETag"] == after["ETag"]
    hub.faults.clear()
    assert weights(hub, Range="bytes=5-", If_Range=before["ETag"])[0] == 206


def test_a_changed_entity_tag_shows_in_what_the_hub_announces(hub: FakeHub) -> None:
    before = announced(hub)["X-Linked-Etag"]
    hub.faults.add(Fault(change_etag=True))
    assert announced(hub)["X-Linked-Etag"] != before


def test_delays_and_rates_wait_as_long_as_they_say(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(hub.faults, "pause", pauses.append)
    hub.faults.add(Fault(listener="hub", delay=5))
    hub.faults.add(Fault(listener="cdn", bytes_per_second=SIZE // 2))
    assert weights(hub)[2] == WEIGHTS
    assert pauses[0] == 5
    assert sum(pauses[1:]) == pytest.approx(2, rel=0.01)
    assert len(pauses) > 10


def test_no_pause_outlives_the_hub() -> None:
    table = FaultTable()
    table.close()
    table.pause(3600)
    table.stall()


@pytest.mark.parametrize(
    ("choice", "struck"),
    [
        ({}, [True, True, True, True]),
        ({"nth": 2}, [False, True, False, False]),
        ({"times": 2}, [True, True, False, False]),
        ({"nth": 2, "times": 2}, [False, True, True, False]),
    ],
)
def test_nth_and_times_choose_among_the_matching_requests(
    hub: FakeHub, choice: dict[str, int], struck: list[bool]
) -> None:
    hub.faults.add(Fault(path="config", status=503, **choice))  # type: ignore[arg-type]
    weights(hub)
    assert [config(hub)[0] == 503 for _ in struck] == struck
    assert hub.faults.describe()["faults"][0]["matched"] == len(struck)


def test_a_fault_strikes_only_what_matches_all_its_conditions(hub: FakeHub) -> None:
    hub.faults.add(Fault(listener="cdn", method="GET", path=r"model\.gguf", status=500))
    assert weights(hub)[0] == 500
    assert config(hub)[0] == 200
    hub.faults.clear()
    hub.faults.add(Fault(method="POST", status=500))
    assert config(hub)[0] == 200


def test_faults_that_strike_together_add_up_and_the_earlier_wins(hub: FakeHub) -> None:
    hub.faults.add(Fault(status=503, headers={"X-One": "1"}))
    hub.faults.add(Fault(status=500, headers={"X-One": "2", "X-Two": "2"}))
    status, headers, _ = config(hub)
    assert (status, headers["X-One"], headers["X-Two"]) == (503, "1", "2")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"listener": "proxy"}, "must be 'hub' or 'cdn'"),
        ({"nth": 0}, "at least 1"),
        ({"path": "("}, "must be a regular expression"),
    ],
)
def test_a_fault_that_could_never_strike_is_refused(fault: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Fault(**fault)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A hub in a process of its own: its URLs. It must end in good order when told to."""
    write_repository(tmp_path / "root", "acme/tiny", {"model.gguf": WEIGHTS})
    command = [sys.executable, "-m", "fakehub", "--root", str(tmp_path / "root"), "--listen", "127.0.0.1:0"]
    command += ["--cdn-listen", "127.0.0.1:0", "--request-log", str(tmp_path / "requests.jsonl")]
    tests = Path(__file__).parents[1]
    with subprocess.Popen(command, cwd=tests, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(timeout=60) == 0


def control(process: dict[str, str], method: str, path: str, document: Any = None) -> tuple[int, Any]:
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(f"{process['endpoint']}/_fakehub/{path}", body, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            text = response.read()
            return response.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_hub_in_its_own_process_is_steered_over_http(process: dict[str, str], tmp_path: Path) -> None:
    address = f"{process['endpoint']}/acme/tiny/resolve/main/model.gguf"
    assert control(process, "POST", "faults", {"listener": "cdn", "status": 503, "nth": 1})[0] == 201
    assert [get(address)[0], get(address)[0]] == [503, 200]
    assert control(process, "GET", "faults")[1] == {
        "faults": [{"listener": "cdn", "status": 503, "nth": 1, "matched": 2}],
        "stalled": 0,
    }
    _, summary = control(process, "GET", "requests")
    assert [record["status"] for record in summary["requests"]] == [302, 503, 302, 200]
    assert summary["bytes"]["cdn"] == SIZE
    assert control(process, "DELETE", "faults")[0] == 204
    assert control(process, "GET", "faults")[1]["faults"] == []
    assert control(process, "DELETE", "requests")[0] == 204
    assert control(process, "GET", "requests")[1] == {"requests": [], "bytes": {"hub": 0, "cdn": 0}}
    assert (tmp_path / "requests.jsonl").read_text() == ""


def test_a_stalled_process_goes_on_when_released_over_http(process: dict[str, str]) -> None:
    control(process, "POST", "faults", {"stall_at": 1000})
    answers: list[bytes] = []
    address = f"{process['endpoint']}/acme/tiny/resolve/main/model.gguf"
    reader = threading.Thread(target=lambda: answers.append(get(address)[2]))
    reader.start()
    while control(process, "GET", "faults")[1]["stalled"] == 0:
        assert reader.is_alive()
    assert control(process, "POST", "release")[0] == 204
    reader.join()
    assert answers == [WEIGHTS]


@pytest.mark.parametrize("document", [{"colour": "blue"}, ["status"], {"nth": 0}, {"path": 5}, {"path": "("}])
def test_an_impossible_fault_is_refused_over_http_with_the_reason(process: dict[str, str], document: Any) -> None:
    status, answer = control(process, "POST", "faults", document)
    assert status == 400
    assert answer["error"]
    assert control(process, "GET", "faults")[1]["faults"] == []


def test_an_unknown_control_path_is_not_found(process: dict[str, str]) -> None:
    assert control(process, "GET", "nonsense")[0] == 404


def test_a_malformed_listening_address_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fakehub", "--root", str(tmp_path), "--listen", "8080"]
    result = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "'8080' must be HOST:PORT" in result.stderr
