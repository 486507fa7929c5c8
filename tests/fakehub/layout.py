"""Writing what a hub serves."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote


def write_repository(
    root: Path, repo_id: str, files: Mapping[str, bytes], *, revision: str = "main", **settings: Any
) -> Path:
    """Write one revision of a repository and, when any are given, its settings; return the revision's directory.

    `files` maps repository-relative paths to contents; `settings` are the fields of `repo.json`.
    """
    repository = root / repo_id
    directory = repository / quote(revision, safe="")
    for path, content in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    if settings:
        (repository / "repo.json").write_text(json.dumps(settings), encoding="utf-8")
    return directory
