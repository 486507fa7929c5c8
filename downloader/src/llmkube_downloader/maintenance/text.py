"""What was found, removed and kept, as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkube_downloader.text import printable
from llmkube_downloader.units import human_size

if TYPE_CHECKING:
    from collections.abc import Sequence

_TITLES = ("KEY", "STATE", "SIZE", "FILES", "CREATED", "LAST-USED", "USERS", "PINNED", "SOURCE")
_WHY = {
    "attempt": "an attempt that nobody went on with",
    "damaged": "a damaged copy",
    "superseded": "a superseded generation",
    "older-than": "not used since {lastUsed}",
    "unused": "used by nobody, last {lastUsed}",
    "max-bytes": "last used {lastUsed}, above --max-bytes",
    "min-free": "last used {lastUsed}, for --min-free",
}


def list_text(report: dict[str, Any]) -> str:
    """Return a table of entries, and what is free on the volume."""
    rows = [_TITLES] + [_row(entry) for entry in report["entries"]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    volume = report["volume"]
    space = f"{human_size(volume['free'])} free of {human_size(volume['total'])} on {report['root']}"
    return "\n".join([*(lines if report["entries"] else ["no entries"]), "", space])


def verify_text(report: dict[str, Any]) -> str:
    """Return one line per entry, with its problems below it."""
    lines = []
    for entry in report["entries"]:
        lines.append(f"{entry['key']}  {entry['state']}  {human_size(entry['bytes'])}")
        lines += [printable(f"  {problem['path']} {problem['problem']}") for problem in entry["problems"]]
        if "repaired" in entry:
            lines.append(f"  repaired, {human_size(entry['repaired']['bytesFetched'])} fetched")
    return "\n".join(lines) or "no entries"


def remove_text(report: dict[str, Any]) -> str:
    """Return what was removed."""
    lines = [f"{removed['key']} removed: {human_size(removed['bytes'])}" for removed in report["removed"]]
    return "\n".join(lines + _pending(report))


def forced_text(key: str, harmed: Sequence[str]) -> str:
    """Return what removing a key by force may break."""
    return (
        f"{key} is removed although it is in use: {'; '.join(harmed)}. A server that has it open may crash (on NFS it "
        "does), one that starts finds nothing, and a fetch of it fails."
    )


def prune_text(report: dict[str, Any]) -> str:
    """Return what was or would be removed and why, what is missing, and what is free then."""
    would = report["dryRun"]
    lines = [
        f"{_name(item)} {'would be removed' if would else 'removed'}: {human_size(item['bytes'])}, "
        f"{_WHY[item['reason']].format_map(item)}"
        for item in report["removed"]
    ]
    lines += [f"{_name(item)} kept: {item['cause']}" for item in report["kept"]]
    for field, flag in (("overBytes", "--max-bytes"), ("shortBytes", "--min-free")):
        if field in report:
            lines.append(
                f"{human_size(report[field])} more would have to go for {flag}: all else is used, pinned or fetched"
            )
    volume = report["volume"]
    freed = f"{human_size(report['bytes'])} {'would be freed' if would else 'freed'}"
    space = f"{human_size(volume['free'])} free of {human_size(volume['total'])} on {report['root']}"
    return "\n".join([*lines, *_pending(report), f"{freed}; {space}"])


def _name(item: dict[str, Any]) -> str:
    return str(item["entry"]).rpartition("/")[2] if item["kind"] in ("entry", "superseded") else str(item["key"])


def _pending(report: dict[str, Any]) -> list[str]:
    pending = report.get("pendingBytes")
    return [f"{human_size(pending)} of it follow when the file server lets them go"] if pending else []


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    directory = entry["entry"].rpartition("/")[2]
    # A damaged copy and an attempt lie elsewhere; a later generation is named by more than its key.
    name = directory if not entry["key"] or directory.startswith(f"{entry['key']}-") else entry["key"]
    cells = (
        name,
        entry["state"],
        human_size(entry["bytes"]),
        "" if entry["files"] is None else str(entry["files"]),
        entry["created"] or "",
        entry["lastUsed"] or "",
        str(entry["users"] or ""),
        "yes" if entry["pinned"] else "",
        entry["source"] or "",
    )
    return tuple(map(printable, cells))
