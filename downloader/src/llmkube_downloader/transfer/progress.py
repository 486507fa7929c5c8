"""How far a fetch is: a bar on a terminal; elsewhere a line each second at first, and every few seconds later."""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from llmkube_downloader.text import printable
from llmkube_downloader.units import human_duration, human_size

if TYPE_CHECKING:
    from typing import TextIO

_BAR_SECONDS = 0.1
_FIRST_LINE_SECONDS = 1.0
_LINE_SECONDS = 5.0
_BAR_CELLS = 24
_SAMPLE_SECONDS = 1.0
_PACE_SECONDS = 30.0


class _Pace:
    """How fast bytes came in the last half minute: what counts for the time that is left, also after a stall."""

    def __init__(self, now: float, received: int) -> None:
        self._samples = deque([(now, received)])

    def note(self, now: float, received: int) -> None:
        if now - self._samples[-1][0] >= _SAMPLE_SECONDS:
            self._samples.append((now, received))
        while len(self._samples) > 1 and now - self._samples[1][0] >= _PACE_SECONDS:
            self._samples.popleft()

    def rate(self, now: float, received: int) -> float:
        """Return bytes per second."""
        since, before = self._samples[0]
        return (received - before) / max(now - since, 0.001)


class Meter:
    """Counts the bytes of a fetch and shows them on a stream.

    - done: bytes received and kept.
    - total: bytes in all, None while unknown.
    - received: bytes received, also those thrown away.
    - reused: bytes that an earlier attempt had received, or another entry has.
    """

    def __init__(self, stream: TextIO) -> None:
        self.done = 0
        self.total: int | None = None
        self.received = 0
        self.reused = 0
        self._stream = stream
        self._bar = stream.isatty()
        self._began = self._shown = monotonic()
        self._pace = _Pace(self._began, 0)
        self._bar_width = 0
        self._reason = ""
        # Reentrant: the signal that ends the process may find this thread inside, and says so on its way out.
        self._lock = threading.RLock()

    def begin(self, total: int | None, reused: int) -> None:
        """Start counting towards a total, of which some bytes are there already."""
        self.total = total
        self.done = self.reused = reused
        self._began = self._shown = monotonic()
        self._pace = _Pace(self._began, self.received)

    def advance(self, count: int, *, copied: bool = False) -> None:
        """Count bytes that were received, or copied on the volume; several threads do."""
        with self._lock:
            self.done += count
            if count:
                self._reason = ""
            if copied:
                self.reused += count
            else:
                self.received += count
            now = monotonic()
            self._pace.note(now, self.received)
            if now - self._shown >= self._interval(now):
                self._shown = now
                self._show(self._line(now))

    def tick(self) -> None:
        """Show that nothing arrives, when it is time to show something."""
        self.advance(0)

    def delay(self, reason: str) -> None:
        """Say why nothing arrives, now and with every line until something does."""
        self.say(reason)
        self._reason = reason

    def say(self, message: str) -> None:
        """Write a message on a line of its own."""
        with self._lock:
            self._erase_bar()
            self._stream.write(printable(message) + "\n")
            self._stream.flush()

    def end(self) -> None:
        """Leave the stream at the start of a line."""
        self._erase_bar()
        self._stream.flush()

    def progress(self) -> tuple[int, int | None]:
        """Return the bytes done and in all, as the heartbeat tells them to others."""
        return self.done, self.total

    def _interval(self, now: float) -> float:
        """Return after how many seconds there is something to show again: whoever waits for little sees it soon."""
        if self._bar:
            return _BAR_SECONDS
        return min(max(_FIRST_LINE_SECONDS, (now - self._began) / _LINE_SECONDS), _LINE_SECONDS)

    def _line(self, now: float) -> str:
        """Return what is done and how fast the rest comes; tests/contract/progress.yaml shows the forms."""
        rate = self._pace.rate(now, self.received)
        share = min(self.done / self.total, 1.0) if self.total else 0.0
        line = (
            f"{human_size(self.done)} of {human_size(self.total)} ({share:.0%})"
            if self.total
            else human_size(self.done)
        )
        if self._reason:
            return f"{line}; {printable(self._reason)}"
        line += f", {human_size(rate)}/s"
        if self.total and rate:
            line += f", {human_duration(max((self.total - self.done) / rate, 0.0))} left"
        if self.total and self._bar:
            filled = round(share * _BAR_CELLS)
            return f"[{'#' * filled}{'.' * (_BAR_CELLS - filled)}] {line}"
        return line

    def _show(self, line: str) -> None:
        if self._bar:
            self._erase_bar()
            self._bar_width = len(line)
            self._stream.write(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def _erase_bar(self) -> None:
        if self._bar_width:
            self._stream.write("\r" + " " * self._bar_width + "\r")
            self._bar_width = 0
