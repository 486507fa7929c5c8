"""Attempts and their files, made by hand as processes leave them, for the tests of staging and of the transfer."""

from __future__ import annotations

import json
import mmap
import os
from typing import TYPE_CHECKING, Any

from building import KEY, content
from weights import gguf

from llmkube_downloader.store.beacon import Beacon
from llmkube_downloader.store.journal import read_journal
from llmkube_downloader.store.layout import OWNER
from llmkube_downloader.store.part import ALIGNMENT
from llmkube_downloader.store.staging import Attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from llmkube_downloader.store.journal import Identity
    from llmkube_downloader.store.layout import Layout
    from llmkube_downloader.store.part import Part

BLOCK = 2 * ALIGNMENT
BODY = gguf(10 * BLOCK)

# What an owner says that runs on another machine.
ELSEWHERE: dict[str, Any] = {"bootId": "another", "pidNamespace": "pid:[1]", "host": "elsewhere"}
# What changes a file system, or a file in it.
_CHANGES = ("open", "mkdir", "rename", "unlink", "rmdir", "write", "pwrite", "ftruncate", "copy_file_range")


def room(data: bytes) -> memoryview:
    """Memory as the transfer has it: aligned, and longer than the data where that is no multiple of ALIGNMENT."""
    memory = memoryview(mmap.mmap(-1, -(-max(1, len(data)) // ALIGNMENT) * ALIGNMENT))
    memory[:] = b"\xff" * len(memory)
    memory[: len(data)] = data
    return memory


def write(part: Part, *blocks: int, body: bytes = BODY, block: int = BLOCK) -> None:
    """Write blocks of a body to where they belong."""
    for number in blocks:
        data = body[number * block : (number + 1) * block]
        part.write(number * block, room(data)[: len(data)])


def promised(journal: Path, *, same_boot: bool = True) -> list[tuple[int, int]]:
    """Return the ranges that a journal promises."""
    kept = read_journal(journal, same_boot=same_boot)
    return list(kept.ranges) if kept else []


def leave(
    layout: Layout,
    *,
    key: str = KEY,
    synced: Iterable[int] = (),
    written: Iterable[int] = (),
    identity: Identity | None = None,
    body: bytes = BODY,
    **owner: Any,
) -> Attempt:
    """Leave an attempt as a process does that is killed.

    - synced: the numbers of the blocks of its file that are on disk.
    - written: those that may not be.
    - owner: what its owner says otherwise than this process.
    """
    old = Attempt(layout.staging(key) / os.urandom(4).hex())
    old.files.mkdir(parents=True)
    old.journals.mkdir()
    beacon = Beacon(old.directory / OWNER)
    part = old.open(identity or content("model.gguf", body))
    write(part, *synced, body=body)
    part.sync()
    write(part, *written, body=body)
    part.close()
    beacon._let_go()
    say(old, **owner)
    return old


def say(old: Attempt, **owner: Any) -> None:
    """Change what the owner of an attempt says."""
    path = old.directory / OWNER
    path.write_text(json.dumps({**json.loads(path.read_text()), **owner}))


def die_at(step: int, action: Callable[[], None]) -> bool:
    """Run an action in a process of its own that is gone before its step-th change, and return whether it was."""
    pid = os.fork()
    if pid == 0:
        try:
            left = iter(range(step))
            for name in _CHANGES:
                setattr(os, name, _dying(getattr(os, name), left))
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 9)
    return code == 9


def _dying(call: Callable[..., Any], left: Iterable[int]) -> Callable[..., Any]:
    steps = iter(left)

    def count_down(*arguments: Any, **named: Any) -> Any:
        changes = call.__name__ != "open" or arguments[1] & os.O_CREAT
        if changes and next(steps, None) is None:
            os._exit(9)
        return call(*arguments, **named)

    return count_down


def fill(attempt: Attempt, identity: Identity, byte: bytes) -> None:
    """Write a file of an attempt that is the same byte all over, within 4 KiB."""
    part = attempt.open(identity)
    part.write(0, memoryview(bytearray(byte * 4096))[: identity.size])
    part.close()
