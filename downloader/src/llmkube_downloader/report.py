"""The result of a command as JSON: docs/downloader.md describes it, tests/contract/report.schema.json checks it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from llmkube_downloader.errors import DownloaderError
    from llmkube_downloader.store.manifest import Manifest
    from llmkube_downloader.store.volume import Usage

SCHEMA = 1
# What Kubernetes keeps of a termination message.
REPORT_BYTES = 4096
_LONGEST_TEXT = 4096


@dataclass(frozen=True)
class Outcome:
    """What a fetch came to.

    - result: ``hit`` when the entry was there, also when another pod put it there while we waited; ``fetched`` else.
    - entry: absolute path of the entry.
    - manifest: what it holds.
    - bytes_fetched: bytes received from the origin, also those thrown away.
    - seconds: how long it took.
    - requests: requests sent to the origin.
    - volume: space on the volume afterwards.
    - bytes_reused: bytes that were there already.
    """

    result: str
    entry: Path
    manifest: Manifest
    bytes_fetched: int
    seconds: float
    requests: int
    volume: Usage
    bytes_reused: int

    def to_json(self) -> dict[str, Any]:
        """Return the report."""
        manifest = self.manifest
        return {
            "schema": SCHEMA,
            "result": self.result,
            "key": manifest.key,
            "entry": str(self.entry),
            "source": manifest.source,
            "revision": manifest.revision,
            "files": [{"path": file.path, "size": file.size, "sha256": file.sha256} for file in manifest.files],
            "bytesTotal": manifest.size,
            "bytesFetched": self.bytes_fetched,
            "bytesReused": self.bytes_reused,
            "seconds": round(self.seconds, 3),
            "verified": manifest.verified,
            "requests": self.requests,
            "volume": usage_json(self.volume),
        }


def usage_json(usage: Usage) -> dict[str, int]:
    """Return the space on a volume as reports show it, in bytes."""
    return {"total": usage.total, "free": usage.free}


def error_json(error: DownloaderError) -> dict[str, Any]:
    """Return the report of a failure."""
    return {
        "schema": SCHEMA,
        "error": {
            "code": int(error.code),
            "name": error.code.label,
            "cause": error.cause,
            "action": error.action,
        },
    }


def dump(report: dict[str, Any]) -> str:
    """Return a report as one line."""
    return json.dumps(report, separators=(",", ":"))


def dump_short(report: dict[str, Any]) -> str:
    """Return a report as one line of at most REPORT_BYTES - 1 bytes, which leaves room for a line feed.

    Files are left out from the end until it fits, ``filesOmitted`` then says how many; a failure's texts are cut.
    """
    text = dump(report)
    if "error" in report:
        longest = _LONGEST_TEXT
        while len(text) >= REPORT_BYTES:
            longest //= 2
            error = report["error"]
            text = dump({**report, "error": {**error, **{name: error[name][:longest] for name in ("cause", "action")}}})
        return text
    files = report["files"]
    kept = len(files)
    while len(text) >= REPORT_BYTES and kept:
        kept = min(kept - 1, kept * REPORT_BYTES // len(text))
        text = dump({**report, "files": files[:kept], "filesOmitted": len(files) - kept})
    return text


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write a report into a file, in place: a container's termination log can not be replaced.

    Raises OSError: when that is not possible.
    """
    path.write_text(dump_short(report) + "\n", encoding="ascii")
