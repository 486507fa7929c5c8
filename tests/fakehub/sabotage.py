"""What the faults do to an answer, before and while it is sent."""

from collections.abc import Callable, Iterator
from typing import BinaryIO

from fakehub.exchange import FileBody, Request, Response
from fakehub.faults import Fault

_CHUNK = 1 << 18
_PORTAL = (
    "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please accept the terms of use.</body></html>\n"
)


def answer(request: Request, application: Callable[[Request], Response], normal: Response, fault: Fault) -> Response:
    """The answer to send: the normal one with its Content-Length, changed as the fault says."""
    response = _replacement(fault) or _as_other_object(request, application, normal, fault)
    headers = {"Content-Length": str(response.length)} | response.headers
    for name, value in fault.headers.items():
        headers = {key: kept for key, kept in headers.items() if key.lower() != name.lower()}
        if value is not None:
            headers[name] = value
    return Response(response.status, headers, response.body)


def _replacement(fault: Fault) -> Response | None:
    if fault.html:
        return Response.text(_PORTAL, fault.status or 200, "text/html; charset=utf-8")
    if fault.status is not None:
        return Response.text(fault.body or "", fault.status)
    return None


def _as_other_object(
    request: Request, application: Callable[[Request], Response], normal: Response, fault: Fault
) -> Response:
    condition_fails = fault.change_etag and "If-Range" in request.headers
    if fault.ignore_range or condition_fails:
        normal = application(request.without("Range", "If-Range"))
    if fault.change_etag:
        tags = {name: _other_tag(value) for name, value in normal.headers.items() if name.lower().endswith("etag")}
        normal = Response(normal.status, normal.headers | tags, normal.body)
    return normal


def _other_tag(tag: str) -> str:
    """Another entity tag of the same form: the digits of the given one backwards."""
    return f'"{tag.strip(chr(34))[::-1]}"'


def pieces(response: Response, fault: Fault) -> Iterator[tuple[int, bytes]]:
    """The body in pieces, each with its offset in the served object; every offset of the fault begins a piece."""
    if isinstance(response.body, bytes):
        yield 0, response.body
        return
    with response.body.path.open("rb") as stream:
        for start, end in _cuts(response.body, fault):
            yield start, _read(stream, start, end, fault)


def _cuts(body: FileBody, fault: Fault) -> Iterator[tuple[int, int]]:
    chunk = min(_CHUNK, max(1, fault.bytes_per_second // 10)) if fault.bytes_per_second else _CHUNK
    marks = [fault.truncate_at, fault.reset_at, fault.stall_at, body.end]
    start = body.start
    while start < body.end:
        end = min([start + chunk, *(mark for mark in marks if mark is not None and mark > start)])
        yield start, end
        start = end


def _read(stream: BinaryIO, start: int, end: int, fault: Fault) -> bytes:
    stream.seek(start)
    piece = bytearray(stream.read(end - start))
    if fault.corrupt_at is not None and start <= fault.corrupt_at < end:
        piece[fault.corrupt_at - start] ^= 0xFF
    return bytes(piece)
