"""A cache, models to fetch into it, and the command line to do it with."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faults.launcher import launch, note_imports, prepare
from faults.place import kill, reap
from faults.served import Served

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

# Bytes of the weights of each model. All are of one repository, which holds the later one some time after the first.
# That one is written past the page cache.
MODELS = {"first": 17 * 2**20, "later": 33 * 2**20}
_RATE = 2**30
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Loading the authorities of this machine, whom nobody asks, would take as long as all the rest.
_AUTHORITIES = Path(__file__).parents[2] / "downloader/tests/certificates/ca.pem"


@dataclass(frozen=True)
class Done:
    """What a run of the command line came to.

    - output: all that it printed, on standard output and on standard error.
    """

    code: int
    output: str

    def __str__(self) -> str:
        return f"exit code {self.code}: {self.output[-2000:]}"


class Stage:
    """Use it as a context manager, in namespaces of its own.

    - root: the cache.
    - models: by their names.
    """

    def __init__(self, root: Path, directory: Path, before: Callable[[], None] = lambda: None) -> None:
        """Keep everything but the cache in the directory; call ``before`` in each process of the command line."""
        self.root = root
        self._directory = directory
        self._output = directory / "output"
        self._before = before
        self._context = ExitStack()
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.models = {
            name: self._context.enter_context(Served("hf", directory / name, size, _RATE))
            for name, size in MODELS.items()
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._context.close()

    def run(self, *arguments: str) -> Done:
        """Run a command on the cache."""
        return self._wait(self._start(arguments))

    def key(self) -> str:
        """The key that all models have."""
        return self.run("key", self.models["first"].arguments[0]).output.strip()

    def fetch(self, model: str, *flags: str) -> Done:
        """Fetch a model."""
        return self._wait(self._start_fetch(model, flags))

    def fetch_until_killed(self, model: str, received: int, *flags: str) -> None:
        """Kill a fetch after so many bytes of weights."""
        origin = self.models[model].origin
        origin.hold_after(received)
        process = self._start_fetch(model, flags)
        origin.await_held()
        kill(process)
        origin.go_on()
        origin.settle()

    def boot(self) -> None:
        """Let this machine seem to have been switched on anew."""
        identity = self._directory / "boot_id"
        identity.write_text(f"{uuid.uuid4()}\n")
        if not identity.samefile(_BOOT_ID):
            subprocess.run(["mount", "--bind", str(identity), str(_BOOT_ID)], check=True)

    def warm_up(self) -> None:
        """Run what is needed in a directory in place of the cache, and import what that took: later runs need not."""
        names = self._directory / "imports"

        def note(code: int) -> int:
            note_imports(names)
            return code

        self.root.mkdir(parents=True)
        reap(self._start_fetch("first", (), note))
        prepare(names)
        for command in ("list", "verify"):
            reap(self._start((command,), after=note))
            prepare(names)
        shutil.rmtree(self.root)

    def _start_fetch(self, model: str, flags: Sequence[str], after: Callable[[int], int] = lambda code: code) -> int:
        served = self.models[model]
        return self._start(("fetch", *served.arguments, *flags), served.environment, after)

    def _start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        after: Callable[[int], int] = lambda code: code,
    ) -> int:
        self._output.unlink(missing_ok=True)
        known = {"LLMKUBE_ROOT": str(self.root), "SSL_CERT_FILE": str(_AUTHORITIES), **(environment or {})}
        return launch(list(arguments), self._output, environment=known, before=self._before, after=after)

    def _wait(self, process: int) -> Done:
        code = reap(process)
        return Done(code, self._output.read_text())
