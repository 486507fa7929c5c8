"""Where the files of the repository are that tests compare with."""

from __future__ import annotations

from pathlib import Path

# The tests of mutants are run as a copy further down.
REPOSITORY = next(above for above in Path(__file__).parents if (above / "downloader" / "tests").is_dir())
CONTRACT = REPOSITORY / "tests" / "contract"
