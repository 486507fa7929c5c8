"""A fetch that is process 1 of a container ends when it is asked to, and the next one goes on where it was.

`LLMKUBE_TEST_FAULTS=deep` asks five times as often. It takes five minutes.
"""

from __future__ import annotations

import pytest

from faults.deep import deep, needs_root
from faults.place import Workers
from faults.signals import End

pytestmark = [pytest.mark.slow, needs_root]

_TERMINATED = 143
_MOST_SECONDS = 5
_PLACES = (("http", "ext4"), ("hf", "xfs"))
_ENDS = 100 if deep() else 20


def test_a_fetch_that_is_asked_to_end_does_so_at_once_and_nothing_that_it_journaled_is_sent_again() -> None:
    with Workers() as workers:
        running = [workers.start("signals", *place, "--ends", str(_ENDS)) for place in _PLACES]
        ends = [End(**each) for worker in running for each in worker.result()]
    ended = [each for each in ends if each.code]
    assert len(ended) > len(ends) / 2
    for each in ended:
        assert (each.code, each.lease, each.forgotten, each.problem, each.left) == (_TERMINATED, False, 0, "", []), each
        assert each.seconds <= _MOST_SECONDS
    assert sum(each.kept for each in ended) > 0
