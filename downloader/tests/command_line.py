"""How tests run the command line: the types of the fixtures ``run`` and ``start``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import subprocess

SOURCES = Path(__file__).parent.parent / "src"


@dataclass(frozen=True)
class Done:
    """What a run of the command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on standard output."""
        return json.loads(self.out)


class Run(Protocol):
    """Runs the command line with the arguments and returns what it came to."""

    def __call__(self, *arguments: str | Path) -> Done: ...


class Start(Protocol):
    """Starts the command line as a process of its own, ``within`` another command that runs it."""

    def __call__(self, *arguments: str | Path, within: tuple[str, ...] = ()) -> subprocess.Popen[str]: ...
