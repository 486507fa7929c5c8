"""The protocol of the store keeps its promises in every order of events, and each of its steps is needed for that."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.explore import OUT_OF_REACH, Explorer
from protocol.generations import Generations, Slip
from protocol.model import PROMISES
from protocol.rules import Mistake
from protocol.scenarios import MISTAKES, PROTOCOL, explore

HERE = Path(__file__).parent
FIGURES = (HERE.parents[1] / "docs/reliability.md").read_text()
STORE = HERE.parents[1] / "downloader/src/llmkube_downloader/store"


@pytest.mark.parametrize("name", PROTOCOL)
def test_every_promise_is_kept_in_every_order_of_events(name: str) -> None:
    found = explore(PROTOCOL[name])
    assert found.violation is None, str(found.violation)
    assert f"| {name} | {found.states:,} | {found.steps:,} |" in FIGURES


@pytest.mark.parametrize("mistake", Mistake, ids=lambda mistake: mistake.name.lower())
def test_each_mistake_breaks_the_promise_that_its_step_is_there_for(mistake: Mistake) -> None:
    rules, promise = MISTAKES[mistake]
    assert explore(rules).violation is None
    found = explore(replace(rules, mistake=mistake)).violation
    assert found is not None
    print(found)
    assert found.promise == (promise.__doc__ if promise else OUT_OF_REACH)
    assert f"| {mistake.value} | {len(found.trace)} |" in FIGURES


def test_each_promise_is_broken_by_some_mistake() -> None:
    assert {promise for _, promise in MISTAKES.values()} == {*PROMISES, None}


def test_no_generation_is_removed_under_a_pod_that_opened_it() -> None:
    found = Explorer(Generations()).explore()
    assert found.violation is None, str(found.violation)
    assert f"| generations: a refresh, a repair, a pod and a prune | {found.states:,} | {found.steps:,} |" in FIGURES


@pytest.mark.parametrize("slip", Slip, ids=lambda slip: slip.name.lower())
def test_each_slip_removes_a_generation_under_a_pod(slip: Slip) -> None:
    found = Explorer(Generations(slip)).explore().violation
    assert found is not None
    print(found)
    assert found.promise == "No generation is unlinked under a pod that found it whole."
    assert f"| {slip.value} | {len(found.trace)} |" in FIGURES


def test_every_step_is_one_of_the_store() -> None:
    step = re.compile(r"(?P<module>[a-z]+)\.(?P<function>[a-z_]+)(: .+)?")
    steps = [match for path in HERE.glob("*.py") for text in _texts(path) if (match := step.fullmatch(text))]
    named = {(match["module"], match["function"]) for match in steps}
    assert len(named) > 15
    assert {(module, function) for module, function in named if function not in _functions(module)} == set()


def _texts(path: Path) -> list[str]:
    """Return the strings in a module, its own comments on itself left out."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def _functions(module: str) -> set[str]:
    tree = ast.parse((STORE / f"{module}.py").read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
