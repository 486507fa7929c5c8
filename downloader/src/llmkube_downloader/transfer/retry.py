"""Trying again: which failures may pass by themselves, and how long to wait for it."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from time import monotonic, sleep
from typing import TYPE_CHECKING, TypeVar

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.units import human_duration

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")

# Less than this between two failures is no progress.
_PROGRESS_BYTES = 64 * 1024
_LONG_SECONDS = 10.0


class TransientError(DownloaderError):
    """A failure that may pass by itself.

    - retry_after: seconds that the origin asked to wait; None when it did not.
    """

    def __init__(self, code: ExitCode, cause: str, action: str, retry_after: float | None = None) -> None:
        super().__init__(code, cause, action)
        self.retry_after = retry_after


class BeginAgainError(DownloaderError):
    """What was received is of no use any more; beginning again, with what the origin says then, may well succeed."""


def changed(cause: str) -> BeginAgainError:
    """Return the error for an origin that has another content now than when the fetch began."""
    return BeginAgainError(
        ExitCode.INTEGRITY, cause, "Start again; if it stays so, the origin sends a different file each time."
    )


def broken_off(cause: str) -> BeginAgainError:
    """Return the error for a body that broke off, and can not be gone on with."""
    return BeginAgainError(
        ExitCode.ORIGIN_UNAVAILABLE,
        cause,
        "Give its hash with --sha256, so that the rest can be asked for, or use an origin that sends ETags.",
    )


def _in_words(seconds: float) -> str:
    """Return how long a wait is; of a long one also when it ends, because a log is read after it was written."""
    if seconds < _LONG_SECONDS:
        return human_duration(seconds)
    end = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return f"{human_duration(seconds)}, at {end:%H:%M:%S} UTC"


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
    longest_wait: float = 330.0

    def run(self, action: Callable[[], _Result]) -> _Result:
        """Return what the action returns, trying again after each TransientError.

        Raises TransientError: the last one.
        """
        attempt = 1
        while True:
            try:
                return action()
            except TransientError as error:
                self.rest(attempt, error)
            attempt += 1

    def rest(self, failures: int, error: TransientError | BeginAgainError) -> None:
        """Wait after the last of several failures, having said so.

        Raises DownloaderError: the error, when it was one too many.
        """
        sleep(self.pause(failures, error))

    def pause(self, failures: int, error: TransientError | BeginAgainError) -> float:
        """Return the seconds to wait after the last of several failures, having said so.

        Raises DownloaderError: the error, when it was one too many.
        """
        wait = self._wait_after(failures, error)
        if failures >= self.attempts or wait > self.longest_wait:
            raise error
        self.notify(f"{error.cause}; trying again in {_in_words(wait)} ({failures} of {self.attempts})")
        return wait

    def _wait_after(self, failures: int, error: TransientError | BeginAgainError) -> float:
        if isinstance(error, TransientError) and error.retry_after is not None:
            return error.retry_after
        return self.first_delay * 2.0 ** (failures - 1) * random.uniform(1, 1.25)  # noqa: S311 - jitter is no secret


class Patience:
    """What is left of the tries of several connections that receive one model together.

    Bytes that arrive give all tries back. Connections that break together count as one failure.
    """

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._lock = threading.Lock()
        self._failures = 0
        self._received = 0
        self._failed_at = self._rest_until = self._closed_until = float("-inf")

    def progressed(self, count: int) -> None:
        """Take note of bytes that arrived."""
        with self._lock:
            self._received += count
            if self._received >= _PROGRESS_BYTES:
                self._failures = 0

    def wait_after(self, error: TransientError, began: float) -> float:
        """Return the seconds to wait before the next try.

        - began: when what failed was begun, on the monotonic clock.

        Raises TransientError: the error, when there was no progress for too many tries.
        """
        with self._lock:
            now = monotonic()
            if began > self._failed_at:
                self._failures += 1
                self._received = 0
                self._failed_at = now
                self._rest_until = now + self._retries.pause(self._failures, error)
                if error.retry_after is not None:
                    self._closed_until = self._rest_until
            return max(0.0, self._rest_until - now)

    def wait_before(self) -> float:
        """Return the seconds to wait before anything is asked: what an origin asked for counts for all connections."""
        with self._lock:
            return max(0.0, self._closed_until - monotonic())
