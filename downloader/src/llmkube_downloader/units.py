"""Sizes and durations as people write and read them.

A warm start writes some, but reads none: what only reading needs is imported there.
"""

from __future__ import annotations

_SIZE = r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>[KMGTP]i?)?B?"
_DURATION = r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>[smhd])?"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_size(text: str) -> int:
    """Return the bytes of ``5Gi``, ``500M`` or ``1048576``.

    Raises ValueError: when the text is no size.
    """
    import re

    match = re.fullmatch(_SIZE, text.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError(f"{text!r} is no size; write 5Gi, 500M or a number of bytes")
    unit = (match["unit"] or "").lower()
    base = 1024 if unit.endswith("i") else 1000
    power = " kmgtp".index(unit[0]) if unit else 0
    return int(float(match["number"]) * base**power)


def parse_duration(text: str) -> float:
    """Return the seconds of ``90s``, ``12h``, ``30d`` or ``90``.

    Raises ValueError: when the text is no duration.
    """
    import re

    match = re.fullmatch(_DURATION, text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no duration; write 90s, 15m, 12h or 30d")
    return float(match["number"]) * _SECONDS[match["unit"] or "s"]


def human_size(size: float) -> str:
    """Return a size such as ``4.2 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def human_duration(seconds: float) -> str:
    """Return a duration such as ``42s``, ``3m05s`` or ``2h04m``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"
