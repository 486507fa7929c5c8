"""What is promised of the repository itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def _tracked(*patterns: str) -> list[Path]:
    output = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / line for line in output.splitlines()]


def test_no_lock_file_names_an_index() -> None:
    locks = _tracked("*requirements*.txt", "requirements/*.txt")
    assert locks
    for lock in locks:
        assert not re.search(r"--(extra-)?index-url|--find-links|https?://", lock.read_text()), lock


def test_every_requirement_is_pinned_by_hash() -> None:
    for lock in _tracked("*requirements*.txt", "requirements/*.txt"):
        pins = re.findall(r"^[A-Za-z0-9._-]+==", lock.read_text(), re.MULTILINE)
        blocks = re.findall(r"^[A-Za-z0-9._-]+==[^\n]*\\\n +--hash=sha256:[0-9a-f]{64}", lock.read_text(), re.MULTILINE)
        assert pins, lock
        assert len(pins) == len(blocks), lock


def test_modules_stay_small() -> None:
    long = {path: lines for path in _tracked("*.py") if (lines := len(path.read_text().splitlines())) > 400}
    assert long == {}


def test_make_help_explains_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^\.PHONY: ([a-z-]+)$", makefile, re.MULTILINE))
    explained = set(re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE))
    assert targets - explained == {"tools-chart", "test-chart-lint"}  # parts of others, of no use alone
    output = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(re.search(rf"^  {target} +\S", output, re.MULTILINE) for target in explained)


@pytest.mark.parametrize("page", [path.relative_to(ROOT).as_posix() for path in _tracked("*.md")])
def test_links_between_pages_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)[^)]*\)", path.read_text()):
        assert (path.parent / target).exists(), f"{page} links to {target}"


def test_plan_of_the_demo_needs_no_installed_package() -> None:
    code = "import demo.plan, sys; print([name for name in sys.modules if name in ('yaml', 'click', 'gguf')])"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, 'tests'); {code}"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "[]"
