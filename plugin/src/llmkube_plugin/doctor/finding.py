"""What a check comes to: what is wrong, with which objects, what it would cause, and the value to set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

PROBLEM = "problem"  # an install fails or hangs
WARNING = "warning"  # it may, or something works worse than it has to
NOTE = "note"  # nothing is wrong; or something could not be looked at
SEVERITIES = (PROBLEM, WARNING, NOTE)


@dataclass(frozen=True)
class Value:
    """A value of the chart: its path with dots, and what it could be, as JSON has it."""

    path: str
    example: Any


@dataclass(frozen=True)
class Finding:
    """One thing that somebody should know.

    `objects` are what it is about, each as `Kind name`; `what` is a sentence about them, `causes` what comes of it,
    `action` what to do about it, and `value` the chart's value that settles it, None when none does. `check` is the
    name of the check that found it.
    """

    severity: str
    objects: tuple[str, ...]
    what: str
    causes: str = ""
    action: str = ""
    value: Value | None = None
    check: str = ""


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings that say the same of several objects as one of all these, the worst first."""
    found: dict[tuple[Finding, str], Finding] = {}
    for finding in findings:
        # An example may be a list, which has no hash; the first one stands for all.
        same = (replace(finding, objects=(), value=None), finding.value.path if finding.value else "")
        first = found.setdefault(same, finding)
        found[same] = replace(first, objects=tuple(dict.fromkeys((*first.objects, *finding.objects))))
    return sorted(found.values(), key=lambda finding: SEVERITIES.index(finding.severity))


def named(names: Iterable[str]) -> str:
    """Return names as a sentence has them, `none` when there are none; of many the first ones."""
    listed = sorted(set(names))
    more = f" and {len(listed) - 5} more" if len(listed) > 6 else ""
    return ", ".join(listed[:5] if more else listed) + more or "none"
