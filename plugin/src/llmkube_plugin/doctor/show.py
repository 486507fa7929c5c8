"""How findings look: text for people, and the document of `-o json` and `-o yaml`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmkube_plugin.doctor.checks import CHECKS
from llmkube_plugin.doctor.finding import SEVERITIES
from llmkube_plugin.render import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from llmkube_plugin.doctor.finding import Finding
    from llmkube_plugin.output import Output


def show(findings: Sequence[Finding], place: str, output: Output, unread: Collection[str]) -> None:
    """Print findings; `place` says in words what was examined, `unread` names the checks that could not read all."""
    if not output.for_people:
        output.document(document(findings, place), list(dict.fromkeys(each.check for each in findings)))
        return
    for finding in findings:
        output.text(_text(finding))
    if output.form == "wide":
        others = {*(finding.check for finding in findings), *unread}
        output.text("fine: " + ", ".join(check.name for check in CHECKS if check.name not in others))
    output.text(f"{place}: {summary(findings)}")


def _text(finding: Finding) -> str:
    """Return a finding as a headline, and sentences below it."""
    lines = [f"{finding.severity.upper()} {finding.check}: {', '.join(finding.objects)}", finding.what, finding.causes]
    if finding.value:
        lines.append(f"Set {finding.value.path}: {json.dumps(finding.value.example, ensure_ascii=False)}")
    head, *rest = filter(None, [*lines, finding.action])
    return "\n  ".join([head, *rest])


def summary(findings: Sequence[Finding]) -> str:
    """Return how many findings of each severity there are, in words."""
    counts = [(sum(each.severity == severity for each in findings), severity) for severity in SEVERITIES]
    told = [f"{count} {severity}{'s' if count > 1 else ''}" for count, severity in counts if count]
    return ", ".join(told) or "nothing found"


def document(findings: Sequence[Finding], place: str) -> dict[str, Any]:
    """Return findings for a program."""
    return {
        "schema": SCHEMA,
        "examined": place,
        "problems": sum(each.severity == SEVERITIES[0] for each in findings),
        "findings": [_finding(each) for each in findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    value = {"path": finding.value.path, "example": finding.value.example} if finding.value else None
    return {
        "severity": finding.severity,
        "check": finding.check,
        "objects": [dict(zip(("kind", "name"), each.split(" ", 1), strict=False)) for each in finding.objects],
        "what": finding.what,
        "causes": finding.causes or None,
        "action": finding.action or None,
        "value": value,
    }
