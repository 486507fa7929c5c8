"""How much a fetch holds in memory does not depend on how large the model is.

`LLMKUBE_TEST_FAULTS=deep` fetches 20 GB in place of 4, which needs as much room on the disk and takes a few minutes.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from faults.deep import deep, needs_root
from faults.memory import fetch
from faults.served import SOURCES
from toolchain.build import cache_root

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow]

_GIB = 2**30
_MIB = 2**20
_LARGE = 20_000_000_000 if deep() else 4_000_000_000


@pytest.fixture
def disk() -> Iterator[Path]:
    """A directory that is not in memory, for what takes gigabytes."""
    cache_root().mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache_root(), prefix="faults-") as directory:
        yield Path(directory)


@pytest.mark.parametrize("source", SOURCES)
def test_a_fetch_takes_96_mib_at_most(disk: Path, source: str) -> None:
    usage = fetch(source, disk, _GIB)
    assert usage.code == 0, usage.output
    assert 0 < usage.peak <= 96 * _MIB


@needs_root
def test_a_container_of_256_mib_is_enough_for_any_model(disk: Path) -> None:
    usage = fetch("http", disk, _LARGE, limit=256 * _MIB)
    assert usage.code == 0, usage.output
    assert 0 < usage.peak <= 150 * _MIB
