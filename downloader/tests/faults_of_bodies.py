"""Rows of the table: what happens to the bytes of the model on their way."""

from __future__ import annotations

from fault_causes import (
    HERE,
    answers,
    breaks,
    decides,
    expires_meanwhile,
    flipped,
    of_size,
    overlong,
    ranges,
    replaced,
    sends,
    silent_while_gone,
    tagged,
)
from fault_places import MODEL, OTHER
from fault_table import BODY, TLS, WEB, Fault
from faults_on_the_way import JSON, PAGE, STALL, STALL_ONCE
from weights import sha256

from llmkube_downloader.errors import ExitCode

_OK, _BAD, _AWAY = ExitCode.OK, ExitCode.INTEGRITY, ExitCode.ORIGIN_UNAVAILABLE
_PLAIN = ("http", "https")
_XML = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'
_WEAK = 'W/"{}"'
_ALL = len(MODEL)
# What a fetch of the small model takes when nothing goes wrong, and a few requests more.
_WELL = 24
# What the connections that receive at the same time may lose when all begins again.
_BLOCKS = 2 * 64 * 1024
_DRIPS = {"piece": 1, "pause": 0.01}

BROKEN = [
    Fault("connection closed", BODY, WEB, sends(cut_at=HERE), _AWAY, "{name}", _WELL),
    Fault("connection closed once", BODY, WEB, sends(1, cut_at=HERE), _OK, requests=_WELL),
    Fault("connection reset", BODY, WEB, sends(reset_at=HERE), _AWAY, "", _WELL),
    Fault("connection reset once", BODY, WEB, sends(1, reset_at=HERE), _OK, requests=_WELL),
    Fault("silence", BODY, WEB, sends(stall_at=HERE), _AWAY, "{host}", _WELL, STALL),
    Fault("silence once", BODY, WEB, sends(1, stall_at=HERE), _OK, requests=_WELL, flags=STALL_ONCE),
    Fault("garbled TLS", BODY, TLS, sends(garble_at=HERE), _AWAY, "{host}", _WELL),
    Fault("garbled TLS once", BODY, TLS, sends(1, garble_at=HERE), _OK, requests=_WELL),
    Fault("connection closed every 100,000 bytes", ("middle",), WEB, breaks(100_000), _OK, requests=2 * _WELL),
    Fault("a byte now and then", ("first byte",), WEB, sends(**_DRIPS), _AWAY, "{host}", _WELL, STALL),
    Fault(
        "a chunk now and then",
        ("first byte",),
        WEB,
        sends(framing="chunked", ranges=False, **_DRIPS),
        _AWAY,
        "{host}",
        _WELL,
        STALL,
    ),
    Fault("no ETag, connection closed", BODY, _PLAIN, tagged(None, cut_at=HERE), _AWAY, "{name}", _WELL),
    Fault(
        "no ETag, connection closed once",
        BODY,
        _PLAIN,
        tagged(None, 1, cut_at=HERE),
        _OK,
        requests=_WELL,
        twice=_ALL,
    ),
    Fault(
        "weak ETag, connection closed once",
        BODY,
        _PLAIN,
        tagged(_WEAK, 1, cut_at=HERE),
        _OK,
        requests=_WELL,
        twice=_ALL,
    ),
    Fault("no ranges, connection closed", BODY, WEB, sends(cut_at=HERE, ranges=False), _AWAY, "{name}", _WELL),
    Fault("no ranges, connection closed once", BODY, WEB, sends(1, cut_at=HERE, ranges=False), _OK, requests=_WELL),
    Fault(
        "chunks that break off",
        BODY,
        WEB,
        sends(framing="chunked", ranges=False, cut_at=HERE),
        _AWAY,
        "{host}",
        _WELL,
    ),
    Fault(
        "chunks that break off once",
        BODY,
        WEB,
        sends(1, framing="chunked", ranges=False, cut_at=HERE),
        _OK,
        requests=_WELL,
    ),
    Fault("no length", ("headers",), WEB, sends(framing="close", ranges=False), _OK, requests=_WELL),
    Fault(
        "no length, connection closed",
        BODY,
        WEB,
        sends(framing="close", ranges=False, cut_at=HERE),
        _AWAY,
        "{name}",
        _WELL,
    ),
    Fault(
        "no length, connection closed once",
        BODY,
        WEB,
        sends(1, framing="close", ranges=False, cut_at=HERE),
        _OK,
        requests=_WELL,
    ),
    Fault(
        "no length anywhere",
        ("headers",),
        ("http",),
        answers("resolves", body=MODEL, framing="close"),
        _BAD,
        "{name}",
        2,
    ),
    Fault(
        "chunks and no length anywhere",
        ("headers",),
        ("http",),
        answers("resolves", body=MODEL, framing="chunked"),
        _OK,
        requests=2,
    ),
    Fault(
        "chunks and no length anywhere, breaking off",
        ("middle",),
        ("http",),
        answers("resolves", body=MODEL, framing="chunked", cut_at=_ALL // 2),
        _AWAY,
        "{host}",
        _WELL,
    ),
    Fault("connections closed after each answer", ("connect",), WEB, sends(hang_up=True), _OK, requests=_WELL),
    Fault("silence beside status 404", ("middle",), WEB, silent_while_gone, ExitCode.NOT_FOUND, "{back}", _WELL),
    Fault("signed address that expires", ("middle",), ("https", "hf"), expires_meanwhile, _OK, requests=_WELL),
]

RANGES = [
    Fault("no ranges", ("headers",), WEB, sends(ranges=False), _OK, requests=_WELL),
    Fault(
        "ranges only at first",
        ("headers",),
        WEB,
        decides(lambda place, _, number: place.reply(ranges=number == 1)),
        _OK,
        requests=_WELL,
        twice=_BLOCKS,
    ),
    Fault(
        "shorter ranges",
        ("headers",),
        WEB,
        ranges(lambda start, end: (start, min(start + 100_000, end))),
        _OK,
        requests=2 * _WELL,
    ),
    Fault("ranges in chunks", ("headers",), WEB, sends(framing="chunked"), _OK, requests=_WELL),
    Fault(
        "other ranges",
        ("headers",),
        WEB,
        ranges(lambda start, end: (start + 7, end + 7)),
        _AWAY,
        "{name}",
        _WELL,
    ),
    Fault(
        "ranges without their place", ("headers",), WEB, sends(headers={"Content-Range": None}), _AWAY, "{back}", _WELL
    ),
    Fault("status 416", ("headers",), WEB, answers("sends", status=416), _BAD, "{back}", _WELL),
]

CONTENT = [
    Fault("web page of no type", ("first byte",), WEB, answers("sends", body=PAGE["body"]), _BAD, "{name}", _WELL),
    Fault("XML", ("first byte",), WEB, answers("sends", body=_XML), _BAD, "{name}", _WELL),
    Fault("JSON", ("first byte",), WEB, answers("sends", **JSON), _BAD, "{name}", _WELL),
    Fault("longer than announced", ("headers",), WEB, of_size(_ALL + 1000), _BAD, "{name}", _WELL),
    Fault("shorter than announced", ("headers",), WEB, of_size(_ALL - 1000), _BAD, "{name}", _WELL),
    Fault("more bytes than its length", ("last byte",), WEB, overlong, _OK, requests=_WELL),
    Fault(
        "replaced",
        ("middle",),
        _PLAIN,
        replaced(lambda number: number == 3),
        _OK,
        requests=2 * _WELL,
        twice=_ALL,
        body=OTHER,
    ),
    Fault("replaced", ("middle",), ("hf",), replaced(lambda number: number == 3), _BAD, "{name}", _WELL),
    Fault("replaced all the time", ("middle",), _PLAIN, replaced(lambda _: True), _BAD, "{name}", 2 * _WELL),
    Fault("wrong bit", BODY, ("hf",), flipped, _BAD, "{name}", _WELL),
    Fault("wrong bit", BODY, _PLAIN, flipped, _BAD, "{name}", _WELL, ("--sha256", sha256(MODEL))),
]
FAULTS_OF_BODIES = [*BROKEN, *RANGES, *CONTENT]
