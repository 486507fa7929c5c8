"""How a run in several processes shares out the tests, and keeps the machine for those that look at it."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

import lanes


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("tests/harness/test_demo.py::test_a", "harness"),
        ("tests/harness/test_local_cluster.py::test_b", "harness"),
        ("tests/e2e/nodes/test_gpu.py::test_c", "nodes"),
        ("tests/e2e/test_serving.py::test_d", "tests/e2e/test_serving.py"),
        ("downloader/tests/test_fetch.py::test_e[a::b]", "downloader/tests/test_fetch.py"),
    ],
)
def test_tests_stay_with_those_that_share_what_takes_long_to_set_up_else_with_their_module(
    test: str, group: str
) -> None:
    assert lanes._group(test) == group


def test_who_needs_the_machine_alone_shares_it_with_nobody_until_it_is_given_back(tmp_path: Path) -> None:
    turn = lanes.Turn()
    turn.take(tmp_path, alone=True)
    assert not _is_free(tmp_path, fcntl.LOCK_SH)
    turn.give_back()
    assert _is_free(tmp_path, fcntl.LOCK_EX)


def test_all_others_share_it_and_let_nobody_have_it_alone(tmp_path: Path) -> None:
    turn = lanes.Turn()
    turn.take(tmp_path, alone=False)
    assert _is_free(tmp_path, fcntl.LOCK_SH)
    assert not _is_free(tmp_path, fcntl.LOCK_EX)
    turn.give_back()


def _is_free(folder: Path, how: int) -> bool:
    with (folder / "machine").open("w") as machine:
        try:
            fcntl.flock(machine, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
