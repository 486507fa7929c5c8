"""The checks before a run: what is missing is said, with what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from preflight import __main__ as preflight
from preflight import checks


def test_a_full_disk_is_said_with_need_and_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MINIMUM_DISK", 2**60)
    with pytest.raises(
        checks.PreflightError, match=r"GiB are needed below .*, .* are free: free some, or set XDG_CACHE_HOME"
    ):
        checks.check_disk(tmp_path)


def test_too_little_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MINIMUM_MEMORY", 2**60)
    with pytest.raises(checks.PreflightError, match="GiB of memory are needed, this machine has"):
        checks.check_memory()


def test_who_is_not_root_learns_of_the_other_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(checks.PreflightError, match=r"needs root\..*kind.*CONTEXT="):
        checks.check_root()


def test_missing_packages_are_named_to_who_can_not_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(checks.PreflightError, match="apt-get install iptables socat"):
        checks.install(["iptables", "socat"])


def test_a_package_is_missing_when_its_command_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        checks.PURPOSES, "some", [checks.Package("there", "sh"), checks.Package("gone", "no-such-command")]
    )
    assert checks.missing("some") == ["gone"]


def test_an_old_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MINIMUM_PYTHON", (9, 9))
    with pytest.raises(checks.PreflightError, match=r"Python 9\.9 or newer is needed"):
        checks.check_python()


def test_a_users_own_cluster_needs_nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTEXT", "mine")
    monkeypatch.setattr(checks, "MINIMUM_MEMORY", 2**60)
    monkeypatch.setattr("sys.argv", ["preflight", "cluster"])
    preflight.main()


def test_the_checks_of_a_cluster_end_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTEXT", raising=False)
    monkeypatch.setenv("LLMKUBE_TEST_CLUSTER", "local")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(checks, "MINIMUM_MEMORY", 2**60)
    monkeypatch.setattr("sys.argv", ["preflight", "cluster"])
    with pytest.raises(SystemExit, match=r"error: .* GiB of memory are needed"):
        preflight.main()
