"""What is asked and what is answered: plain values, independent of sockets."""

import json
from dataclasses import dataclass, field, replace
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True)
class Request:
    """One HTTP request.

    `raw_path` is the path as sent, without the query; `path` is the same percent-decoded.
    """

    listener: str
    method: str
    raw_path: str
    query: list[tuple[str, str]]
    headers: Message
    body: bytes = b""

    @classmethod
    def parse(cls, listener: str, method: str, target: str, headers: Message, body: bytes) -> "Request":
        """Split a request target into path and query."""
        parts = urlsplit(target)
        return cls(listener, method, parts.path, parse_qsl(parts.query, keep_blank_values=True), headers, body)

    @property
    def path(self) -> str:
        """The percent-decoded path."""
        return unquote(self.raw_path)

    @property
    def target(self) -> str:
        """The decoded path and, after a question mark, the decoded query."""
        return "?".join(filter(None, [self.path, "&".join(f"{key}={value}" for key, value in self.query)]))

    def without(self, *names: str) -> "Request":
        """The same request without some headers."""
        kept = Message()
        for name, value in self.headers.items():
            if name.lower() not in {header.lower() for header in names}:
                kept[name] = value
        return replace(self, headers=kept)

    @property
    def segments(self) -> list[str]:
        """The path's segments, decoded one by one, so that an encoded slash stays inside its segment."""
        return [unquote(segment) for segment in self.raw_path.split("/") if segment]

    def parameter(self, name: str) -> str | None:
        """The first value of a query parameter, or None."""
        return next((value for key, value in self.query if key == name), None)

    def flag(self, name: str) -> bool:
        """Whether a query parameter says yes, in any spelling clients use."""
        return (self.parameter(name) or "").lower() in {"1", "true"}

    @property
    def credentials(self) -> str | None:
        """What follows the scheme in the Authorization header, or None without one."""
        header = self.headers.get("Authorization")
        return None if header is None else header.partition(" ")[2].strip()


@dataclass(frozen=True)
class FileBody:
    """Bytes `start` (inclusive) to `end` (exclusive) of a file."""

    path: Path
    start: int
    end: int


@dataclass
class Response:
    """One HTTP response; Content-Length is derived from the body unless a header says otherwise."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | FileBody = b""

    @property
    def start(self) -> int:
        """Offset in the served object of the body's first byte."""
        return self.body.start if isinstance(self.body, FileBody) else 0

    @property
    def length(self) -> int:
        """Length of the body in bytes."""
        return self.body.end - self.body.start if isinstance(self.body, FileBody) else len(self.body)

    @classmethod
    def json(cls, document: Any, status: int = 200, headers: dict[str, str] | None = None) -> "Response":
        """Answer with a JSON document."""
        content_type = {"Content-Type": "application/json; charset=utf-8"}
        return cls(status, content_type | (headers or {}), json.dumps(document).encode())

    @classmethod
    def text(cls, body: str, status: int, content_type: str = "text/plain; charset=utf-8") -> "Response":
        """Answer with text."""
        return cls(status, {"Content-Type": content_type}, body.encode())
