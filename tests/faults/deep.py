"""How much a test run breaks, and who may."""

from __future__ import annotations

import os

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount file systems and make namespaces")


def deep() -> bool:
    """Whether `LLMKUBE_TEST_FAULTS=deep` asks for more than a test run has time for."""
    return os.environ.get("LLMKUBE_TEST_FAULTS") == "deep"
