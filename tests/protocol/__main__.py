"""`python -m protocol`: explore the protocol, and what comes of each mistake that it avoids."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from protocol.explore import Explored, Explorer
from protocol.generations import Generations, Slip
from protocol.scenarios import MISTAKES, PROTOCOL, explore

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Print how much was explored, and the shortest trace for each mistake."""
    for name, rules in PROTOCOL.items():
        _say_all(name, partial(explore, rules))
    _say_all("generations", Explorer(Generations()).explore)
    for mistake, (rules, _) in MISTAKES.items():
        print(f"If {mistake.value}:\n{explore(replace(rules, mistake=mistake)).violation}", end="\n\n", flush=True)
    for slip in Slip:
        print(f"If {slip.value}:\n{Explorer(Generations(slip)).explore().violation}", end="\n\n", flush=True)


def _say_all(name: str, run: Callable[[], Explored[Any]]) -> None:
    began = monotonic()
    found = run()
    print(f"{name}: {found.states} states, {found.steps} steps, {monotonic() - began:.1f} s")
    print(found.violation or "  every promise is kept", end="\n\n", flush=True)


if __name__ == "__main__":
    main()
