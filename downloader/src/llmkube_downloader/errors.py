"""The one exception that users meet, and the exit codes, which are part of the public interface."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """What the process ends with; ``tests/contract/exit-codes.yaml`` is the list that all parts share."""

    OK = 0
    USAGE = 10
    AUTH = 11
    NOT_FOUND = 12
    INTEGRITY = 13
    NO_SPACE = 14
    VOLUME = 15
    ORIGIN_UNAVAILABLE = 16
    RATE_LIMITED = 17
    TLS = 18
    FILE_SYSTEM = 19
    DELETED_OR_LOCK_TIMEOUT = 20
    POLICY = 21
    TERMINATED = 143

    @property
    def label(self) -> str:
        """The code's name as reports spell it, such as ``no-space``."""
        return self.name.lower().replace("_", "-")


class DownloaderError(Exception):
    """A failure with the three things a user needs: what happened to which object, and what to do.

    Library code raises it and never prints; ``cli.main`` prints it and exits with its code.
    """

    def __init__(self, code: ExitCode, cause: str, action: str) -> None:
        super().__init__(cause)
        self.code = code
        self.cause = cause
        self.action = action
