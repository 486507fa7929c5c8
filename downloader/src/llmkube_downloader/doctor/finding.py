"""What an examination comes to: findings, each with what to do."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from llmkube_downloader.errors import DownloaderError, ExitCode


class Level(enum.Enum):
    """How bad something is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    - level: how bad it is.
    - check: what was looked at, in a word or two.
    - what: what was found, as part of a sentence.
    - object: the path or key that it is about.
    - action: what to do; empty when nothing is.
    - code: the exit code that stands for a problem; OK for everything else.
    """

    level: Level
    check: str
    what: str
    object: str
    action: str = ""
    code: ExitCode = ExitCode.OK

    def to_json(self) -> dict[str, Any]:
        """Return the finding as ``doctor -o json`` shows it."""
        return {
            "level": self.level.value,
            "check": self.check,
            "what": self.what,
            "object": self.object,
            "action": self.action,
            "code": int(self.code),
        }


def fine(check: str, what: str, about: object) -> Finding:
    """Return a finding about which nothing has to be done."""
    return Finding(Level.OK, check, what, str(about))


def warning(check: str, what: str, about: object, action: str) -> Finding:
    """Return a finding that keeps nobody from using the volume."""
    return Finding(Level.WARNING, check, what, str(about), action)


def problem(check: str, what: str, about: object, action: str, code: ExitCode) -> Finding:
    """Return a finding that keeps the volume from being a good cache."""
    return Finding(Level.PROBLEM, check, what, str(about), action, code)


def of_error(check: str, about: object, error: DownloaderError) -> Finding:
    """Return the problem that an error is."""
    return problem(check, error.cause, about, error.action, error.code)
