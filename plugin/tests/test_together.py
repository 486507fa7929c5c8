"""Requests that do not need each other are made at the same time."""

from __future__ import annotations

import threading

import pytest

from llmkube_plugin.errors import PluginError
from llmkube_plugin.together import together


def test_calls_run_beside_each_other_and_keep_their_order() -> None:
    met = threading.Barrier(3, timeout=30)  # passed only when all three are there

    def call(name: str) -> str:
        met.wait()
        return name

    assert together([lambda: call("a"), lambda: call("b"), lambda: call("c")]) == ["a", "b", "c"]


def test_the_error_of_the_first_that_failed_is_raised() -> None:
    def fail(text: str) -> None:
        raise PluginError(text)

    with pytest.raises(PluginError, match="b"):
        together([lambda: None, lambda: fail("b"), lambda: fail("c")])
