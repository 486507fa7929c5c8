from __future__ import annotations

import pytest

from llmkube_plugin import pods


@pytest.mark.parametrize(
    ("log", "report"),
    [
        ('{"schema":1,"x":2}', {"schema": 1, "x": 2}),
        ('fetching\n{"schema":1,"x":2}\ndone\n', {"schema": 1, "x": 2}),
        ('{not json}\n{"other":1}\n{\n  "schema": 1\n}\n', {"schema": 1}),
        ("nothing of the kind", {}),
        ("", {}),
        ('{"schema":1,"cut', {}),
    ],
)
def test_a_report_is_found_between_messages(log: str, report: dict[str, int]) -> None:
    assert pods.parse_report(log) == report
