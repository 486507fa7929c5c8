"""SIGTERM and SIGINT as an exception, so that every ``with`` and ``finally`` on the way out is run.

As process 1 of a container the default action of a signal does not apply: without a handler every eviction would
last until the SIGKILL that follows, and leave a lease and staging behind.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


class TerminatedError(BaseException):
    """The process was asked to end. No ``except Exception`` on the way may swallow it."""


def install_handlers() -> None:
    """Raise TerminatedError in the main thread on the first SIGTERM or SIGINT, and ignore the ones after it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _terminate)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    # A second signal must not interrupt the clean-up that the first one started.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise TerminatedError
