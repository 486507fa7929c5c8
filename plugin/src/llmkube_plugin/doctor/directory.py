"""What the downloader finds about a local directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkube_plugin import contract, local
from llmkube_plugin.doctor.finding import NOTE, PROBLEM, WARNING, Finding, merged

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from llmkube_plugin.kube import Object

CHECK = "volume"
_SEVERITIES = {"problem": PROBLEM, "warning": WARNING, "ok": NOTE}


def examine(directory: Path) -> list[Finding]:
    """Return what the downloader says of a directory."""
    report = local.find_downloader().run(local.existing(directory), ["doctor"], accept=contract.EXIT_NAMES)
    return merged(findings(report, str(directory)))


def findings(report: Object, place: str) -> Iterable[Finding]:
    """Return the findings of a downloader's report on a volume; `place` names it."""
    for found in report["findings"]:
        what = f"{found['check']}: {found['what']}"
        about = f" ({found['object']})" if found["object"] != report["root"] else ""
        causes = (
            f"The downloader ends with exit code {found['code']} ({contract.exit_name(found['code'])})."
            if found["code"]
            else ""
        )
        yield Finding(_SEVERITIES[found["level"]], (place,), what + about, causes, found["action"], check=CHECK)
