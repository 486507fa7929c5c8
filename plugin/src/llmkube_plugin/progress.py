"""Reads how far a download is from the lines that llmkube-downloader writes while it works."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SIZE = r"([0-9.]+ (?:B|KiB|MiB|GiB|TiB))"
# As tests/contract/progress.yaml shows them.
_LINE = re.compile(rf"{_SIZE}(?: of {_SIZE} \([0-9]+%\))?(?:; (.+)|, {_SIZE}/s(?:, ([0-9hms]+) left)?)")
_FACTORS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SECONDS = {"h": 3600, "m": 60, "s": 1}
_RETRY = re.compile(r"; trying again in [0-9hms]+(?:, at ([0-9:]+ UTC))? \([0-9]+ of [0-9]+\)$")
_RATE_LIMITED = re.compile(r"\b429\b")
_OTHER_POD = re.compile(r"(.+) fetches the same; waiting since ([0-9hms]+)")


@dataclass(frozen=True)
class Progress:
    """How far a download is: bytes done and in all, bytes per second, seconds left, and why nothing arrives.

    What the line does not say is None, or empty for the reason.
    """

    done: int
    total: int | None = None
    rate: int | None = None
    left: int | None = None
    reason: str = ""

    @property
    def share(self) -> float | None:
        """The part that is done, from 0 to 1; None while the whole is not known."""
        return min(self.done / self.total, 1.0) if self.total else None


def parse(line: str) -> Progress | None:
    """Return what a line says of progress; None for a line that says something else."""
    match = _LINE.fullmatch(line.strip())
    if match is None:
        return None
    done, total, reason, rate, left = match.groups()
    return Progress(
        _bytes(done),
        _bytes(total) if total else None,
        _bytes(rate) if rate else None,
        _seconds(left) if left else None,
        in_short(reason) if reason else "",
    )


def in_short(message: str) -> str:
    """Return why nothing arrives, as short as a line of a terminal wants it, from what the downloader says at length.

    A message that is of no known form is returned as it is.
    """
    other = _OTHER_POD.fullmatch(message)
    if other:
        return f"waiting for {other[1]}, which downloads the same"
    again = _RETRY.search(message)
    if again is None:
        return message
    cause, end = message[: again.start()], again[1]
    if _RATE_LIMITED.search(cause) and end:
        return f"rate limited until {end}"
    return f"{cause}; trying again at {end}" if end else f"{cause}; trying again"


def _bytes(text: str) -> int:
    number, unit = text.split()
    return int(float(number) * _FACTORS[unit])


def _seconds(text: str) -> int:
    return sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"([0-9]+)([hms])", text))
