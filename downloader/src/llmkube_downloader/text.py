"""Reports as lines for people. A warm start prints one too: mind what is imported here."""

from __future__ import annotations

from llmkube_downloader.units import human_duration, human_size

TYPE_CHECKING = False  # typing itself takes too long to import
if TYPE_CHECKING:
    from typing import Any


def printable(text: str) -> str:
    """Return a text without control characters: names come from origins and volumes that others write."""
    return "".join(character if character.isprintable() else "?" for character in text)


def fetch_text(report: dict[str, Any]) -> str:
    """Return what a fetch came to; the last line is the path of the entry."""
    if report["result"] == "hit":
        summary = f"{report['key']} is there: {_content(report)}"
    elif report["result"] == "adopted":
        summary = f"{report['key']} was there and is adopted: {_content(report)}"
    else:
        rate = human_size(report["bytesFetched"] / max(report["seconds"], 0.001))
        summary = f"{report['key']} fetched: {_content(report)} in {human_duration(report['seconds'])}, {rate}/s"
    return f"{summary}, verified by {report['verified']}\n{report['entry']}"


def adopt_text(report: dict[str, Any]) -> str:
    """Return one line per entry, and what was left where it is with the reason below it."""
    lines = []
    for entry in report["adopted"]:
        copied = human_size(entry["bytesCopied"]) if entry["bytesCopied"] else "nothing"
        done = {"adopted": f"adopted, {copied} copied", "planned": f"to be adopted, {copied} to be copied"}
        content = f"{entry['files']} file{'s' if entry['files'] > 1 else ''}, {human_size(entry['bytes'])}"
        lines.append(f"{entry['key']}  {done.get(entry['result'], 'is there')}: {content}, {entry['source']}")
    for left in report["left"]:
        lines += [f"left: {left['cause']} ({left['from']})", f"  {left['action']}"]
    return "\n".join(map(printable, lines)) or "nothing to adopt"


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
