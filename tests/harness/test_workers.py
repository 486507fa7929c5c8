"""Workers, which the tests of faults break things in, end with all that they made."""

from __future__ import annotations

import os
from pathlib import Path

from cluster.local import loops
from faults.deep import needs_root
from faults.place import Workers

pytestmark = needs_root


def test_a_worker_that_is_killed_at_work_leaves_no_file_system_behind(tmp_path: Path) -> None:
    before = loops.files()
    mounted = tmp_path / "mounted"
    os.mkfifo(mounted)
    with Workers() as workers:
        workers.start("harness.mounting", mounted)
        assert mounted.read_text() == "mounted"
        assert len(loops.files()) > len(before)
    loops.wait_until_gone(lambda device, _: device not in before)
