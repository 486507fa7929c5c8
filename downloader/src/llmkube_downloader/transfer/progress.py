"""How far a fetch is: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

from llmkube_downloader.text import printable
from llmkube_downloader.units import human_duration, human_size

if TYPE_CHECKING:
    from typing import TextIO

_BAR_SECONDS = 0.1
_LINE_SECONDS = 5.0
_BAR_CELLS = 24


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
        self._bar_width = 0
        self._reason = ""
        # Reentrant: the signal that ends the process may find this thread inside, and says so on its way out.
        self._lock = threading.RLock()

    def begin(self, total: int | None, reused: int) -> None:
        """Start counting towards a total, of which some bytes are there already."""
        self.total = total
        self.done = self.reused = reused
        self._began = self._shown = monotonic()

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
            if now - self._shown >= (_BAR_SECONDS if self._bar else _LINE_SECONDS):
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

    def _line(self, now: float) -> str:
        rate = self.received / max(now - self._began, 0.001)
        if not self.total:
            return f"{human_size(self.done)}, {human_size(rate)}/s"
        remaining = (self.total - self.done) / rate if rate else 0.0
        share = min(self.done / self.total, 1.0)
        if self._reason:
            return f"{human_size(self.done)} of {human_size(self.total)} ({share:.0%}); {printable(self._reason)}"
        numbers = f"{human_size(self.done)} of {human_size(self.total)} ({share:.0%}), {human_size(rate)}/s"
        line = f"{numbers}, {human_duration(max(remaining, 0.0))} left"
        if self._bar:
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
