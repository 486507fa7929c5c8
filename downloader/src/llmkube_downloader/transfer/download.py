"""From remote files into files of an attempt: several connections receive, this thread hashes in order and judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sha256 import CHECKPOINT_BYTES, Sha256, checkpoint_count, has_states
from llmkube_downloader.store.disk import storage_errors
from llmkube_downloader.store.journal import Identity
from llmkube_downloader.transfer.crew import Crew
from llmkube_downloader.transfer.feed import Feed, Incoming
from llmkube_downloader.transfer.pace import Pace
from llmkube_downloader.transfer.receiver import Receiver
from llmkube_downloader.transfer.retry import Patience, Retries
from llmkube_downloader.transfer.ring import Ring, StoppedError
from llmkube_downloader.transfer.structure import check_whole
from llmkube_downloader.transfer.sync import Syncer
from llmkube_downloader.units import human_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkube_downloader.sources.interface import RemoteFile
    from llmkube_downloader.store.journal import Kept
    from llmkube_downloader.store.staging import Attempt
    from llmkube_downloader.transfer.progress import Meter

# All the memory that bytes wait in.
_RING_BYTES = 40 * 1024 * 1024
_SMALLEST_BLOCK = 64 * 1024
_LARGEST_BLOCK = 1024 * 1024
# A kill may lose a hundredth of a model: of each connection the block that it receives, and what nobody has read yet.
_LOST_SHARE = 100
_RECEIVING = 19  # the most by default, and some that are about to end
_UNREAD_BYTES = 32 * 1024
_SMALLEST_SYNC = 8 * 1024 * 1024
_LARGEST_SYNC = 64 * 1024 * 1024
_TICK_SECONDS = 0.2
_END_SECONDS = 1.5


@dataclass(frozen=True)
class Wanted:
    """A file to receive.

    - remote: where from.
    - name: its path in the entry.
    - sha256: what its hash has to be; None when nobody knows.
    """

    remote: RemoteFile
    name: str
    sha256: str | None


@dataclass(frozen=True)
class Received:
    """A file that is whole on disk.

    - validator: what its origin calls the content.
    - states: its SHA-256 states after every CHECKPOINT_BYTES; none when a process without states received it.
    """

    size: int
    sha256: str
    validator: str | None
    states: tuple[bytes, ...]


@dataclass(frozen=True)
class Limits:
    """What a transfer may use.

    - connections: how many at most.
    - rate: bytes per second of all together; None for no cap.
    - most: bytes that all files together may have when an origin does not say; None for no limit.
    """

    connections: int = 16
    rate: int | None = None
    most: int | None = None


class Download:
    """Receives the files of a model. Nobody else uses it meanwhile, and only once."""

    def __init__(self, retries: Retries, meter: Meter, limits: Limits, total: int | None) -> None:
        """Prepare to receive ``total`` bytes, None when nobody knows."""
        self._meter = meter
        self._limits = limits
        block = _block_size(total)
        slots = _RING_BYTES // block
        self._ring = Ring(block, slots)
        self._slots = slots
        self._syncer = Syncer(_between(_SMALLEST_SYNC, (total or 0) // 100, _LARGEST_SYNC), self._ring)
        self._patience = Patience(retries)
        self._pace = Pace(limits.rate, self._ring)
        self._first = 0

    def receive(self, wanted: Sequence[Wanted], attempt: Attempt) -> list[Received]:
        """Receive files into an attempt, or what it lacks of them.

        Raises BeginAgainError: when the origin has another content than at the beginning, or a body broke off that can
        not be gone on with.
        Raises DownloaderError: INTEGRITY, when the bytes are not what was promised; NO_SPACE, VOLUME and so on.
        """
        files = [Incoming(each.remote, each.sha256, identity_of(each), attempt.open) for each in wanted]
        feed = Feed(files, self._ring, self._slots)
        crew = Crew(lambda: self._receiver(feed), self._limits.connections, feed.suit)
        self._syncer.start()
        try:
            crew.start()
            return [self._finish(file, crew) for file in files]
        except StoppedError as stopped:
            # A receiver failed while this thread read again what is there.
            raise self._ring.failure or stopped from None
        finally:
            self._ring.stop()
            self._syncer.let_go()
            crew.end(_END_SECONDS)
            self._syncer.end(_END_SECONDS)
            for file in files:
                file.close()

    def _receiver(self, feed: Feed) -> Receiver:
        return Receiver(feed, self._ring, self._patience, self._pace, self._syncer, self._count)

    def _count(self, file: Incoming, count: int) -> None:
        self._meter.advance(count, copied=file.remote.copy is not None)
        if self._limits.most is not None and self._meter.done > self._limits.most:
            raise too_large("what the origin sends goes on", self._limits.most)

    def _finish(self, file: Incoming, crew: Crew) -> Received:
        """Hash a file to its end while it arrives, and judge it."""
        kept = file.part.kept
        if kept.whole and file.size is not None:
            self._pass_by(file, file.size)
            self._check_hash(file, kept.whole)
            states, count = tuple(_usable_states(kept)), checkpoint_count(file.size)
            received = Received(file.size, kept.whole, file.validator, states[:count] if len(states) >= count else ())
        else:
            digest, states = self._hash(file, crew)
            received = self._judge(file, digest, states)
        self._first += -(-received.size // self._ring.block)
        file.close()
        return received

    def _hash(self, file: Incoming, crew: Crew) -> tuple[Sha256, tuple[bytes, ...]]:
        """Hash a file to its end, and return its states too."""
        states = _usable_states(file.part.kept)
        digest = Sha256(states[-1] if states else None, len(states) * CHECKPOINT_BYTES)
        self._pass_by(file, digest.length)
        while file.size is None or digest.length < file.size:
            number = self._first + digest.length // self._ring.block
            block = self._next_block(file, number, digest.length, crew)
            if block is None:
                break
            digest.update(block)
            if digest.length % CHECKPOINT_BYTES == 0 and (state := digest.state()):
                file.part.reached(digest.length, state)
                states.append(state)
            self._ring.release(number)
            if len(block) < self._ring.block:
                break
        return digest, tuple(states[: checkpoint_count(digest.length)])

    def _pass_by(self, file: Incoming, length: int) -> None:
        """Free the ring for what follows the first ``length`` bytes of a file, which need no hashing."""
        self._ring.release(self._first + -(-length // self._ring.block) - 1)

    def _next_block(self, file: Incoming, number: int, offset: int, crew: Crew) -> memoryview | None:
        """Return the next block to hash: from disk when an earlier attempt received it, else from the ring.

        None, when a file of unknown size has turned out to end before it.
        """
        end = offset + self._ring.block if file.size is None else min(offset + self._ring.block, file.size)
        if file.has(offset, end):
            block = self._ring.room(number)[: end - offset]
            with storage_errors(f"reading {file.remote.path} again"):
                file.part.read(offset, block)
            return block
        while (received := self._ring.take(number, _TICK_SECONDS, lambda: file.size == offset)) is None:
            if file.size == offset:
                return None
            self._meter.tick()
            crew.adjust(self._meter.received)
        crew.adjust(self._meter.received)
        return received

    def _judge(self, file: Incoming, digest: Sha256, states: tuple[bytes, ...]) -> Received:
        """Compare a file with what was promised, and make it durable. What is wrong is removed."""
        size, found = digest.length, digest.hexdigest()
        self._syncer.forget(file.part)
        self._check_hash(file, found)
        self._check_structure(file, size)
        with storage_errors(f"syncing {file.remote.path}"):
            file.part.finish(size, found)
        return Received(size, found, file.validator, states)

    def _check_hash(self, file: Incoming, found: str) -> None:
        if file.sha256 is not None and found != file.sha256:
            self._discard(file)
            raise DownloaderError(
                ExitCode.INTEGRITY,
                f"{file.remote.path} has sha256 {found} instead of {file.sha256}",
                "Start again; if it stays so, the origin's copy is not the one expected.",
            )

    def _check_structure(self, file: Incoming, size: int) -> None:
        try:
            with storage_errors(f"reading {file.remote.path} again"), file.part.open_whole(size) as whole:
                check_whole(file.remote.path, whole, size)
        except DownloaderError as error:
            if error.code is ExitCode.INTEGRITY:
                self._discard(file)
            raise

    def _discard(self, file: Incoming) -> None:
        with storage_errors(f"removing {file.remote.path}"):
            file.part.discard()


def identity_of(wanted: Wanted) -> Identity:
    """Return which content a file is to have."""
    return Identity(wanted.name, wanted.remote.size, wanted.sha256, wanted.remote.validator)


def states_of(received: Sequence[Received]) -> bytes:
    """Return the states of all files, one after the other; none when a file lacks its own."""
    if any(len(file.states) != checkpoint_count(file.size) for file in received):
        return b""
    return b"".join(state for file in received for state in file.states)


def too_large(what: str, most: int) -> DownloaderError:
    """Return the error for a model larger than the user expects."""
    return DownloaderError(
        ExitCode.POLICY, f"{what} beyond the {human_size(most)} expected", "Correct --expect-size, or the selection."
    )


def _block_size(total: int | None) -> int:
    """Return the bytes of a block, a power of two."""
    share = (total or 0) // _LOST_SHARE // _RECEIVING - _UNREAD_BYTES
    return _between(_SMALLEST_BLOCK, 1 << max(0, max(share, 0).bit_length() - 1), _LARGEST_BLOCK)


def _between(least: int, value: int, most: int) -> int:
    return max(least, min(value, most))


def _usable_states(kept: Kept) -> list[bytes]:
    """Return the states that an earlier attempt reached without a gap, and whose bytes are there."""
    states: list[bytes] = []
    while has_states():
        offset = (len(states) + 1) * CHECKPOINT_BYTES
        if offset not in kept.states or not kept.ranges.covers(0, offset):
            break
        states.append(kept.states[offset])
    return states
