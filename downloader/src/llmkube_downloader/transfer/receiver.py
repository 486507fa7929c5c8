"""The threads that receive: each takes stretches of files and brings them to disk and to the hash."""

from __future__ import annotations

import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sources.interface import Span
from llmkube_downloader.store.disk import storage_errors
from llmkube_downloader.transfer.feed import Mode
from llmkube_downloader.transfer.retry import BeginAgainError, TransientError, broken_off, changed, interrupted
from llmkube_downloader.transfer.ring import StoppedError
from llmkube_downloader.transfer.structure import HEAD_BYTES, check_start
from llmkube_downloader.units import human_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkube_downloader.sources.interface import Body
    from llmkube_downloader.transfer.feed import Feed, Incoming, Stretch
    from llmkube_downloader.transfer.pace import Pace
    from llmkube_downloader.transfer.retry import Patience
    from llmkube_downloader.transfer.ring import Ring
    from llmkube_downloader.transfer.sync import Syncer


class Receiver:
    """One connection at a time, for one stretch after the other.

    - received: bytes so far.
    - ended: set once the thread does nothing any more.
    """

    def __init__(
        self,
        feed: Feed,
        ring: Ring,
        patience: Patience,
        pace: Pace,
        syncer: Syncer,
        advance: Callable[[Incoming, int], None],
    ) -> None:
        """Receive what the feed hands out.

        - advance: told about all bytes of a file that arrive; it raises what a limit of bytes comes to.
        """
        self._feed = feed
        self._ring = ring
        self._patience = patience
        self._pace = pace
        self._syncer = syncer
        self._advance = advance
        self._body: Body | None = None
        self._is_retired = False
        self.received = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, name="receiver", daemon=True)

    def abort(self) -> None:
        """Wake the thread up if it waits for bytes; the ring was stopped before."""
        body = self._body
        if body is not None:
            body.abort()

    def retire(self) -> None:
        """Let the thread end when it has received what it was given."""
        self._is_retired = True

    def _run(self) -> None:
        try:
            while not self._is_retired and (stretch := self._feed.take()):
                self._receive(stretch)
        except StoppedError:
            return
        except BaseException as error:
            # Whoever hashes meets it in the ring, and ends the transfer.
            self._ring.fail(error)
        finally:
            self.ended.set()

    def _receive(self, stretch: Stretch) -> None:
        """Receive a stretch, over as many answers as it takes."""
        if wait := self._patience.wait_before():
            self._ring.rest(wait)
        while True:
            began = monotonic()
            try:
                if self._receive_once(stretch):
                    return
            except TransientError as error:
                self._ring.check()
                if stretch.position and not stretch.file.splittable:
                    # What comes next may be of another content, and nothing would tell.
                    raise broken_off(error.cause) from error
                self._ring.rest(self._patience.wait_after(error, began))

    def _receive_once(self, stretch: Stretch) -> bool:
        """Receive what one answer has of a stretch, and return whether that was all of it."""
        file, before = stretch.file, stretch.position
        body = file.remote.open(self._span(stretch))
        self._body = body
        try:
            self._ring.check()
            self._agree(stretch, body)
            self._pass_over(file, body, stretch.position - body.start)
            while stretch.end is None or stretch.position < stretch.end:
                if not (self._pass_over_present(stretch, body) or self._receive_block(stretch, body)):
                    break
            if stretch.end is None or stretch.position == stretch.end:
                return True
            if stretch.position == before:
                raise interrupted(f"{file.remote.path} came without a byte")
            return False
        finally:
            self._body = None
            body.close()

    def _span(self, stretch: Stretch) -> Span:
        """Return what to ask for: nothing special for a file that has to come whole."""
        file = stretch.file
        if file.mode is Mode.STREAM and not file.splittable:
            return Span()
        return Span(stretch.position, stretch.end, None if file.sha256 else file.validator)

    def _agree(self, stretch: Stretch, body: Body) -> None:
        """Compare an answer with what is known of its file, and learn from the first one."""
        file = stretch.file
        _check_size(file, body)
        if not file.sha256 and file.validator and not _may_be(file, stretch, body):
            raise changed(f"{file.remote.path} changed at its origin while it was fetched")
        if body.start not in (0, stretch.position):
            raise interrupted(f"{file.remote.path} is sent from byte {body.start} instead of {stretch.position}")
        if file.mode is Mode.ASKED:
            self._feed.decide(stretch, whole=_is_whole(stretch, body))
        if (
            body.start + (body.size or 0) != stretch.end
            and file.mode is Mode.STRETCHES
            and body.start != stretch.position
        ):
            raise BeginAgainError(
                ExitCode.ORIGIN_UNAVAILABLE,
                f"{file.remote.path} is sent whole, though a part of it was asked for and parts were sent before",
                "Start again; if it stays so, only some of the origin's servers send parts of files.",
            )

    def _pass_over(self, file: Incoming, body: Body, count: int) -> None:
        """Receive bytes that are there already: the origin sends nothing but the whole file."""
        unwanted = memoryview(bytearray(min(max(count, 0), self._ring.block)))
        while count > 0:
            received = body.readinto(self._pace.piece(unwanted[:count]))
            if not received:
                raise interrupted(f"{file.remote.path} ended before what is missing")
            self._ring.check()
            self._pace.spend(received)
            count -= received

    def _pass_over_present(self, stretch: Stretch, body: Body) -> bool:
        """Pass over a block that an earlier attempt received; return whether there was one.

        Whoever hashes has its memory and fills it from disk. Only a file that is sent whole comes to such a block.
        """
        file, block, start = stretch.file, self._ring.block, stretch.position
        if stretch.end is None or start % block or not file.has(start, min(start + block, stretch.end)):
            return False
        end = min(start + block, stretch.end)
        self._pass_over(file, body, end - start)
        stretch.position = end
        return True

    def _receive_block(self, stretch: Stretch, body: Body) -> bool:
        """Receive the rest of a block, and return whether there may be more after it."""
        file, block = stretch.file, self._ring.block
        number = (file.first or 0) + stretch.position // block
        room = self._ring.room(number)
        begin = stretch.position - stretch.position % block
        wanted = block if stretch.end is None else min(block, stretch.end - begin)
        while stretch.position < begin + wanted:
            count = body.readinto(self._pace.piece(room[stretch.position - begin : wanted]))
            if not count:
                break
            stretch.position += count
            self.received += count
            self._patience.progressed(count)
            self._advance(file, count)
            self._pace.spend(count)
        filled = stretch.position - begin
        if filled < wanted and not self._may_end(stretch, body):
            if _is_all(stretch, body):
                # Servers may send less than they were asked for. The rest of the block is asked for next.
                return False
            raise interrupted(f"{file.remote.path} ended after {human_size(stretch.position)}")
        if stretch.position == file.size and body.size is None:
            # Before its last block is handed on: nobody waits for what comes after that.
            self._expect_end(file, body)
        self._store(file, number, begin, room, filled)
        if filled < wanted:
            self._feed.ended(file, stretch.position)
        return filled == wanted

    def _may_end(self, stretch: Stretch, body: Body) -> bool:
        """Return whether the end of an answer is the end of the file."""
        return stretch.end is None and (body.size is None or _is_all(stretch, body))

    def _store(self, file: Incoming, number: int, begin: int, room: memoryview, filled: int) -> None:
        if not filled:
            return
        if begin == 0:
            check_start(file.remote.path, bytes(room[: min(filled, HEAD_BYTES)]))
        with storage_errors(f"writing {file.remote.path}"):
            file.part.write(begin, room[:filled])
        self._syncer.wrote(file.part, filled)
        self._ring.fill(number, filled)

    def _expect_end(self, file: Incoming, body: Body) -> None:
        with suppress(TransientError):
            # What breaks here breaks after the last byte.
            if body.readinto(memoryview(bytearray(1))):
                raise _goes_on(file)


def _check_size(file: Incoming, body: Body) -> None:
    """Refuse an answer for a file of another size, or one that can not be proven whole."""
    if file.size is not None and body.total is not None and file.size != body.total:
        raise changed(f"{file.remote.path} is announced with {file.size} bytes and sent with {body.total}")
    if file.size is None and file.sha256 is None and not body.delimited:
        raise DownloaderError(
            ExitCode.INTEGRITY,
            f"{file.remote.path} is sent without its size, so that a broken connection would look like its end",
            "Give its hash with --sha256, or use an origin that announces sizes.",
        )


def _is_whole(stretch: Stretch, body: Body) -> bool:
    """Return whether an answer has more than was asked for, or does not say."""
    return body.size is None or stretch.end is None or body.start + body.size > stretch.end


def _is_all(stretch: Stretch, body: Body) -> bool:
    """Return whether all that an answer announced has arrived."""
    return body.size is not None and stretch.position == body.start + body.size


def _may_be(file: Incoming, stretch: Stretch, body: Body) -> bool:
    """Return whether an answer may be of the content that is being received, which nothing but its name would tell."""
    if body.validator is None:
        # An origin that sends the bytes that were asked for looked at If-Range; one that begins anew says nothing.
        return body.start == stretch.position
    return body.validator == file.validator


def _goes_on(file: Incoming) -> DownloaderError:
    return DownloaderError(
        ExitCode.INTEGRITY,
        f"{file.remote.path} goes on after the {file.size} bytes that were announced",
        "The origin contradicts itself; report this to its owner.",
    )
