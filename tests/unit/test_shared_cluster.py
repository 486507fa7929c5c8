"""One cluster for all processes of a run: brought up once, taken down by the last."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.shared import shared


class Counted:
    """Counts what is brought up and taken down."""

    def __init__(self) -> None:
        self.up = 0
        self.down = 0

    def bring_up(self) -> None:
        self.up += 1

    def take_down(self) -> None:
        self.down += 1


def test_who_leaves_first_leaves_it_to_the_others(tmp_path: Path) -> None:
    counted = Counted()

    with shared(tmp_path, counted.bring_up, counted.take_down):
        with shared(tmp_path, counted.bring_up, counted.take_down):
            assert counted.up == 2
        assert counted.down == 0

    assert counted.down == 1


def test_it_goes_when_it_can_not_be_brought_up_whole(tmp_path: Path) -> None:
    counted = Counted()

    def fail() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError), shared(tmp_path, fail, counted.take_down):
        pass

    assert counted.down == 1
