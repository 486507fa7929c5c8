"""What every test run needs, whatever started it."""

import signal

pytest_plugins = ["lanes"]


def pytest_configure() -> None:
    """Make Ctrl-C count again: a run in the background of a shell, and its children, inherit that it is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
