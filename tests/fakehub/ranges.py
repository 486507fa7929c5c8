"""Range requests and validators, as RFC 9110 has them."""

import re
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

from fakehub.exchange import FileBody, Request, Response

_SINGLE_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)", re.ASCII)


@dataclass(frozen=True)
class Served:
    """A file to be served: where it is, its size, its quoted strong entity tag and its modification time."""

    path: Path
    size: int
    etag: str
    modified: float

    @property
    def last_modified(self) -> str:
        """The modification time as an HTTP date."""
        return formatdate(self.modified, usegmt=True)


def requested_range(request: Request) -> tuple[int | None, int | None] | None:
    """First and last byte of a GET's single byte range, or None when there is none to honour.

    Several ranges at once are ignored, which the standard allows. `(None, n)` means the last n bytes.
    """
    match = _SINGLE_RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    if request.method != "GET" or match is None or match[0] == "bytes=-":
        return None
    first, last = (int(text) if text else None for text in match.group("first", "last"))
    if first is not None and last is not None and last < first:
        return None
    return first, last


def serve(request: Request, served: Served, headers: dict[str, str]) -> Response:
    """Answer a GET or HEAD for a file: 200, 206, 304 or 416."""
    headers = {
        "Content-Type": "application/octet-stream",
        **headers,
        "Accept-Ranges": "bytes",
        "ETag": served.etag,
        "Last-Modified": served.last_modified,
    }
    if _unchanged(request, served):
        return Response(304, headers)
    wanted = requested_range(request)
    if wanted is None or not _range_applies(request, served):
        return Response(200, headers, FileBody(served.path, 0, served.size))
    start, end = _bounds(*wanted, served.size)
    if start >= end:
        return Response(416, headers | {"Content-Range": f"bytes */{served.size}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{served.size}"
    return Response(206, headers, FileBody(served.path, start, end))


def _bounds(first: int | None, last: int | None, size: int) -> tuple[int, int]:
    """The half-open interval a range asks for; empty when it can not be satisfied."""
    if first is None:
        return max(0, size - (last or 0)), size
    return first, size if last is None else min(last + 1, size)


def _range_applies(request: Request, served: Served) -> bool:
    """Whether If-Range, if any, holds: by strong comparison, or by exact date."""
    condition = request.headers.get("If-Range")
    if condition is None:
        return True
    if condition.startswith(('"', "W/")):
        return condition == served.etag
    try:
        return parsedate_to_datetime(condition) == parsedate_to_datetime(served.last_modified)
    except ValueError:
        return False


def _unchanged(request: Request, served: Served) -> bool:
    """Whether If-None-Match names what is served, by weak comparison."""
    header = request.headers.get("If-None-Match", "")
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in tags or served.etag in tags
