"""What stands in for hashlib and json does what they do, with the parts of Python in C and without them."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import pytest

from llmkube_downloader import light

VALUES: list[Any] = [
    *(None, True, False, 0, -1, 2**70, "", "text", [], {}, [[]], {"a": []}),
    *('"', "\\", "/", "\x00\x1f\x7f", "m\u00f6del", "\u6a21", "\U0001f600", "\ud800", "line\nfeed"),
    {"a": [1, "2", None, {"b": False}], "a b": {"\u00e9": -5}},
]
NO_JSON = [
    "",
    " ",
    "{",
    "[1,]",
    "{'a': 1}",
    "nul",
    "tru",
    "01",
    "+1",
    '"\n"',
    '"\\x"',
    "1 2",
    "{} x",
    "{}{}",
    "\ufeff{}",
]
FRACTIONS = ["1.5", "1.0", "1e3", "[NaN]", "Infinity", "-Infinity"]


@pytest.fixture(params=["in C", "without C"], autouse=True)
def _parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without C":
        for name in ("_json", "_sha256", "_sha2"):
            monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_a_value_is_written_and_read_as_json_does(value: Any) -> None:
    text = json.dumps(value, separators=(",", ":"))
    assert light.dumps(value) == text
    assert light.loads(text) == value
    assert light.loads(json.dumps(value, indent=1) + "\n") == value


def test_seconds_are_written_as_json_does() -> None:
    for value in (0.0, 0.001, 1.5, 123456.789):
        assert light.dumps(value) == json.dumps(value)


@pytest.mark.parametrize("text", NO_JSON, ids=ascii)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        json.loads(text)
    with pytest.raises(ValueError):
        light.loads(text)


@pytest.mark.parametrize("text", FRACTIONS)
def test_a_fraction_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        light.loads(text)


def test_what_json_has_nothing_for_is_refused() -> None:
    with pytest.raises(TypeError):
        light.dumps({1, 2})


def test_a_hash_is_that_of_hashlib() -> None:
    for data in (b"", b"abc", bytes(1000)):
        assert light.sha256(data) == hashlib.sha256(data).hexdigest()
