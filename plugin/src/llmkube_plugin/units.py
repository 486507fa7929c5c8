"""Sizes, ages and durations as people write and read them."""

from __future__ import annotations

import re
from datetime import datetime, timezone

import click

_BINARY = ("B", "Ki", "Mi", "Gi", "Ti", "Pi")
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([EPTGMk]|[EPTGMK]i)?")
_DURATION = re.compile(r"([0-9]+)([smhd])")
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_FACTORS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def size(count: int | None) -> str:
    """Return a number of bytes in the largest binary unit it fills: `512B`, `4.1Gi`; `-` for None."""
    if count is None:
        return "-"
    value = float(count)
    for unit in _BINARY:
        if value < 1024 or unit == _BINARY[-1]:
            break
        value /= 1024
    digits = 0 if unit == "B" or value >= 100 else 1
    return f"{value:.{digits}f}{unit}"


def quantity(text: str | None) -> int | None:
    """Return the bytes of a Kubernetes quantity such as `20Gi`; None for one that is absent or no size."""
    match = _QUANTITY.fullmatch(text or "")
    return int(float(match[1]) * _FACTORS[match[2] or ""]) if match else None


def age(moment: datetime | None, now: datetime) -> str:
    """Return the time from `moment` to `now` in its largest unit: `45s`, `3m`, `5h`, `12d`; `-` for None."""
    if moment is None:
        return "-"
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, length in reversed(_SECONDS.items()):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return "0s"


def seconds(text: str) -> float | None:
    """Return the seconds of a length of time such as `90s`, `5m`, `12h` or `30d`; None for a text that is none."""
    match = _DURATION.fullmatch(text)
    return float(int(match[1]) * _SECONDS[match[2]]) if match else None


def span(seconds: int) -> str:
    """Return the time that something still takes, of nearly one width for bars: `42s`, `3m05s`, `2h04m`, `3d02h`."""
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    if seconds < 86400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02}m"
    return f"{seconds // 86400}d{seconds % 86400 // 3600:02}h"


def moment(text: str | None) -> datetime | None:
    """Return the time that an RFC 3339 text names, in UTC; None when there is none."""
    if not text:
        return None
    try:
        parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)


def timestamp(moment: datetime | None) -> str | None:
    """Return a time in UTC as RFC 3339 writes it, to the second; None for None."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def duration(seconds: float | None) -> str:
    """Return a length of time in its two largest units: `2.5s`, `3m 20s`, `1h 5m`, `2d 3h`; `-` for None."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    units = [(unit, length) for unit, length in reversed(_SECONDS.items()) if seconds >= length][:2]
    first = f"{int(seconds // units[0][1])}{units[0][0]}"
    rest = int(seconds % units[0][1] // units[1][1])
    return f"{first} {rest}{units[1][0]}" if rest else first


def now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(timezone.utc)


class Duration(click.ParamType[float]):
    """A length of time on the command line, in seconds: `90s`, `5m`, `12h`, `30d`."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the text; fail with the grammar when it is no duration."""
        if isinstance(value, (int, float)):
            return float(value)
        length = seconds(str(value))
        if length is None:
            self.fail(f"{value!r} is no duration; write 90s, 5m, 12h or 30d", param, ctx)
        return length


class Size(click.ParamType[int]):
    """A size on the command line, in bytes: `5Gi`, `500M`, `1024`."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the text; fail with the grammar when it is no size."""
        if isinstance(value, int):
            return value
        size = quantity(str(value))
        if size is None:
            self.fail(f"{value!r} is no size; write 5Gi, 500M or bytes", param, ctx)
        return size
