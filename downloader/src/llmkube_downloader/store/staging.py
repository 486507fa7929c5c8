"""Staging: the private directory of one attempt to build an entry.

```
staging/<key>/<attempt>/
  owner.json          who writes here; see beacon.py
  received/files/     what will become the entry
  received/journal/   per file what of it is there; see journal.py
```

One inode has one writer for life. What a dead attempt received is gone on with in place when the death is proven: one
rename brings it to an attempt that has an owner already, so it never lies where nobody could tell whose it is. When its
writer was only silent for too long, what its journals prove is copied into new files.
"""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.beacon import Beacon, me, read_record
from llmkube_downloader.store.disk import create_exclusively, names_in, share_blocks, storage_errors, sync_file
from llmkube_downloader.store.journal import forget_unsynced, read_journal, write_journal
from llmkube_downloader.store.layout import OWNER, nonce
from llmkube_downloader.store.life import Life, life_of_attempt
from llmkube_downloader.store.part import Part
from llmkube_downloader.store.trash import discard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llmkube_downloader.store.beacon import Heartbeat
    from llmkube_downloader.store.journal import Identity
    from llmkube_downloader.store.layout import Layout

_RECEIVED = "received"
_FILES = "files"
_JOURNAL = "journal"
_COPY_BYTES = 8 * 1024 * 1024
# What st_blocks counts, whatever the file system's blocks are.
_SECTOR_BYTES = 512
# How often an attempt is begun before that is given up.
_TRIES = 5


@dataclass(frozen=True)
class Attempt:
    """A directory that nobody else writes into.

    - directory: where it lies.
    - same_boot: whether all that its journals say was written by this machine since it was switched on.
    """

    directory: Path
    same_boot: bool = True
    _parts: list[Part] = field(default_factory=list, repr=False, compare=False)

    @property
    def received(self) -> Path:
        """The directory of all that another attempt can go on with."""
        return self.directory / _RECEIVED

    @property
    def files(self) -> Path:
        """The directory that will become the entry."""
        return self.received / _FILES

    @property
    def journals(self) -> Path:
        """The directory of the journals."""
        return self.received / _JOURNAL

    def prepare(self) -> None:
        """Create the directories that are not there yet.

        Raises FileNotFoundError: when somebody removed the attempt meanwhile.
        """
        for directory in (self.received, self.files, self.journals):
            directory.mkdir(exist_ok=True)

    @property
    def in_use(self) -> bool:
        """Whether a thread of this process may still write to one of its files."""
        return any(part.in_use for part in self._parts)

    def open(self, identity: Identity) -> Part:
        """Go on with a file of the attempt, or begin it, with the directories above it.

        Raises DownloaderError: FILE_SYSTEM, when the file system takes the name for that of another file of the
        attempt; DELETED_OR_LOCK_TIMEOUT, when somebody removed the attempt meanwhile; and what storage_errors makes.
        """
        with storage_errors(f"creating {identity.path} in {self.files}"):
            try:
                _make_parents(self.files, identity.path)
                place, journal = self.files / identity.path, self.journal(identity.path)
                self._parts.append(Part(place, journal, identity, same_boot=self.same_boot))
                return self._parts[-1]
            except FileNotFoundError as error:
                raise deleted_meanwhile(self.files) from error
            except FileExistsError as error:
                if not any(place.samefile(self.files / part.identity.path) for part in self._parts):
                    # Somebody who takes this process for dead moved another attempt here.
                    raise deleted_meanwhile(self.files) from error
                raise DownloaderError(
                    ExitCode.FILE_SYSTEM,
                    f"the file system does not tell {identity.path} from another file of the same model",
                    "Use a volume with case-sensitive names, or exclude one of the files.",
                ) from error

    def keep_only(self, wanted: Sequence[Identity]) -> int:
        """Remove what is not of the wanted contents, and return the bytes of what is.

        Raises DownloaderError: as storage_errors does.
        """
        with storage_errors(f"sorting {self.directory}"):
            kept = {identity.path: bytes_kept for identity in wanted if (bytes_kept := self._kept(identity))}
            for directory, _, names in os.walk(self.files, topdown=False):
                for name in names:
                    path = (Path(directory) / name).relative_to(self.files).as_posix()
                    if path not in kept:
                        (self.files / path).unlink()
                        self.journal(path).unlink(missing_ok=True)
                if Path(directory) != self.files:
                    with suppress(OSError):
                        Path(directory).rmdir()
        return sum(kept.values())

    def allocated(self) -> int:
        """Return the bytes that the volume has given to the files: all of a file that has only begun, where it can."""
        with storage_errors(f"measuring {self.files}"):
            paths = (Path(directory) / name for directory, _, names in os.walk(self.files) for name in names)
            return sum(path.stat().st_blocks for path in paths) * _SECTOR_BYTES

    def _kept(self, identity: Identity) -> int:
        kept = read_journal(self.journal(identity.path), same_boot=self.same_boot)
        usable = kept is not None and identity.proves(kept.identity) and (self.files / identity.path).is_file()
        return kept.ranges.size if kept is not None and usable else 0

    def journal(self, path: str) -> Path:
        """The journal of a file; named so that no path is too long for it."""
        return self.journals / hashlib.sha256(path.encode("utf-8")).hexdigest()[:32]

    def copy(
        self, source: Path, identity: Identity, ranges: Sequence[tuple[int, int]], states: Mapping[int, bytes]
    ) -> None:
        """Take over bytes that another file has at the same places, with the SHA-256 states that are known of it.

        Raises OSError.
        """
        reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self.take_over(reader, identity, ranges, states)
        finally:
            os.close(reader)

    def take_over(
        self, reader: int, identity: Identity, ranges: Sequence[tuple[int, int]], states: Mapping[int, bytes]
    ) -> None:
        """Do what ``copy`` does, from an open file.

        Raises OSError.
        """
        target, journal = self.files / identity.path, self.journal(identity.path)
        _make_parents(self.files, identity.path)
        # What is there was left by a copying that was cut off: no journal promises anything of it.
        journal.unlink(missing_ok=True)
        target.unlink(missing_ok=True)
        _copy_ranges(reader, target, ranges)
        write_journal(journal, identity, ranges, states)

    def share(self, source: Path, identity: Identity) -> int:
        """Begin a file with the blocks of another one, and return its bytes; 0 where the file system can not do that.

        What is there of the file already is gone on with instead.

        Raises DownloaderError: as storage_errors does; what keeps blocks from being shared is no error.
        """
        if identity.size is None or self._kept(identity):
            return 0
        target, journal = self.files / identity.path, self.journal(identity.path)
        with storage_errors(f"removing {target}"):
            with suppress(OSError):
                _make_parents(self.files, identity.path)
                if share_blocks(source, target) and target.stat().st_size == identity.size:
                    sync_file(target)
                    write_journal(journal, identity, [(0, identity.size)], {})
                    return identity.size
            # Whatever is wrong is told when the bytes are copied.
            journal.unlink(missing_ok=True)
            target.unlink(missing_ok=True)
        return 0

    def usable(self) -> list[Identity]:
        """Return the contents of which something is there that a later attempt could go on with."""
        journals = [read_journal(self.journals / name, same_boot=self.same_boot) for name in names_in(self.journals)]
        return [kept.identity for kept in journals if kept and kept.identity.lasting and kept.ranges.size]


@contextmanager
def attempt(layout: Layout, key: str, heartbeat: Heartbeat) -> Iterator[Attempt]:
    """Yield an attempt to build an entry, with what dead attempts left of it.

    Only the holder of the build lease calls this. When the block ends without publication, what it received is left for
    the next attempt.
    """
    with storage_errors(f"preparing {layout.staging(key)}"):
        try:
            opened, owner = _begin(layout, key)
        except FileNotFoundError as error:
            raise deleted_meanwhile(layout.staging(key)) from error
    heartbeat.keep(owner)
    useful = False
    try:
        with storage_errors(f"preparing {opened.directory}"):
            try:
                _adopt(layout, key, opened)
                salvage(layout, key, opened)
            except (FileNotFoundError, FileExistsError) as error:
                # The latter says of a directory that it was there, and is gone.
                raise deleted_meanwhile(opened.directory) from error
        yield opened
    except BaseException as error:
        # A volume that failed may not have what it was given; all else can be gone on with.
        useful = not (isinstance(error, DownloaderError) and error.code is ExitCode.VOLUME)
        raise
    finally:
        heartbeat.drop(owner)
        if not opened.in_use:
            # A thread that hangs with the volume may write yet. Its end is proven by the end of the process alone.
            owner.release()
        with suppress(OSError):
            # What can not be removed now is a leftover for the next holder of the build lease.
            if not (useful and opened.files.is_dir()) or not opened.usable():
                discard(layout, opened.directory)


@contextmanager
def leave_attempt(layout: Layout, key: str) -> Iterator[Attempt]:
    """Yield an attempt that the next builder goes on with, when the block has filled it."""
    left, owner = _begin(layout, key)
    try:
        left.prepare()
        yield left
    except BaseException:
        owner.withdraw()
        discard(layout, left.directory)
        raise
    owner.release()


def deleted_meanwhile(path: Path) -> DownloaderError:
    """Return the error for an attempt that somebody else removed."""
    return DownloaderError(
        ExitCode.DELETED_OR_LOCK_TIMEOUT,
        f"{path} was removed meanwhile",
        "Fetch the model again if it is still wanted.",
    )


def _make_parents(files: Path, path: str) -> None:
    """Make the directories above a file, one level at a time: the attempt must not come back when it was removed."""
    for parent in reversed(PurePosixPath(path).parents[:-1]):
        (files / parent).mkdir(exist_ok=True)


def _begin(layout: Layout, key: str) -> tuple[Attempt, Beacon]:
    """Create an attempt with its owner; again where somebody took it for one without an owner meanwhile.

    Raises FileNotFoundError: when that happens every time.
    """
    for _ in range(_TRIES):
        begun = Attempt(layout.staging(key) / nonce())
        begun.directory.mkdir(parents=True)
        with suppress(FileNotFoundError):
            owner = Beacon(begun.directory / OWNER)
            if begun.directory.name in names_in(layout.staging(key)):
                return begun, owner
            owner.withdraw()
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(layout.staging(key)))


def _adopt(layout: Layout, key: str, into: Attempt) -> None:
    """Take over what the fullest attempt received whose writer is proven dead. The rename has one winner."""
    dead = [old for old in _others(layout, key, into) if life_of_attempt(old.directory) is Life.DEAD]
    for old in sorted(dead, key=_progress, reverse=True):
        with suppress(FileNotFoundError):
            _forget_unsynced(old)
            old.received.rename(into.received)
            break
    into.prepare()


def _forget_unsynced(old: Attempt) -> None:
    """Cut from journals what another boot wrote and did not sync, before they become those of this one.

    Raises FileNotFoundError: when another one took the attempt over meanwhile.
    """
    if old.same_boot:
        return
    for name in names_in(old.journals):
        forget_unsynced(old.journals / name)


def salvage(layout: Layout, key: str, into: Attempt) -> None:
    """Copy what silent attempts have and ``into`` lacks, then remove these and the dead ones.

    A live attempt is left alone: two processes may both believe that they hold the build lease.
    """
    for old in _others(layout, key, into):
        unborn = not read_record(old.directory / OWNER) and not old.received.exists()
        # Whoever died before its first word left no byte either; whoever did not die finds its directory gone.
        if unborn or life_of_attempt(old.directory) is not Life.LIVE:
            _copy_missing(old, into)
            discard(layout, old.directory)


def _others(layout: Layout, key: str, attempt: Attempt) -> list[Attempt]:
    """Return the other attempts to build an entry, and remove what else lies there: probes whose makers died."""
    others = []
    for path in (layout.staging(key) / name for name in names_in(layout.staging(key))):
        if path.is_dir():
            others.append(Attempt(path, same_boot=_same_boot(path)))
        else:
            with suppress(OSError):
                path.unlink()
    return [other for other in others if other.directory != attempt.directory]


def _copy_missing(old: Attempt, into: Attempt) -> None:
    for name in names_in(old.journals):
        kept = read_journal(old.journals / name, same_boot=old.same_boot)
        if kept is None or not kept.ranges.size or not _is_within(kept.identity.path):
            continue
        here = read_journal(into.journal(kept.identity.path), same_boot=True)
        if here is None or not here.ranges.size:
            _copy_one(old, name, kept.identity, into)


def _copy_one(old: Attempt, name: str, identity: Identity, into: Attempt) -> None:
    """Copy what a silent writer has of a file.

    It may wake up meanwhile and begin the file anew with another content, for which it unlinks the old one first: so
    the journal is read after the file is open, and counts only while the name leads to that file.
    """
    source = old.files / identity.path
    with suppress(FileNotFoundError):
        reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            kept = read_journal(old.journals / name, same_boot=old.same_boot)
            if kept is not None and kept.identity == identity and os.path.samestat(source.stat(), os.fstat(reader)):
                into.take_over(reader, identity, list(kept.ranges), kept.states)
        finally:
            os.close(reader)


def _is_within(path: str) -> bool:
    """Return whether a path that was read from the volume leads to nothing outside of an attempt."""
    return not path.startswith("/") and ".." not in PurePosixPath(path).parts


def _copy_ranges(reader: int, target: Path, ranges: Sequence[tuple[int, int]]) -> None:
    writer = create_exclusively(target)
    try:
        for start, end in ranges:
            copy_range(reader, writer, start, end)
        os.fsync(writer)
    finally:
        os.close(writer)


def copy_range(reader: int, writer: int, start: int, end: int) -> None:
    """Copy bytes from one file to the same place of another, inside the file server where it can.

    Raises OSError: also when the bytes are not there.
    """
    while start < end:
        length = min(end - start, _COPY_BYTES)
        try:
            count = os.copy_file_range(reader, writer, length, start, start)
        except (OSError, AttributeError):
            count = os.pwrite(writer, os.pread(reader, length, start), start)
        if not count:
            raise OSError(f"{length} bytes at {start} are missing")
        start += count


def _same_boot(directory: Path) -> bool:
    boot = str(me()["bootId"])
    return bool(boot) and bool(read_record(directory / OWNER).get("bootId") == boot)


def _progress(old: Attempt) -> int:
    journals = [read_journal(old.journals / name, same_boot=old.same_boot) for name in names_in(old.journals)]
    return sum(kept.ranges.size for kept in journals if kept)
