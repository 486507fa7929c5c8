"""Faults: which requests they hit, and what they do to the answers."""

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fakehub.exchange import FileBody, Request, Response

_OFFSETS = ("truncate_at", "reset_at", "corrupt_at", "stall_at")


@dataclass(frozen=True)
class Fault:
    """One line of the fault table. Everything left out matches everything, or does nothing.

    Which requests: `listener` is `hub` or `cdn`; `path` is a regular expression searched in the decoded path and query;
    `nth` (from 1) and `times` choose among the requests that match the rest. `nth` alone is that one request, `times`
    alone is the first so many, neither is all of them.

    What happens: with `status` the answer is that, with `headers` and the text `body`; without, `headers` are set on
    the normal answer (None removes one). `delay` waits that many seconds before the answer. `html` answers 200 with a
    web page, as captive portals do. `ignore_range` makes the server forget the Range header; `change_etag` makes it
    announce other entity tags, as if the object had been replaced. `bytes_per_second` limits the rate.

    `truncate_at` (close), `reset_at` (TCP reset) and `stall_at` (wait for `FaultTable.release`, then go on) happen
    before the byte at that offset *in the served object* is sent, `corrupt_at` inverts that byte. Such a fault matches
    only answers that carry the byte, so it hits the same byte however a client splits its requests.
    """

    listener: str | None = None
    method: str | None = None
    path: str | None = None
    nth: int | None = None
    times: int | None = None

    status: int | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: str | None = None
    delay: float = 0
    html: bool = False
    ignore_range: bool = False
    change_etag: bool = False
    bytes_per_second: int | None = None
    truncate_at: int | None = None
    reset_at: int | None = None
    corrupt_at: int | None = None
    stall_at: int | None = None

    def __post_init__(self) -> None:
        """Refuse what could never match."""
        if self.listener not in (None, "hub", "cdn"):
            raise ValueError(f"listener {self.listener!r} of a fault must be 'hub' or 'cdn'")
        if self.nth is not None and self.nth < 1:
            raise ValueError(f"nth {self.nth} of a fault must be at least 1, the first matching request")
        try:
            re.compile(self.path or "")
        except re.error as error:
            raise ValueError(f"path {self.path!r} of a fault must be a regular expression: {error}") from error

    @classmethod
    def from_json(cls, document: Any) -> "Fault":
        """Build a fault from its JSON form, an object with the fields' names; ValueError on any other name."""
        known = {item.name for item in fields(cls)}
        if not isinstance(document, dict) or not document.keys() <= known:
            raise ValueError(f"a fault is an object with keys among {', '.join(sorted(known))}, not {document!r}")
        return cls(**document)

    @classmethod
    def merged(cls, faults: Iterable["Fault"]) -> "Fault":
        """One fault that does what all of them do; where two differ about a field, the earlier one wins."""
        merged: dict[str, Any] = {"headers": {}}
        for fault in faults:
            merged["headers"] = {**fault.headers, **merged["headers"]}
            merged = {**fault.to_json(), **merged}
        return cls(**merged)

    def to_json(self) -> dict[str, Any]:
        """The fields that say something."""
        untouched = asdict(Fault())
        return {name: value for name, value in asdict(self).items() if value != untouched[name]}

    def matches(self, request: Request, response: Response) -> bool:
        """Whether a request, which would be answered so, is one of those that `nth` and `times` count."""
        return (
            self.listener in (None, request.listener)
            and self.method in (None, request.method)
            and re.search(self.path or "", request.target) is not None
            and self._carried_by(request, response)
        )

    def _carried_by(self, request: Request, response: Response) -> bool:
        offsets = [getattr(self, name) for name in _OFFSETS if getattr(self, name) is not None]
        if not offsets:
            return True
        body = response.body
        return (
            request.method == "GET"
            and isinstance(body, FileBody)
            and any(body.start <= offset < body.end for offset in offsets)
        )

    def acts_on(self, ordinal: int) -> bool:
        """Whether the fault acts on the matching request of this number, from 1."""
        first = self.nth or 1
        times = 1 if self.times is None and self.nth is not None else self.times
        return ordinal >= first and (times is None or ordinal < first + times)


class FaultTable:
    """The faults in force; safe to change while requests are served."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._seen: list[int] = []
        self._condition = threading.Condition()
        self._stalled = 0
        self._releases = 0
        self._closed = False

    def add(self, fault: Fault) -> Fault:
        """Put a fault in force."""
        with self._condition:
            self._faults.append(fault)
            self._seen.append(0)
        return fault

    def clear(self) -> None:
        """Put no fault in force, and let every stalled answer go on."""
        with self._condition:
            self._faults.clear()
            self._seen.clear()
        self.release()

    def describe(self) -> dict[str, Any]:
        """The table in JSON form, with how many requests each fault matched, and how many answers are stalled now."""
        with self._condition:
            faults = [fault.to_json() | {"matched": seen} for fault, seen in zip(self._faults, self._seen, strict=True)]
            return {"faults": faults, "stalled": self._stalled}

    def strike(self, request: Request, response: Response) -> list[Fault]:
        """Count a request against every fault it matches and return those that act on it."""
        with self._condition:
            return list(self._acting(request, response))

    def _acting(self, request: Request, response: Response) -> Iterable[Fault]:
        for index, fault in enumerate(self._faults):
            if fault.matches(request, response):
                self._seen[index] += 1
                if fault.acts_on(self._seen[index]):
                    yield fault

    def release(self) -> None:
        """Let every answer that is stalled now go on."""
        with self._condition:
            self._releases += 1
            self._condition.notify_all()

    def close(self) -> None:
        """End every wait, now and from now on: the hub is closing."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def wait_until_stalled(self, timeout: float = 30) -> None:
        """Wait until an answer is stalled; TimeoutError when none is in `timeout` seconds."""
        with self._condition:
            if not self._condition.wait_for(lambda: self._stalled > 0, timeout):
                raise TimeoutError(f"no answer stalled within {timeout} s")

    def stall(self) -> None:
        """Wait until released or closed."""
        with self._condition:
            release = self._releases
            self._stalled += 1
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._closed or self._releases > release)
            self._stalled -= 1

    def pause(self, seconds: float) -> None:
        """Wait so long, or until closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed, seconds)
