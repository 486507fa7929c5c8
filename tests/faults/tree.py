"""What lies below a root, judged by reading it: independent of the code under test."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from faults.content import Content

_ENTRY = re.compile(r"[0-9a-f]{16}(-[0-9a-f]{8})?")
_SEAL = re.compile(rb'(?P<body>.*,\n) "selfSha256": "(?P<sha256>[0-9a-f]{64})"\n}\n', re.DOTALL)
_MANIFEST = ".llmkube.json"
_CHECKPOINTS = ".llmkube.sha256"


def wrong_entries(root: Path, files: Mapping[str, Content]) -> list[str]:
    """Say what is wrong with each entry that is visible and not whole; `files` is what it has to hold."""
    return [problem for entry in entries(root) if (problem := problem_of(entry, files))]


def entries(root: Path) -> list[Path]:
    """Everything below the root that a server could take for a model."""
    return [path for path in sorted(root.iterdir()) if not path.name.startswith(".")] if root.is_dir() else []


def leftovers(root: Path) -> list[str]:
    """What a fetch that was killed left and nobody removed: attempts, leases, trash, and scratch files anywhere."""
    state = root / ".llmkube"
    kept = {state / "format.json", *(path for path in (state / "refs").rglob("*") if path.is_file())}
    left = [path for path in state.rglob("*") if path.is_file() and path not in kept]
    left += [path for name in ("staging", "trash", "quarantine") for path in _nested(state / name)]
    left += [path for path in root.iterdir() if path.name.startswith(".") and path != state]
    return sorted({path.relative_to(root).as_posix() for path in left if not _is_unborn(path)})


def _is_unborn(path: Path) -> bool:
    """Whether a file is the empty one of a probe whose maker was killed before its first word.

    A fetch a minute later removes it: until then nobody can tell that it is not about to be written.
    """
    return path.parent.name.startswith(".llmkube.probe.") and path.stat().st_size == 0


def journaled(root: Path, path: str) -> list[tuple[int, int]]:
    """Return the ranges of a file that the journals of all attempts say are written; each up to its end."""
    ranges = []
    for journal in root.glob(".llmkube/staging/**/journal/*"):
        lines = [line.split(" ", 1)[1] for line in journal.read_text().split("\n")[:-1]]
        if lines and json.loads(lines[0].removeprefix("file "))[0] == path:
            ranges += [_range(line) for line in lines if line.startswith("wrote ")]
    return ranges


def _range(line: str) -> tuple[int, int]:
    _, start, end = line.split()
    return int(start), int(end)


def _nested(directory: Path) -> list[Path]:
    """Directories of attempts: those two levels down; the ones of keys may stay."""
    depth = "*" if directory.name in ("trash", "quarantine") else "*/*"
    return list(directory.glob(depth))


def problem_of(entry: Path, files: Mapping[str, Content]) -> str:
    """Say why one entry is not whole; nothing if it is."""
    if not _ENTRY.fullmatch(entry.name) or not entry.is_dir():
        return f"{entry.name} is no entry"
    found = {path.relative_to(entry).as_posix() for path in entry.rglob("*") if path.is_file()}
    if found - {_CHECKPOINTS} != {*files, _MANIFEST}:
        return f"{entry.name} holds {sorted(found)}"
    wrong = [path for path, content in files.items() if not content.is_in(entry / path)]
    if wrong:
        return f"{entry.name} has wrong bytes in {wrong}"
    return _manifest_problem(entry, files)


def _manifest_problem(entry: Path, files: Mapping[str, Content]) -> str:
    data = (entry / _MANIFEST).read_bytes()
    seal = _SEAL.fullmatch(data)
    if seal is None or hashlib.sha256(seal["body"]).hexdigest() != seal["sha256"].decode():
        return f"the manifest of {entry.name} does not have its own checksum"
    manifest = json.loads(data)
    said = {file["path"]: (file["size"], file["sha256"]) for file in manifest["files"]}
    true = {path: (content.size, content.sha256) for path, content in files.items()}
    if said != true:
        return f"the manifest of {entry.name} says {said}"
    checkpoints = entry / _CHECKPOINTS
    found = hashlib.sha256(checkpoints.read_bytes()).hexdigest() if checkpoints.exists() else None
    return "" if manifest["checkpoints"] == found else f"{entry.name} lacks the checkpoints of its manifest"
