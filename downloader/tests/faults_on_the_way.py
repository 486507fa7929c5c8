"""Rows of the table: what happens before the first byte of the model."""

from __future__ import annotations

from fault_causes import (
    answers,
    behind_proxy,
    dead_first,
    decides,
    expires,
    leads_to,
    mute,
    replaces,
    sends,
    trusts,
    unresolvable,
)
from fault_table import TLS, WEB, Fault
from origin_server import Reply

from llmkube_downloader.errors import ExitCode

STALL = ("--stall-timeout", "0.05")
STALL_ONCE = ("--stall-timeout", "0.3")
PAGE = {"body": b"<!DOCTYPE html><html><body>Please log in</body></html>", "headers": {"Content-Type": "text/html"}}
JSON = {"body": b'{"error": "quota exceeded"}'}

_OK, _AUTH, _MISSING, _BAD = ExitCode.OK, ExitCode.AUTH, ExitCode.NOT_FOUND, ExitCode.INTEGRITY
_AWAY, _LIMITED, _TLS, _POLICY = ExitCode.ORIGIN_UNAVAILABLE, ExitCode.RATE_LIMITED, ExitCode.TLS, ExitCode.POLICY

_REFUSALS = {400: _AWAY, 401: _AUTH, 403: _AUTH, 404: _MISSING, 410: _MISSING}
_PASSING = {408: _AWAY, 425: _AWAY, 429: _LIMITED, 500: _AWAY, 502: _AWAY, 503: _AWAY, 504: _AWAY}
_AN_HOUR = {"Retry-After": "3600"}
_NO_HTTP = b"SSH-2.0-OpenSSH\r\n"
_CUT_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Le"
_AT_END = len(_CUT_HEAD)
# What a fetch of the small model takes when nothing goes wrong, and a few requests more.
_WELL = 24


RESOLVE = [
    Fault("unknown name", ("resolve",), WEB, unresolvable(), _AWAY, "{host}", 0),
    Fault("unknown name once", ("resolve",), WEB, unresolvable(1), _OK, requests=_WELL),
    *(
        Fault(f"status {status}", ("resolve",), WEB, answers("resolves", status=status), code, "{asked}", 2)
        for status, code in _REFUSALS.items()
    ),
    *(
        Fault(f"status {status}", ("resolve",), WEB, answers("resolves", status=status), code, "{asked}", 5)
        for status, code in _PASSING.items()
    ),
    *(
        Fault(f"status {status} once", ("resolve",), WEB, answers("resolves", 1, status=status), _OK, requests=_WELL)
        for status in _PASSING
    ),
    Fault(
        "status 429 and an hour to wait",
        ("resolve",),
        WEB,
        answers("resolves", status=429, headers=_AN_HOUR),
        _LIMITED,
        "asking to wait 3600 s",
        1,
    ),
    Fault("web page", ("resolve",), ("http", "https"), answers("resolves", **PAGE), _BAD, "{asked}", 4),
    Fault("web page", ("resolve",), ("hf",), answers("resolves", **PAGE), _AWAY, "{asked}", 5),
    Fault("JSON of something else", ("resolve",), ("http", "https"), answers("resolves", **JSON), _BAD, "{name}", 4),
    Fault("JSON of something else", ("resolve",), ("hf",), answers("resolves", **JSON), _AWAY, "{asked}", 5),
    Fault("redirects in a circle", ("resolve",), WEB, leads_to("{self}"), _AWAY, "{front}", 23),
    Fault("redirect without a target", ("resolve",), WEB, leads_to(""), _AWAY, "{front}", 23),
    Fault("redirect to a file", ("resolve",), WEB, leads_to("file:///etc/passwd"), _POLICY, "{front}", 2),
    Fault("redirect to plain http", ("resolve",), TLS, leads_to("http://127.0.0.1:1/m"), _POLICY, "{front}", 2),
    *(
        Fault(
            f"redirect to {address}",
            ("resolve",),
            WEB,
            leads_to("{scheme}://" + address + "/tiny.gguf"),
            _POLICY,
            address,
            2,
        )
        for address in ("169.254.169.254", "10.0.0.1", "[fd00::1]")
    ),
    Fault(
        "hub that redirects to 169.254.169.254",
        ("resolve",),
        ("hf",),
        leads_to("https://169.254.169.254/api", "resolves"),
        _POLICY,
        "169.254.169.254",
        1,
    ),
]

CONNECT = [
    Fault("connection refused", ("connect",), WEB, replaces("front"), _AWAY, "{host}", 0),
    Fault("silence", ("connect",), WEB, mute, _AWAY, "{host}", 0, STALL),
    Fault("connection closed", ("connect",), WEB, answers("resolves", raw=b""), _AWAY, "{host}", 5),
    Fault("connection closed once", ("connect",), WEB, answers("resolves", 1, raw=b""), _OK, requests=_WELL),
    Fault("connection reset", ("connect",), WEB, answers("resolves", raw=b"", reset_at=0), _AWAY, "{host}", 5),
    Fault("connection reset once", ("connect",), WEB, answers("resolves", 1, raw=b"", reset_at=0), _OK, "", _WELL),
    Fault("first address of the name is dead", ("connect",), WEB, dead_first, _OK, requests=_WELL),
    Fault("no file of authorities", ("connect",), TLS, trusts("missing.pem"), _TLS, "missing.pem", 0),
    Fault(
        "no certificates in the file of authorities", ("connect",), TLS, trusts("../weights.py"), _TLS, "weights.py", 0
    ),
    Fault("unknown authority", ("connect",), TLS, trusts("expired.pem"), _TLS, "{host}", 0),
    Fault(
        "expired certificate",
        ("connect",),
        TLS,
        trusts("expired.pem", replaces("front", tls=True, certificate="expired.pem")),
        _TLS,
        "{host}",
        0,
    ),
    Fault(
        "certificate of another host",
        ("connect",),
        TLS,
        trusts("elsewhere.pem", replaces("front", tls=True, certificate="elsewhere.pem")),
        _TLS,
        "{host}",
        0,
    ),
    Fault("no TLS", ("connect",), TLS, replaces("front", tls=False), _TLS, "{host}", 0),
    Fault(
        "unknown authority behind a redirect",
        ("connect",),
        TLS,
        replaces("back", tls=True, certificate="expired.pem"),
        _TLS,
        "{host}",
        2,
    ),
    Fault("proxy", ("connect",), WEB, behind_proxy(), _OK, requests=2 * _WELL),
    Fault("proxy wants a password", ("connect",), ("http",), behind_proxy(407), _TLS, "407", 2),
    Fault("proxy wants a password", ("connect",), TLS, behind_proxy(407), _TLS, "proxy", 2),
    Fault("proxy refuses", ("connect",), TLS, behind_proxy(403), _TLS, "proxy", 2),
    Fault("proxy without a way", ("connect",), ("http",), behind_proxy(502), _AWAY, "502", 5),
    Fault("proxy without a way", ("connect",), TLS, behind_proxy(502), _AWAY, "proxy", 5),
    Fault("no proxy there", ("connect",), WEB, behind_proxy(there=False), _AWAY, "{host}", 0),
]

HEADERS = [
    *(
        Fault(f"status {status}", ("headers",), WEB, answers("sends", status=status), code, "{back}", 4)
        for status, code in _REFUSALS.items()
    ),
    *(
        Fault(f"status {status}", ("headers",), WEB, answers("sends", status=status), code, "{back}", 12)
        for status, code in _PASSING.items()
    ),
    *(
        Fault(f"status {status} once", ("headers",), WEB, answers("sends", 1, status=status), _OK, requests=_WELL)
        for status in _PASSING
    ),
    Fault(
        "status 503 to every second request",
        ("headers",),
        WEB,
        decides(lambda _, __, number: Reply(status=503) if number % 2 else None),
        _OK,
        requests=2 * _WELL,
    ),
    Fault(
        "status 429 and an hour to wait",
        ("headers",),
        WEB,
        answers("sends", status=429, headers=_AN_HOUR),
        _LIMITED,
        "asking to wait 3600 s",
        4,
    ),
    *(
        Fault(
            f"status {status} after every third request of a signed address",
            ("headers",),
            TLS,
            expires(status, 3),
            _OK,
            requests=2 * _WELL,
        )
        for status in _REFUSALS
        if status != 400
    ),
    Fault("no HTTP", ("headers",), WEB, answers("sends", raw=_NO_HTTP), _AWAY, "{host}", 12),
    Fault("no HTTP once", ("headers",), WEB, answers("sends", 1, raw=_NO_HTTP), _OK, requests=_WELL),
    Fault("connection closed", ("headers",), WEB, answers("sends", raw=_CUT_HEAD), _AWAY, "{name}", 12),
    Fault("connection closed once", ("headers",), WEB, answers("sends", 1, raw=_CUT_HEAD), _OK, requests=_WELL),
    Fault("connection reset", ("headers",), WEB, answers("sends", raw=_CUT_HEAD, reset_at=_AT_END), _AWAY, "", 12),
    Fault(
        "connection reset once",
        ("headers",),
        WEB,
        answers("sends", 1, raw=_CUT_HEAD, reset_at=_AT_END),
        _OK,
        requests=_WELL,
    ),
    Fault("silence", ("headers",), WEB, answers("sends", raw=_CUT_HEAD, stall_at=_AT_END), _AWAY, "{host}", 12, STALL),
    Fault(
        "silence once",
        ("headers",),
        WEB,
        answers("sends", 1, raw=_CUT_HEAD, stall_at=_AT_END),
        _OK,
        requests=_WELL,
        flags=STALL_ONCE,
    ),
    Fault("endless headers", ("headers",), WEB, sends(headers={"X-Long": "x" * 70_000}), _AWAY, "{host}", 12),
    Fault("web page", ("headers",), WEB, answers("sends", **PAGE), _BAD, "{back}", 4),
    Fault("compressed body", ("headers",), WEB, sends(headers={"Content-Encoding": "gzip"}), _BAD, "{back}", 4),
]
FAULTS_ON_THE_WAY = [*RESOLVE, *CONNECT, *HEADERS]
