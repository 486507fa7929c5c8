"""Fetching from web servers: what arrives is whole and right, or the exit code says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from origin_server import Origin, Reply
from weights import gguf, safetensors, sha256

from llmkube_downloader.key import parse_source

if TYPE_CHECKING:
    from command_line import Done, Run

MODEL = gguf(700_000)


@pytest.fixture
def allow(monkeypatch: pytest.MonkeyPatch, origin: Origin) -> None:
    """Allow plain http to the test's own server."""
    monkeypatch.setenv("LLMKUBE_ALLOW_HTTP", origin.host)


pytestmark = pytest.mark.usefixtures("allow", "waits")


def announcing(body: bytes, promised: bytes | None = None) -> dict[str, str]:
    """Return the headers with which the hub promises a file, by default the one that it sends."""
    promised = body if promised is None else promised
    return {"X-Linked-Etag": f'"{sha256(promised)}"', "X-Linked-Size": str(len(promised))}


def assert_nothing_is_left(root: Path) -> None:
    """Check that a failure left neither an entry nor a byte in staging, and no lease."""
    assert [path.name for path in root.iterdir()] == [".llmkube"]
    assert [path for path in (root / ".llmkube").rglob("*") if path.is_file()] == [root / ".llmkube" / "format.json"]


def test_one_gguf_file_becomes_model_gguf_under_its_key(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/dir/tiny.gguf", MODEL)
    done = run("fetch", url, "--root", root)
    entry = root / parse_source(url).key
    assert done.code == 0
    assert done.out.splitlines()[-1] == str(entry)
    assert (entry / "model.gguf").read_bytes() == MODEL


def test_any_other_file_keeps_its_name(run: Run, root: Path, origin: Origin) -> None:
    weights = safetensors()
    done = run("fetch", origin.serve("/a%20b.safetensors?x=1", weights), "--root", root, "-o", "json")
    assert (Path(done.json["entry"]) / "a b.safetensors").read_bytes() == weights


def test_the_report_says_what_was_fetched(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", MODEL)
    report = run("fetch", url, "--root", root, "-o", "json").json
    volume, seconds = report.pop("volume"), report.pop("seconds")
    assert volume["total"] >= volume["free"] > 0
    assert seconds > 0
    assert report == {
        "schema": 1,
        "result": "fetched",
        "key": parse_source(url).key,
        "entry": str(root / parse_source(url).key),
        "source": url,
        "revision": None,
        "files": [{"path": "model.gguf", "size": len(MODEL), "sha256": sha256(MODEL)}],
        "bytesTotal": len(MODEL),
        "bytesFetched": len(MODEL),
        "bytesReused": 0,
        "verified": "size",
        "requests": 2,
    }


def test_a_second_fetch_is_a_hit_without_a_request(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", MODEL)
    run("fetch", url, "--root", root)
    asked = len(origin.asked)
    report = run("fetch", url, "--root", root, "-o", "json").json
    assert (report["result"], report["requests"], report["bytesFetched"]) == ("hit", 0, 0)
    assert report["bytesReused"] == len(MODEL)
    assert len(origin.asked) == asked


@pytest.mark.parametrize("status", [403, 404, 405, 501])
def test_a_server_that_refuses_head_is_asked_with_get(run: Run, root: Path, origin: Origin, status: int) -> None:
    url = origin.serve("/tiny.gguf", MODEL)
    origin.refuse_head = status
    assert run("fetch", url, "--root", root).code == 0


def test_a_head_that_claims_nothing_is_there_is_not_believed(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", Reply(MODEL, headers={}, framing="chunked"))
    assert run("fetch", url, "--root", root).code == 0


def test_an_announced_hash_is_checked_and_reported(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", Reply(MODEL, headers=announcing(MODEL)))
    assert run("fetch", url, "--root", root, "-o", "json").json["verified"] == "sha256"


def test_an_announced_hash_survives_the_redirect_to_another_server(run: Run, root: Path, origin: Origin) -> None:
    other = gguf(len(MODEL), seed=1)
    target = origin.serve("/cdn", Reply(other, headers=announcing(other)))
    url = origin.redirect("/tiny.gguf", target, headers=announcing(MODEL))
    done = run("fetch", url, "--root", root)
    assert done.code == 13
    assert_nothing_is_left(root)


@pytest.mark.parametrize("size", ["", "many", "-1", "9" * 5000, "²"])
def test_an_absurd_size_is_no_size(run: Run, root: Path, origin: Origin, size: str) -> None:
    headers = {"X-Linked-Etag": f'"{sha256(MODEL)}"', "X-Linked-Size": size}
    assert run("fetch", origin.serve("/tiny.gguf", Reply(MODEL, headers=headers)), "--root", root).code == 0


def test_an_address_that_says_all_is_not_followed_for_more(run: Run, root: Path, origin: Origin) -> None:
    url = origin.redirect("/tiny.gguf", origin.serve("/cdn", MODEL), headers=announcing(MODEL))
    report = run("fetch", url, "--root", root, "-o", "json").json
    assert report["verified"] == "sha256"
    assert [(asked.method, asked.path) for asked in origin.asked] == [
        ("HEAD", "/tiny.gguf"),
        ("GET", "/tiny.gguf"),
        ("GET", "/cdn"),
    ]
    assert report["requests"] == 3


def test_right_size_and_wrong_bytes_are_never_published(run: Run, root: Path, origin: Origin) -> None:
    wrong = gguf(len(MODEL), seed=1)
    url = origin.serve("/tiny.gguf", Reply(wrong, headers=announcing(wrong, promised=MODEL)))
    done = run("fetch", url, "--root", root)
    assert done.code == 13
    assert sha256(MODEL) in done.err
    assert_nothing_is_left(root)


def test_an_expected_hash_is_checked_and_reported(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", MODEL)
    assert run("fetch", url, "--root", root, "--sha256", "0" * 64).code == 13
    assert_nothing_is_left(root)
    done = run("fetch", url, "--root", root, "--sha256", sha256(MODEL).upper(), "-o", "json")
    assert done.json["verified"] == "sha256"


def test_a_hash_that_the_origin_contradicts_costs_no_byte(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", Reply(MODEL, headers=announcing(MODEL)))
    assert run("fetch", url, "--root", root, "--sha256", "0" * 64).code == 13
    assert origin.times("/tiny.gguf") == 0


def test_a_hit_with_another_hash_than_expected_is_an_error(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", MODEL)
    run("fetch", url, "--root", root)
    assert run("fetch", url, "--root", root, "--sha256", "0" * 64).code == 13
    assert run("fetch", url, "--root", root, "--sha256", f"model.gguf={sha256(MODEL)}").code == 0
    assert run("fetch", url, "--root", root, "--sha256", f"tiny.gguf={'0' * 64}").code == 13


def test_a_hash_for_a_file_that_is_not_selected_is_a_usage_error(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", MODEL)
    for _ in ("missing", "hit"):
        done = run("fetch", url, "--root", root, "--sha256", f"other.gguf={'0' * 64}")
        assert done.code == 10
        assert "other.gguf" in done.err
        run("fetch", url, "--root", root)


@pytest.mark.parametrize("cut_at", [0, 1, 300_000, len(MODEL) - 1])
def test_a_body_that_breaks_off_is_received_again(run: Run, root: Path, origin: Origin, cut_at: int) -> None:
    url = origin.serve("/tiny.gguf", Reply(MODEL, cut_at=cut_at), MODEL)
    done = run("fetch", url, "--root", root, "-o", "json")
    assert done.code == 0
    assert done.json["bytesFetched"] == len(MODEL) + cut_at
    assert (Path(done.json["entry"]) / "model.gguf").read_bytes() == MODEL


def test_nothing_of_a_try_that_broke_off_stays_in_the_file(run: Run, root: Path, origin: Origin) -> None:
    shorter = gguf(1000, seed=1)
    replies = [Reply(MODEL, framing="chunked", cut_at=300_000), Reply(shorter, framing="chunked")]
    done = run("fetch", origin.serve("/tiny.gguf", *replies), "--root", root, "-o", "json")
    assert (Path(done.json["entry"]) / "model.gguf").read_bytes() == shorter


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_that_always_breaks_off_is_given_up(run: Run, root: Path, origin: Origin, framing: str) -> None:
    url = origin.serve("/tiny.gguf", Reply(MODEL, framing=framing, cut_at=300_000))
    assert run("fetch", url, "--root", root).code == 16
    assert origin.times("/tiny.gguf") == 5
    assert_nothing_is_left(root)


def test_a_stalled_body_is_received_again(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", Reply(MODEL, stall_at=1000), MODEL)
    assert run("fetch", url, "--root", root, "--stall-timeout", "0.2").code == 0
    assert origin.times("/tiny.gguf") == 2


def test_a_body_without_length_is_whole_when_its_chunks_are(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", Reply(MODEL, framing="chunked"))
    assert run("fetch", url, "--root", root, "-o", "json").json["verified"] == "size"


def test_a_body_that_only_ends_with_its_connection_needs_a_hash(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", Reply(MODEL, framing="close"))
    refused = run("fetch", url, "--root", root)
    assert refused.code == 13
    assert "--sha256" in refused.err
    assert_nothing_is_left(root)
    assert run("fetch", url, "--root", root, "--sha256", sha256(MODEL)).code == 0


def test_a_body_that_contradicts_its_announcement_is_refused(run: Run, root: Path, origin: Origin) -> None:
    headers = {"X-Linked-Etag": f'"{sha256(MODEL)}"', "X-Linked-Size": "1000"}
    longer = origin.serve("/longer.gguf", Reply(MODEL, headers=headers, framing="chunked"))
    assert run("fetch", longer, "--root", root).code == 13
    other = origin.serve("/other.gguf", Reply(MODEL, headers=headers))
    done = run("fetch", other, "--root", root)
    assert done.code == 13
    assert "announced with 1000 bytes and sent with 700000" in done.err
    assert_nothing_is_left(root)


def test_a_compressed_body_is_refused(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", Reply(MODEL, headers={"Content-Encoding": "gzip"}))
    assert run("fetch", url, "--root", root).code == 13
    assert {asked.headers["Accept-Encoding"] for asked in origin.asked} == {"identity"}


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, 11), (403, 11), (404, 12), (410, 12), (418, 16), (429, 17), (500, 16), (502, 16), (503, 16), (504, 16)],
)
def test_every_answer_without_success_has_its_exit_code(
    run: Run, root: Path, origin: Origin, status: int, code: int
) -> None:
    done = run("fetch", origin.serve("/tiny.gguf", Reply(b"no", status=status)), "--root", root)
    assert done.code == code
    assert str(status) in done.err
    assert_nothing_is_left(root)


@pytest.mark.parametrize("status", [429, 503])
def test_the_origin_says_how_long_to_wait(
    run: Run, root: Path, origin: Origin, waits: list[float], status: int
) -> None:
    url = origin.serve("/tiny.gguf", Reply(status=status, headers={"Retry-After": "7"}), MODEL)
    origin.refuse_head = 405
    assert run("fetch", url, "--root", root).code == 0
    assert waits == [7]


def test_an_origin_that_wants_a_long_wait_is_left_to_the_next_start(
    run: Run, root: Path, origin: Origin, waits: list[float]
) -> None:
    done = run("fetch", origin.serve("/tiny.gguf", Reply(status=429, headers={"Retry-After": "3600"})), "--root", root)
    assert done.code == 17
    assert "3600 s" in done.err
    assert waits == []


def test_waits_grow_and_are_told(run: Run, root: Path, origin: Origin, waits: list[float]) -> None:
    done = run("fetch", origin.serve("/tiny.gguf", Reply(status=503)), "--root", root)
    assert [round(wait / factor) for wait, factor in zip(waits, (1, 2, 4, 8), strict=True)] == [1, 1, 1, 1]
    assert "trying again" in done.err


def test_a_server_that_is_not_there_is_unavailable(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", MODEL)
    origin.close()
    assert run("fetch", url, "--root", root).code == 16


@pytest.mark.parametrize("host", ["does-not-exist.invalid", "x" * 70 + ".example", "a..example"])
def test_a_name_that_can_not_be_resolved_is_unavailable(run: Run, root: Path, host: str) -> None:
    done = run("fetch", f"https://{host}/tiny.gguf", "--root", root)
    assert done.code == 16
    assert host in done.err


PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


def test_a_web_page_in_place_of_a_model_is_refused(run: Run, root: Path, origin: Origin) -> None:
    typed = origin.serve("/tiny.bin", Reply(b"Please log in", headers={"Content-Type": "text/html; charset=utf-8"}))
    assert run("fetch", typed, "--root", root).code == 13
    disguised = origin.serve("/config.json", Reply(PAGE, headers={"Content-Type": "application/octet-stream"}))
    done = run("fetch", disguised, "--root", root)
    assert done.code == 13
    assert "Please log in" in done.err
    assert_nothing_is_left(root)


@pytest.mark.parametrize("body", [b'{"error": "quota exceeded"}', b"", b"GGU", MODEL[:20]])
def test_what_is_no_gguf_is_not_published_as_one(run: Run, root: Path, origin: Origin, body: bytes) -> None:
    assert run("fetch", origin.serve("/tiny.gguf", body), "--root", root).code == 13
    assert_nothing_is_left(root)


def test_a_truncated_original_of_safetensors_is_noticed(run: Run, root: Path, origin: Origin) -> None:
    done = run("fetch", origin.serve("/tiny.safetensors", safetensors()[:-1]), "--root", root)
    assert done.code == 13
    assert "promises" in done.err
    assert_nothing_is_left(root)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(run: Run, root: Path, origin: Origin, status: int) -> None:
    origin.serve("/cdn/blob", MODEL)
    assert run("fetch", origin.redirect("/tiny.gguf", "cdn/blob", status), "--root", root).code == 0


def test_a_redirect_that_never_ends_is_given_up(run: Run, root: Path, origin: Origin) -> None:
    done = run("fetch", origin.redirect("/tiny.gguf", "/tiny.gguf"), "--root", root)
    assert done.code == 16
    assert "redirects" in done.err
    assert origin.times("/tiny.gguf") == 11


def test_http_is_only_fetched_from_allowed_hosts(
    run: Run, root: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = origin.serve("/tiny.gguf", MODEL)
    monkeypatch.delenv("LLMKUBE_ALLOW_HTTP")
    done = run("fetch", url, "--root", root)
    assert done.code == 21
    assert "--allow-http 127.0.0.1" in done.err
    assert origin.asked == []
    assert run("fetch", url, "--root", root, "--allow-http", "a.example,127.0.0.1").code == 0
    assert run("fetch", origin.serve("/b.gguf", MODEL), "--root", root, "--allow-http", "*").code == 0


def test_a_redirect_to_a_host_that_http_is_not_allowed_to_is_refused(run: Run, root: Path, origin: Origin) -> None:
    done = run("fetch", origin.redirect("/tiny.gguf", "http://127.0.0.2/tiny.gguf"), "--root", root)
    assert done.code == 21
    assert "127.0.0.2" in done.err


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://h.example/x", "gopher://h.example/"])
def test_a_redirect_to_another_scheme_is_refused(run: Run, root: Path, origin: Origin, target: str) -> None:
    assert run("fetch", origin.redirect("/tiny.gguf", target), "--root", root).code == 21


def test_a_selection_from_a_single_file_is_a_usage_error(run: Run, root: Path, origin: Origin) -> None:
    done = run("fetch", origin.serve("/tiny.gguf", MODEL), "--root", root, "--include", "*.gguf")
    assert done.code == 10
    assert origin.asked == []


@pytest.mark.parametrize("name", ["%2e%2e", "a%00b", "a%0Ab", "a%5Cb", ".llmkube.json"])
def test_a_name_that_is_unsafe_on_a_volume_is_refused(run: Run, root: Path, origin: Origin, name: str) -> None:
    assert run("fetch", origin.serve(f"/{name}", MODEL), "--root", root).code == 21


def test_a_model_larger_than_expected_costs_no_byte(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", MODEL)
    done = run("fetch", url, "--root", root, "--expect-size", "690000")
    assert done.code == 21
    assert origin.times("/tiny.gguf") == 0
    assert run("fetch", url, "--root", root, "--expect-size", "695000").code == 0


def test_a_body_of_unknown_size_ends_at_the_expected_one(run: Run, root: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", Reply(MODEL, framing="chunked"))
    done = run("fetch", url, "--root", root, "--expect-size", "300k")
    assert done.code == 21
    assert_nothing_is_left(root)


def test_a_failed_fetch_writes_its_report_too(run: Run, root: Path, tmp_path: Path, origin: Origin) -> None:
    url = origin.serve("/tiny.gguf", Reply(status=404))
    done = run("fetch", url, "--root", root, "--report", tmp_path / "report", "-o", "json")
    report = json.loads((tmp_path / "report").read_text())
    assert report == done.json
    assert report["error"]["code"] == 12
    assert report["error"]["name"] == "not-found"


def test_a_page_that_wants_to_steer_the_terminal_can_not(run: Run, root: Path, origin: Origin) -> None:
    done = run("fetch", "hf://org/\x9b2J\x07repo/..", "--root", root)
    assert done.code == 10
    done = run("fetch", origin.serve("/tiny.gguf", b"\x1b[2J\x9b2J\x07\x08owned"), "--root", root)
    assert done.code == 13
    assert done.err.replace("\n", "").isprintable()


def test_a_failed_fetch_says_what_to_do(run: Run, root: Path, origin: Origin) -> None:
    done: Done = run("fetch", origin.serve("/tiny.gguf", Reply(status=404)), "--root", root)
    cause, action = done.err.strip().splitlines()[-2:]
    assert cause == f"error: {origin.url('/tiny.gguf')} answered 404"
    assert action == "  Check the spelling of the source."
