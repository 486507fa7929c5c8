"""Files whose size nobody knew: they end where their bytes end, and what follows them begins there."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from building import KEY, idle
from transfers import BLOCK, SLOTS, body_of, small
from weights import sha256

from llmkube_downloader.sources.interface import RemoteFile, Span
from llmkube_downloader.store.beacon import Heartbeat
from llmkube_downloader.store.part import Part
from llmkube_downloader.store.staging import attempt
from llmkube_downloader.transfer.download import Download, Limits, Received, Wanted
from llmkube_downloader.transfer.progress import Meter
from llmkube_downloader.transfer.retry import Retries
from llmkube_downloader.transfer.ring import Ring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmkube_downloader.store.layout import Layout

__all__ = ["small"]

pytestmark = pytest.mark.usefixtures("small")


class Bytes:
    """A body out of memory; see sources/interface.py."""

    def __init__(self, data: bytes, span: Span, *, sized: bool, before_end: Callable[[], object]) -> None:
        end = len(data) if span.end is None else span.end
        self.start, self._data, self._place = span.start, data[:end], span.start
        self.size = end - span.start if sized else None
        self.total = len(data) if sized else None
        self.validator: str | None = None
        self.delimited = True
        self._before_end = before_end

    def readinto(self, buffer: memoryview) -> int:
        piece = self._data[self._place : self._place + len(buffer)]
        if not piece:
            self._before_end()
        buffer[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)

    def close(self) -> None:
        """Nothing is open."""

    def abort(self) -> None:
        """Nothing waits."""


def wanted(name: str, data: bytes, *, sized: bool, before_end: Callable[[], object] = lambda: None) -> Wanted:
    """Describe a file out of memory; its hash is known with its size, and neither is else."""

    def begin(span: Span) -> Bytes:
        return Bytes(data, span, sized=sized, before_end=before_end)

    remote = RemoteFile(name, len(data) if sized else None, None, begin)
    return Wanted(remote, name, sha256(data) if sized else None)


@contextmanager
def receiving(layout: Layout, *files: Wanted) -> Iterator[list[Received]]:
    transfer = Download(Retries(print), Meter(StringIO()), Limits(), None)
    with attempt(layout, KEY, Heartbeat(idle)) as opened:
        yield transfer.receive(files, opened)


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK, 2 * BLOCK + 1, SLOTS * BLOCK, 40 * BLOCK])
def test_what_follows_begins_where_a_file_turned_out_to_end(layout: Layout, size: int) -> None:
    bodies = [body_of(0, more=size), body_of(3, seed=1), body_of(0, 2, size), body_of(40, seed=3)]
    files = [wanted(f"{number}.bin", body, sized=number == 3) for number, body in enumerate(bodies)]
    with receiving(layout, *files) as received:
        assert [(file.size, file.sha256) for file in received] == [(len(body), sha256(body)) for body in bodies]


@pytest.mark.parametrize("late", [False, True], ids=["known before it is asked for", "waited for"])
def test_the_end_of_a_file_is_no_block_of_the_next_one(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    first, second, waits = body_of(2), body_of(40, seed=1), threading.Event()
    take, finish, admitted = Ring.take, Part.finish, list[bool]()
    rings: list[Ring] = []

    def note_take(ring: Ring, number: int, *arguments: Any) -> memoryview | None:
        rings.append(ring)
        if number == 2:
            waits.set()
        return take(ring, number, *arguments)

    def note_finish(part: Part, size: int, digest: str) -> None:
        # Its memory is that of the first block of the second file, which may be in it by now.
        admitted.append(rings[0].admits(2 + SLOTS))
        finish(part, size, digest)

    monkeypatch.setattr(Ring, "take", note_take)
    monkeypatch.setattr(Part, "finish", note_finish)
    end = wanted("first.bin", first, sized=False, before_end=lambda: late and waits.wait())
    with receiving(layout, end, wanted("second.bin", second, sized=True)) as received:
        assert [file.sha256 for file in received] == [sha256(first), sha256(second)]
    assert admitted[0] is False
