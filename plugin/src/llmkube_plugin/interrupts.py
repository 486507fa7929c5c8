"""What Ctrl-C does: it ends a command where nothing is half done, and the last words say what it leaves behind."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

import click

from llmkube_plugin.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

# A closed terminal or a cancelled pipeline is not to leave Jobs behind either.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_came: list[int] = []  # the signals of this process so far


class Interrupted(KeyboardInterrupt):
    """An interruption of which is known what it leaves behind. Arguments: the signal's number, and that in words."""

    def __init__(self, cause: KeyboardInterrupt, left: str) -> None:
        known = cause.left if isinstance(cause, Interrupted) else ""
        self.left: str = "\n".join(filter(None, (known, left)))
        super().__init__(number(cause))


class Stopped(click.ClickException):
    """The end of a command that its user has stopped: no error, and so shown without that word."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc] # click declares one per class

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message on a line of its own, after what the terminal shows of the keys."""
        if sys.stderr.isatty():
            click.echo(file=file, err=True)
        click.echo(printable(self.message), file=file, err=True)


def stopped(interruption: KeyboardInterrupt) -> Stopped:
    """Return the end of a command that was interrupted; its exit code is a shell's: 128 and the signal's number."""
    left = interruption.left if isinstance(interruption, Interrupted) else ""
    return Stopped(f"Interrupted. {left}".rstrip(), 128 + number(interruption))


def number(interruption: KeyboardInterrupt) -> int:
    """Return the number of the signal that interrupted."""
    return int(interruption.args[0]) if interruption.args else int(signal.SIGINT)


def listen() -> None:
    """Let the other signals that ask a process to end do what Ctrl-C does, unless whoever started us ignores them.

    Helm ends at once at Ctrl-C, and where it is a terminal's only program, that hangs up the terminal. So only a second
    Ctrl-C hurries what the first one began.
    """
    for each in _SIGNALS:
        if signal.getsignal(each) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(each, _interrupt)


def _interrupt(signal_number: int, _frame: FrameType | None) -> None:
    _came.append(signal_number)
    if len(_came) == 1 or signal_number == signal.SIGINT:
        raise KeyboardInterrupt(signal_number)


@contextlib.contextmanager
def leaving(state: str | Callable[[], str]) -> Iterator[None]:
    """Tell, of an interruption in here, what it leaves behind; a function is asked when it comes."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        raise Interrupted(interruption, state if isinstance(state, str) else state()) from None


@contextlib.contextmanager
def postponed() -> Iterator[None]:
    """Put an interruption off to the end of a step that is not to be torn. A second one is not put off."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals only ever interrupt the main thread
        return
    came: list[int] = []

    def note(signal_number: int, _frame: FrameType | None) -> None:
        _came.append(signal_number)
        if len(_came) == 1 or signal_number == signal.SIGINT:
            came.append(signal_number)
        if len(came) > 1:
            raise KeyboardInterrupt(signal_number)

    before = {each: signal.signal(each, note) for each in _SIGNALS if callable(signal.getsignal(each))}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        if came:
            raise KeyboardInterrupt(came[0])
