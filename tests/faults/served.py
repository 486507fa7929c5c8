"""A model as it is served by processes of their own: one file over http, or a repository of three of the hub's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

from faults.content import Content
from faults.origin import Origin

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

SOURCES = ("http", "hf")
WEIGHTS = "weights.safetensors"
_BESIDE = {"config.json": Content(900, 1), "tokenizer.json": Content(300_000, 2)}


class Served:
    """One model. Use it as a context manager.

    - origin: what sends the weights, also for the hub.
    - files: what an entry has to hold.
    - arguments: the source and the flags that a fetch of it takes.
    - environment: the variables that it takes.
    """

    def __init__(self, source: str, directory: Path, size: int, rate: int) -> None:
        """Serve weights of `size` bytes at `rate` bytes per second; the directory is for what a hub needs."""
        self._context = ExitStack()
        self._hub = ""
        self.origin = self._context.enter_context(Origin(size, rate))
        self.files = {WEIGHTS: self.origin.content}
        self.arguments = [f"{self.origin.url}/{WEIGHTS}", "--allow-http", "127.0.0.1"]
        self.environment: dict[str, str] = {}
        if source == "hf":
            self.files |= _BESIDE
            self._hub = self._serve_repository(directory / "hub")
            self.arguments = ["hf://faults/model", "--allow-http", "127.0.0.1"]
            self.environment = {"HF_ENDPOINT": self._hub}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._context.close()

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(content.size for content in self.files.values())

    def sent_by_hub(self) -> int:
        """Return the bytes that the hub itself has sent since the last call."""
        if not self._hub:
            return 0
        requests = f"{self._hub}/_fakehub/requests"
        with urlopen(requests) as response:
            count = int(json.load(response)["bytes"]["hub"])
        with urlopen(Request(requests, method="DELETE")):
            return count

    def _serve_repository(self, root: Path) -> str:
        """Serve the files as a repository, whose weights the origin sends, and return the hub's address."""
        repository = root / "faults" / "model" / "main"
        repository.mkdir(parents=True)
        for name, content in self.files.items():
            content.write(repository / name)
        command = [sys.executable, "-m", "fakehub", "--root", str(root), "--request-log", os.devnull]
        command += ["--listen", "127.0.0.1:0", "--cdn-listen", "127.0.0.1:0", "--cdn-url", self.origin.url]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._context.callback(process.communicate)
        self._context.callback(process.terminate)
        assert process.stdout
        return str(json.loads(process.stdout.readline())["endpoint"])
