"""What a person at a terminal is asked before anything goes, and what becomes of each answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import releases

if TYPE_CHECKING:
    from pathlib import Path

    from fake_kubernetes import FakeKubernetes, Script

    from conftest import Open

KEY = releases.TINY_KEY
CLEAR, PRUNE = ("cache", "clear", KEY), ("cache", "prune", "--unused")
QUESTION = "Remove 1 entry, 4.9Ki? [y/N] "


@pytest.fixture
def web(cluster: FakeKubernetes) -> FakeKubernetes:
    """Put a release into the cluster whose volume holds one entry."""
    cluster.add(*releases.serving())
    gone = {
        "key": KEY,
        "entry": f"/models/{KEY}",
        "kind": "entry",
        "reason": "unused",
        "lastUsed": "2026-01-01T00:00:00Z",
    }
    answers: dict[str, Script] = {
        "list": releases.volume(releases.on_volume(KEY)),
        "remove": releases.maintenance_says({"schema": 1, "removed": [{"key": KEY, "bytes": 5000}]}),
        "prune": releases.maintenance_says({"schema": 1, "removed": [{**gone, "bytes": 5000}], "bytes": 5000}),
    }
    cluster.plays = lambda job: answers[arguments(job)[0]]
    return cluster


def arguments(job: dict[str, Any]) -> list[str]:
    found: list[str] = job["spec"]["template"]["spec"]["containers"][0]["args"]
    return found


def changes(cluster: FakeKubernetes) -> list[str]:
    """Return the verbs of the Jobs that changed something."""
    made = map(arguments, cluster.created("jobs"))
    return [line[0] for line in made if line[0] != "list" and "--dry-run" not in line]


@pytest.mark.parametrize(("command", "verb"), [(CLEAR, "remove"), (PRUNE, "prune")])
def test_yes_removes_what_was_shown(web: FakeKubernetes, terminal: Open, command: Any, verb: str) -> None:
    with terminal(*command) as shown:
        assert KEY in shown.until(QUESTION)
        assert changes(web) == []
        shown.send("y\n")
        assert shown.end() == 0

    assert shown.lines[-3:] == [QUESTION + "y", "Removed 1 entry, freed 4.9Ki.", ""]
    assert changes(web) == [verb]


@pytest.mark.parametrize("command", [CLEAR, PRUNE])
@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"], ids=["no", "nothing", "the end of input"])
def test_every_other_answer_removes_nothing(web: FakeKubernetes, terminal: Open, command: Any, answer: str) -> None:
    with terminal(*command) as shown:
        shown.until(QUESTION)
        shown.send(answer)
        assert shown.end() == 1

    assert shown.shown.endswith("\nNothing was removed.\n")
    assert changes(web) == []


def test_what_is_no_answer_is_asked_again(web: FakeKubernetes, terminal: Open) -> None:
    with terminal(*CLEAR) as shown:
        shown.until(QUESTION)
        shown.send("yep\n")
        assert "Please answer y or n." in shown.until(QUESTION)
        shown.send("no\n")
        assert shown.end() == 1

    assert changes(web) == []


def test_with_the_result_in_a_file_the_question_is_still_asked_and_not_in_it(
    web: FakeKubernetes, terminal: Open, tmp_path: Path
) -> None:
    out = tmp_path / "result.json"

    with terminal(*CLEAR, "-o", "json", output=out) as shown:
        shown.until(QUESTION)
        shown.send("y\n")
        assert shown.end() == 0

    assert out.read_text().startswith("{")
    assert json.loads(out.read_text())["bytesFreed"] == 5000


@pytest.mark.parametrize("command", [CLEAR, PRUNE])
def test_in_forty_columns_key_and_size_and_the_question_can_be_read(
    web: FakeKubernetes, terminal: Open, command: Any
) -> None:
    with terminal(*command, columns=40) as shown:
        shown.until(QUESTION)
        shown.send("n\n")
        shown.end()

    # The question stands on one line, and no word of the table is torn where it tells what goes.
    assert QUESTION + "n" in shown.lines
    assert [line for line in shown.lines if KEY in line]
    assert [line for line in shown.lines if "4.9Ki" in line and line != QUESTION + "n"]


def test_dry_run_asks_nobody(web: FakeKubernetes, terminal: Open) -> None:
    with terminal(*CLEAR, "--dry-run") as shown:
        assert shown.end() == 0

    assert "[y/N]" not in shown.shown
    assert changes(web) == []


def test_what_is_refused_is_refused_before_anybody_is_asked(web: FakeKubernetes, terminal: Open) -> None:
    web.add(releases.stranger("notebook", "web-model-cache"))

    with terminal(*CLEAR) as shown:
        assert shown.end() == 1

    assert "[y/N]" not in shown.shown
    assert "is used by notebook" in shown.shown
