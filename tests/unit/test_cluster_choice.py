"""Which cluster a run is for."""

from __future__ import annotations

import pytest

from cluster.choice import choice


@pytest.fixture(autouse=True)
def _no_wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONTEXT", "LLMKUBE_TEST_CLUSTER"):
        monkeypatch.delenv(name, raising=False)


def test_the_users_context_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKUBE_TEST_CLUSTER", "kind")
    monkeypatch.setenv("CONTEXT", "prod")
    assert choice() == "context:prod"


def test_the_variable_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKUBE_TEST_CLUSTER", "kind")
    assert choice() == "kind"


def test_root_on_linux_builds_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert choice() == "local"


def test_who_has_nothing_is_told_the_three_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(RuntimeError, match=r"root on Linux.*Docker.*CONTEXT="):
        choice()
