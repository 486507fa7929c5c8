"""Fixtures that several test folders share: one cluster for the whole run."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cluster import provider
from cluster.local.layout import existing


@pytest.fixture(scope="session")
def cluster() -> Iterator[provider.Cluster]:
    """The cluster of `make cluster-up` when there is one, else one for this run alone."""
    if "dev" in existing():
        yield provider.up("dev")
        return
    name = f"test-{os.getpid()}"
    try:
        yield provider.up(name, owner=os.getpid())
    finally:
        provider.down(name)
