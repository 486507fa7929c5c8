"""Staging: the private directory of one attempt to build an entry.

```
staging/<key>/<attempt>/
  owner.json     who writes here; see beacon.py
  files/         what will become the entry
  journal/       per file what of it is there; see journal.py
```

One inode has one writer for life. What a dead attempt left is gone on with in place when the death is proven; when its
writer was only silent for too long, what its journals prove is copied into new files.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.beacon import Beacon, is_stale, me, read_record
from llmkube_downloader.store.disk import create_exclusively, names_in, storage_errors
from llmkube_downloader.store.journal import begin_journal, go_on_with_journal, read_journal
from llmkube_downloader.store.layout import nonce
from llmkube_downloader.store.life import Life, life_of
from llmkube_downloader.store.part import Part
from llmkube_downloader.store.trash import discard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmkube_downloader.store.beacon import Heartbeat
    from llmkube_downloader.store.journal import Identity
    from llmkube_downloader.store.layout import Layout

OWNER = "owner.json"
_FILES = "files"
_JOURNAL = "journal"
_COPY_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Attempt:
    """A directory that nobody else writes into.

    - directory: where it lies.
    - same_boot: whether all that its journals say was written by this machine since it was switched on.
    """

    directory: Path
    same_boot: bool = True

    @property
    def files(self) -> Path:
        """The directory that will become the entry."""
        return self.directory / _FILES

    @property
    def journals(self) -> Path:
        """The directory of the journals."""
        return self.directory / _JOURNAL

    def open(self, identity: Identity) -> Part:
        """Go on with a file of the attempt, or begin it, with the directories above it.

        Raises DownloaderError: FILE_SYSTEM, when the file system takes the name for that of another file of the
        attempt; DELETED_OR_LOCK_TIMEOUT, when somebody removed the attempt meanwhile; and what storage_errors makes.
        """
        with storage_errors(f"creating {identity.path} in {self.files}"):
            try:
                for parent in reversed(PurePosixPath(identity.path).parents[:-1]):
                    # One level at a time: the attempt itself must not come back when somebody removed it.
                    (self.files / parent).mkdir(exist_ok=True)
                return Part(self.files / identity.path, self.journal(identity.path), identity, same_boot=self.same_boot)
            except FileNotFoundError as error:
                raise deleted_meanwhile(self.files) from error
            except FileExistsError as error:
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
            for directory, _, names in os.walk(self.files):
                for name in names:
                    path = (Path(directory) / name).relative_to(self.files).as_posix()
                    if path not in kept:
                        (self.files / path).unlink()
                        self.journal(path).unlink(missing_ok=True)
        return sum(kept.values())

    def _kept(self, identity: Identity) -> int:
        kept = read_journal(self.journal(identity.path), same_boot=self.same_boot)
        return kept.ranges.size if kept is not None and identity.proves(kept.identity) else 0

    def journal(self, path: str) -> Path:
        """The journal of a file; named so that no path is too long for it."""
        return self.journals / hashlib.sha256(path.encode("utf-8")).hexdigest()[:32]

    def copy(self, source: Path, identity: Identity, ranges: list[tuple[int, int]], states: dict[int, bytes]) -> None:
        """Take over bytes that another file has at the same places, with the SHA-256 states that are known of it.

        Raises OSError.
        """
        target = self.files / identity.path
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy_ranges(source, target, ranges)
        journal = begin_journal(self.journal(identity.path), identity)
        for start, end in ranges:
            journal.wrote(start, end)
        for offset, state in states.items():
            journal.reached(offset, state)
        journal.synced(journal.length)
        journal.close()

    def is_empty(self) -> bool:
        """Return whether nothing in the attempt is worth to be gone on with."""
        journals = [read_journal(self.journals / name, same_boot=self.same_boot) for name in names_in(self.journals)]
        return not any(kept and kept.identity.lasting and kept.ranges.size for kept in journals)


@contextmanager
def attempt(layout: Layout, key: str, heartbeat: Heartbeat) -> Iterator[Attempt]:
    """Yield an attempt to build an entry, with what dead attempts left of it.

    Only the holder of the build lease calls this. When the block ends without publication, what it received is left for
    the next attempt.
    """
    with storage_errors(f"preparing {layout.staging(key)}"):
        opened = _adopt(layout, key) or _create(layout, key)
        owner = Beacon(opened.directory / OWNER)
        salvage(layout, key, opened)
    heartbeat.keep(owner)
    useful = False
    try:
        yield opened
    except BaseException as error:
        # A volume that failed may not have what it was given; all else can be gone on with.
        useful = not (isinstance(error, DownloaderError) and error.code is ExitCode.VOLUME)
        raise
    finally:
        heartbeat.drop(owner)
        with suppress(OSError):
            # What can not be removed now is a leftover for the next holder of the build lease.
            if useful and opened.files.is_dir() and not opened.is_empty():
                owner.release()
            else:
                owner.withdraw()
                discard(layout, opened.directory)


@contextmanager
def leave_attempt(layout: Layout, key: str) -> Iterator[Attempt]:
    """Yield an attempt that the next builder goes on with, when the block has filled it."""
    left = _create(layout, key)
    owner = Beacon(left.directory / OWNER)
    try:
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


def _create(layout: Layout, key: str) -> Attempt:
    created = Attempt(layout.staging(key) / nonce())
    created.files.mkdir(parents=True)
    created.journals.mkdir()
    return created


def _adopt(layout: Layout, key: str) -> Attempt | None:
    """Take over the fullest attempt whose writer is proven dead. The rename has one winner."""
    parent = layout.staging(key)
    dead = [parent / name for name in names_in(parent) if life_of_attempt(parent / name) is Life.DEAD]
    for directory in sorted(dead, key=_progress, reverse=True):
        adopted = Attempt(parent / nonce(), same_boot=_same_boot(directory))
        try:
            directory.rename(adopted.directory)
        except FileNotFoundError:
            continue
        (adopted.directory / OWNER).unlink(missing_ok=True)
        if adopted.files.is_dir() and adopted.journals.is_dir():
            _forget_unsynced(adopted)
            return Attempt(adopted.directory)
        discard(layout, adopted.directory)
    return None


def _forget_unsynced(adopted: Attempt) -> None:
    """Cut from the journals what another boot wrote and did not sync: from now on the attempt is of this one."""
    if adopted.same_boot:
        return
    for name in names_in(adopted.journals):
        kept = read_journal(adopted.journals / name, same_boot=False)
        if kept is None:
            (adopted.journals / name).unlink()
        else:
            go_on_with_journal(adopted.journals / name, kept).close()


def salvage(layout: Layout, key: str, into: Attempt) -> None:
    """Copy what silent attempts have and ``into`` lacks, then remove these and the dead ones.

    A live attempt is left alone: two processes may both believe that they hold the build lease.
    """
    parent = layout.staging(key)
    for name in names_in(parent):
        directory = parent / name
        if directory == into.directory or life_of_attempt(directory) is Life.LIVE:
            continue
        _copy_missing(Attempt(directory, same_boot=_same_boot(directory)), into)
        discard(layout, directory)


def _copy_missing(old: Attempt, into: Attempt) -> None:
    for name in names_in(old.journals):
        kept = read_journal(old.journals / name, same_boot=old.same_boot)
        if kept is None or not kept.ranges.size or name in names_in(into.journals):
            continue
        source = old.files / kept.identity.path
        if source.is_file():
            into.copy(source, kept.identity, list(kept.ranges), kept.states)


def _copy_ranges(source: Path, target: Path, ranges: list[tuple[int, int]]) -> None:
    reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        writer = create_exclusively(target)
        try:
            for start, end in ranges:
                copy_range(reader, writer, start, end)
            os.fsync(writer)
        finally:
            os.close(writer)
    finally:
        os.close(reader)


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


def life_of_attempt(directory: Path) -> Life:
    """Return what is known about the writer of an attempt.

    Raises OSError: where nothing can be written, the time of the file server can not be asked for.
    """
    if OWNER in names_in(directory):
        with suppress(FileNotFoundError):
            return life_of(directory / OWNER)
    # Between creating the directory and the record lies a moment; only an old one without a record is dead.
    return Life.STALE if is_stale(directory) else Life.LIVE


def _same_boot(directory: Path) -> bool:
    boot = str(me()["bootId"])
    return bool(boot) and bool(read_record(directory / OWNER).get("bootId") == boot)


def _progress(directory: Path) -> int:
    old = Attempt(directory)
    journals = [read_journal(old.journals / name, same_boot=True) for name in names_in(old.journals)]
    return sum(kept.ranges.size for kept in journals if kept)
