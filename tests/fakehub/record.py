"""What was asked for: kept in memory for assertions and written as JSON lines for people and other processes."""

import datetime as dt
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fakehub.exchange import Request


def fingerprint(credentials: str) -> str:
    """The first 12 hex digits of a credential's SHA-256: enough to recognise it, never enough to use it."""
    return hashlib.sha256(credentials.encode()).hexdigest()[:12]


def _now() -> str:
    return dt.datetime.now(dt.timezone.utc).isoformat()


@dataclass
class Record:
    """One request and what became of it.

    `path` has no query. `authorization` is a `fingerprint`. `status` is 0 until the answer began. `bytes` counts body
    bytes before they are handed to the network, never after.
    """

    listener: str
    method: str
    path: str
    range: str | None
    if_range: str | None
    authorization: str | None
    time: str = field(default_factory=_now)
    status: int = 0
    bytes: int = 0

    @classmethod
    def of(cls, request: Request) -> "Record":
        """Begin the record of a request."""
        return cls(
            listener=request.listener,
            method=request.method,
            path=request.path,
            range=request.headers.get("Range"),
            if_range=request.headers.get("If-Range"),
            authorization=None if request.credentials is None else fingerprint(request.credentials),
        )


class RequestLog:
    """All requests since the start or the last `clear`, in order of arrival.

    A request is listed before it is answered and its bytes are counted before they are sent: whoever has read an answer
    finds all of it here. Lines of the file are written when an answer ends.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._records: list[Record] = []
        self._file = file
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Record]:
        with self._lock:
            return iter(list(self._records))

    def __len__(self) -> int:
        return len(self._records)

    def begin(self, request: Request) -> Record:
        """List a request that has just arrived."""
        record = Record.of(request)
        with self._lock:
            self._records.append(record)
        return record

    def end(self, record: Record) -> None:
        """Write the line of a request that has been answered or broken off."""
        if self._file is not None:
            line = json.dumps(asdict(record)) + "\n"
            with self._lock, self._file.open("a", encoding="utf-8") as stream:
                stream.write(line)

    def of(self, listener: str | None = None, method: str | None = None, path: str | None = None) -> list[Record]:
        """The records of one listener (`hub` or `cdn`), method and exact path; None stands for any."""
        wanted = {"listener": listener, "method": method, "path": path}
        given = {name: value for name, value in wanted.items() if value is not None}
        return [record for record in self if all(getattr(record, name) == value for name, value in given.items())]

    def bytes_sent(self, listener: str | None = None) -> int:
        """Body bytes sent, by one listener or by both."""
        return sum(record.bytes for record in self.of(listener))

    def clear(self) -> None:
        """Forget all requests, in memory and in the file."""
        with self._lock:
            self._records.clear()
            if self._file is not None:
                self._file.write_text("", encoding="utf-8")
