"""Trying again: which failures may pass by themselves, and how long to wait for it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from time import sleep
from typing import TYPE_CHECKING, TypeVar

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.units import human_duration

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")


class TransientError(DownloaderError):
    """A failure that may pass by itself.

    - retry_after: seconds that the origin asked to wait; None when it did not.
    """

    def __init__(self, code: ExitCode, cause: str, action: str, retry_after: float | None = None) -> None:
        super().__init__(code, cause, action)
        self.retry_after = retry_after


def interrupted(cause: str) -> TransientError:
    """Return the error for an origin that does not answer, or stopped answering."""
    return TransientError(
        ExitCode.ORIGIN_UNAVAILABLE, cause, "Check the network and the origin's status, then start again."
    )


@dataclass(frozen=True)
class Retries:
    """How often and how patiently something is tried.

    - notify: told about every failure that is not the last.
    - attempts: tries in all.
    - first_delay: seconds before the second try; doubled for each further one, with up to a quarter of jitter.
    - longest_wait: seconds; an origin that asks for more is given up at once, so that the pod ends and says so.
    """

    notify: Callable[[str], None]
    attempts: int = 5
    first_delay: float = 1.0
    longest_wait: float = 120.0

    def run(self, action: Callable[[], _Result]) -> _Result:
        """Return what the action returns, trying again after each TransientError.

        Raises TransientError: the last one.
        """
        attempt = 1
        while True:
            try:
                return action()
            except TransientError as error:
                wait = self._wait_after(attempt, error)
                if attempt == self.attempts or wait > self.longest_wait:
                    raise
                self.notify(f"{error.cause}; trying again in {human_duration(wait)} ({attempt} of {self.attempts})")
            sleep(wait)
            attempt += 1

    def _wait_after(self, attempt: int, error: TransientError) -> float:
        if error.retry_after is not None:
            return error.retry_after
        return self.first_delay * 2.0 ** (attempt - 1) * random.uniform(1, 1.25)  # noqa: S311 - jitter is no secret
