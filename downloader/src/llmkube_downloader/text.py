"""Reports as lines for people. A warm start prints one too: mind what is imported here."""

from __future__ import annotations

from llmkube_downloader.units import human_duration, human_size

TYPE_CHECKING = False  # typing itself takes too long to import
if TYPE_CHECKING:
    from typing import Any

_TITLES = ("KEY", "STATE", "SIZE", "FILES", "CREATED", "SOURCE")


def printable(text: str) -> str:
    """Return a text without control characters: names come from origins and volumes that others write."""
    return "".join(character if character.isprintable() else "?" for character in text)


def fetch_text(report: dict[str, Any]) -> str:
    """Return what a fetch came to; the last line is the path of the entry."""
    if report["result"] == "hit":
        summary = f"{report['key']} is there: {_content(report)}"
    else:
        rate = human_size(report["bytesFetched"] / max(report["seconds"], 0.001))
        summary = f"{report['key']} fetched: {_content(report)} in {human_duration(report['seconds'])}, {rate}/s"
    return f"{summary}, verified by {report['verified']}\n{report['entry']}"


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
    return "\n".join(lines) or "no entries"


def remove_text(report: dict[str, Any]) -> str:
    """Return what was removed."""
    return "\n".join(f"{removed['key']} removed: {human_size(removed['bytes'])}" for removed in report["removed"])


def doctor_text(report: dict[str, Any]) -> str:
    """Return one line per finding, with what to do below it."""
    lines = []
    for finding in report["findings"]:
        about = f" ({finding['object']})" if finding["object"] != report["root"] else ""
        lines.append(f"{finding['level']:<8} {finding['check']}: {finding['what']}{about}")
        lines += [f"{'':9}{finding['action']}"] if finding["action"] else []
    return "\n".join(map(printable, lines))


def _content(report: dict[str, Any]) -> str:
    count = len(report["files"])
    return f"{count} file{'s' if count > 1 else ''}, {human_size(report['bytesTotal'])}"


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    name = entry["key"] or entry["entry"].rpartition("/")[2]
    files = "" if entry["files"] is None else str(entry["files"])
    cells = (name, entry["state"], human_size(entry["bytes"]), files, entry["created"] or "", entry["source"] or "")
    return tuple(map(printable, cells))
