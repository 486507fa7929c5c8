"""The result of a command as JSON: docs/downloader.md describes it, tests/contract/report.schema.json checks it.

A warm start reports too: mind what is imported here.
"""

from __future__ import annotations

from llmkube_downloader.light import dumps

TYPE_CHECKING = False  # typing itself takes too long to import
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from llmkube_downloader.errors import DownloaderError
    from llmkube_downloader.store.manifest import Manifest
    from llmkube_downloader.store.volume import Usage

SCHEMA = 1
# What Kubernetes keeps of a termination message.
REPORT_BYTES = 4096
_LONGEST_TEXT = 4096


class Outcome:
    """What a fetch came to.

    - result: ``hit`` when the entry was there, also when another pod put it there while we waited; ``refreshed`` when a
      newer content was fetched beside it; ``adopted`` when others had put it there, and it is what its origin has;
      ``fetched`` else.
    - entry: absolute path of the entry.
    - manifest: what it holds.
    - bytes_fetched: bytes received from the origin, also those thrown away.
    - seconds: how long it took.
    - requests: requests sent to the origin.
    - volume: space on the volume afterwards.
    - bytes_reused: bytes that were there already.
    - stale: whether a newer content was asked for, and nobody could be asked.
    """

    def __init__(
        self,
        result: str,
        entry: Path,
        manifest: Manifest,
        bytes_fetched: int,
        seconds: float,
        requests: int,
        volume: Usage,
        bytes_reused: int,
        *,
        stale: bool = False,
    ) -> None:
        self.result = result
        self.entry = entry
        self.manifest = manifest
        self.bytes_fetched = bytes_fetched
        self.seconds = seconds
        self.requests = requests
        self.volume = volume
        self.bytes_reused = bytes_reused
        self.stale = stale

    def to_json(self) -> dict[str, Any]:
        """Return the report."""
        fields = {**vars(self.manifest), "files": [vars(file) for file in self.manifest.files]}
        work = {"fetched": self.bytes_fetched, "reused": self.bytes_reused, "requests": self.requests}
        report = fetch_json(self.result, str(self.entry), fields, work, self.seconds, usage_json(self.volume))
        return {**report, "stale": True} if self.stale else report


def fetch_json(
    result: str, entry: str, manifest: dict[str, Any], work: dict[str, int], seconds: float, volume: dict[str, int]
) -> dict[str, Any]:
    """Return the report of a fetch.

    - manifest: its fields.
    - work: bytes ``fetched`` and ``reused``, and ``requests``.
    """
    files = manifest["files"]
    return {
        "schema": SCHEMA,
        "result": result,
        "key": manifest["key"],
        "entry": entry,
        "source": manifest["source"],
        "revision": manifest["revision"],
        "files": [{"path": file["path"], "size": file["size"], "sha256": file["sha256"]} for file in files],
        "bytesTotal": sum(file["size"] for file in files),
        "bytesFetched": work["fetched"],
        "bytesReused": work["reused"],
        "seconds": round(seconds, 3),
        "verified": "sha256" if all(file["verified"] == "sha256" for file in files) else "size",
        "requests": work["requests"],
        "volume": volume,
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
    return dumps(report)


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


def write_report(path: Path | str, report: dict[str, Any]) -> None:
    """Write a report into a file, in place: a container's termination log can not be replaced.

    Raises OSError: when that is not possible.
    """
    with open(path, "wb") as file:  # noqa: PTH123 - pathlib takes too long to import
        file.write((dump_short(report) + "\n").encode("ascii"))
