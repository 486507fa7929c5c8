"""What a worker needs to fetch again and again: a model, a place for caches, and the judgement of these."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from faults.launcher import launch, note_imports, prepare
from faults.place import mount_memory, mount_new, reap, set_up_network
from faults.served import Served
from faults.tree import entries, leftovers, wrong_entries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

_SMALLEST_PLACE = 2**30
_LOCK_WAIT = "90s"


class Bench:
    """Fetches one model into caches on one file system. Use it as a context manager.

    - model: how it is served.
    """

    def __init__(self, source: str, file_system: str, directory: Path, size: int, rate: int) -> None:
        """Serve weights of `size` bytes at `rate` bytes per second; only in namespaces of its own."""
        set_up_network()
        mount_memory(directory)
        self._directory = directory
        self._place = mount_new(file_system, directory, max(_SMALLEST_PLACE, 20 * size))
        self._roots = 0
        self.model = Served(source, directory, size, rate)
        os.environ.update(self.model.environment)
        self._warm_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.model.__exit__(kind, error, traceback)

    def new_root(self) -> Path:
        """Return the root of a cache that is not there yet."""
        self._roots += 1
        return self._place / f"models-{self._roots}"

    def arguments(self, root: Path, *flags: str) -> list[str]:
        """What follows `llmkube-downloader` to fetch into a cache."""
        return ["fetch", *self.model.arguments, "--root", str(root), *flags]

    def fetch(
        self,
        root: Path,
        *flags: str,
        before: Callable[[], None] = lambda: None,
        after: Callable[[int], int] = lambda code: code,
    ) -> int:
        """Start a fetch into a cache and return its process id; see `launch`."""
        return launch(self.arguments(root, *flags), self.log(root), before=before, after=after)

    def finish(self, root: Path, before: Callable[[], None] = lambda: None) -> str:
        """Fetch into a cache until the end, and say what is wrong with that, if anything."""
        code = reap(self.fetch(root, "--lock-wait", _LOCK_WAIT, before=before))
        return f"exit code {code}: {self.log(root).read_text()[-2000:]}" if code else self.problem(root)

    def problem(self, root: Path) -> str:
        """Say why a cache is not one entry that is whole; nothing if it is."""
        if len(entries(root)) != 1:
            return f"{len(entries(root))} entries"
        return "; ".join(self.wrong(root))

    def wrong(self, root: Path) -> list[str]:
        """Say what is wrong with the entries that are visible in a cache."""
        return wrong_entries(root, self.model.files)

    def clear(self, root: Path) -> list[str]:
        """Remove a cache, and return what its fetches had left beside the entry."""
        left = leftovers(root)
        shutil.rmtree(root)
        self.log(root).unlink()
        return left

    def log(self, root: Path) -> Path:
        """The file with what the fetches into a cache printed."""
        return self._directory / f"{root.name}.log"

    def _warm_up(self) -> None:
        """Fetch once, and import what that took, so that no other one has to."""
        names, root = self._directory / "imports", self.new_root()

        def note(code: int) -> int:
            note_imports(names)
            return code

        reap(self.fetch(root, after=note))
        self.clear(root)
        prepare(names)
        self.model.origin.settle()
        self.model.sent_by_hub()
