"""Makes several requests at the same time: while one waits for the API server, the answer of another is read."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Result = TypeVar("Result")


class _Call(threading.Thread, Generic[Result]):
    """One call in a thread of its own, which no interrupted command waits for."""

    def __init__(self, call: Callable[[], Result]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._results: list[Result] = []
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Make the call and keep what comes of it."""
        try:
            self._results.append(self._call())
        except BaseException as error:  # whoever waits for the result raises it
            self._error = error

    def result(self) -> Result:
        """Wait for the end, and return the result or raise what the call raised."""
        self.join()
        if self._error:
            raise self._error
        return self._results[0]


def together(calls: Iterable[Callable[[], Result]]) -> list[Result]:
    """Return the results of calls, in their order; raises what the first of them raised that failed."""
    return [each.result() for each in [_Call(call) for call in calls]]
