"""How files become an entry: where they lie, or by way of a workplace from where others had them."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from llmkube_downloader import __version__
from llmkube_downloader.adopt.reading import copy, prove
from llmkube_downloader.adopt.workplace import workplace
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.store.disk import names_in, share_blocks, storage_errors, sync_directory, write_durably
from llmkube_downloader.store.layout import MANIFEST_NAME, STATES_NAME
from llmkube_downloader.store.manifest import FileRecord, Manifest, Selection
from llmkube_downloader.store.publish import publish
from llmkube_downloader.store.volume import check_space

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmkube_downloader.adopt.candidate import Candidate, Original
    from llmkube_downloader.adopt.reading import Proof
    from llmkube_downloader.adopt.workplace import Workplace
    from llmkube_downloader.store.beacon import Heartbeat
    from llmkube_downloader.store.layout import Layout
    from llmkube_downloader.transfer.progress import Meter


@dataclass(frozen=True)
class Entering:
    """Makes entries of candidates. The build lease of their key is ours meanwhile.

    - move: whether originals may be taken from where they lie.
    """

    layout: Layout
    heartbeat: Heartbeat
    meter: Meter
    move: bool

    def in_place(self, candidate: Candidate) -> int:
        """Make a directory in the root an entry where it lies. Its manifest is its publication, so it comes last.

        Returns the bytes that were copied, which are none.

        Raises DownloaderError: INTEGRITY, when a file is damaged.
        """
        entry = self.layout.entry(candidate.key)
        with storage_errors(f"adopting {entry}"), workplace(self.layout, self.heartbeat) as place:
            proofs = {file.name: prove(file, file.path, self.meter.advance) for file in candidate.files}
            manifest, states = _described(candidate, proofs)
            with _renamed(_renames(candidate, entry)):
                _sync_directories(entry, candidate)
                self._seal(entry, place, manifest.dump(), states)
        return 0

    def _seal(self, entry: Path, place: Workplace, manifest: bytes, states: bytes) -> None:
        """Give a directory its manifest. It is written elsewhere, so that nobody ever reads a half one."""
        (entry / STATES_NAME).unlink(missing_ok=True)
        for name, data in ((STATES_NAME, states), (MANIFEST_NAME, manifest)):
            if data:
                write_durably(place.files / name, data)
                if MANIFEST_NAME in names_in(entry):
                    raise _being_adopted(entry)
                (place.files / name).rename(entry / name)
        sync_directory(entry)
        sync_directory(entry.parent)

    def from_elsewhere(self, candidate: Candidate) -> int:
        """Make an entry of files that lie elsewhere: taken, cloned or copied. Returns the bytes that were copied.

        Raises DownloaderError: INTEGRITY, when a file is damaged; NO_SPACE; and what publish raises.
        """
        with storage_errors(f"adopting {candidate.place}"), workplace(self.layout, self.heartbeat) as place:
            proofs, copied = self._gather(candidate, place)
            manifest, states = _described(candidate, proofs)
            publish(self.layout, place.files, manifest, states)
            # When somebody else published the entry meanwhile, everything is put back.
            ours = not place.files.exists()
        if ours and self.move:
            self._remove_originals(candidate)
        return copied

    def _gather(self, candidate: Candidate, place: Workplace) -> tuple[dict[str, Proof], int]:
        """Bring all files to the workplace, and return what each is by its name, and the bytes that were copied."""
        targets = {file.name: place.target(candidate.names[file.name]) for file in candidate.files}
        movable = [file for file in candidate.files if self.move and is_movable(file, self.layout.root)]
        others = [file for file in candidate.files if file not in movable]
        cloned = [file for file in others if share_blocks(file.path, targets[file.name])]
        copied = [file for file in others if file not in cloned]
        check_space(self.layout.root, sum(file.size for file in copied))
        advance = self.meter.advance
        proofs = {file.name: prove(file, targets[file.name], advance) for file in cloned}
        proofs |= {file.name: copy(file, targets[file.name], advance) for file in copied}
        proofs |= {file.name: prove(file, file.path, advance) for file in movable}
        elsewhere = place.take({file.path: candidate.names[file.name] for file in movable})
        for file in (file for file in movable if file.path in elsewhere):
            check_space(self.layout.root, file.size)
            proofs[file.name] = copy(file, targets[file.name], advance)
            copied.append(file)
        return proofs, sum(file.size for file in copied)

    def _remove_originals(self, candidate: Candidate) -> None:
        """Remove what was copied or cloned, and the links to what is gone; the entry holds all of it."""
        paths = [path for file in candidate.files if not file.shared for path in (*file.links, file.path)]
        for path in paths:
            self._remove(path)
        for path in paths:
            _remove_empty(path.parent, candidate.place)

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self.meter.say(f"{path} was adopted, but can not be removed: {error.strerror}")


def is_movable(original: Original, root: Path) -> bool:
    """Return whether a file may be taken from its place and, as far as that is known, can be.

    One that has another name somewhere must not be: whoever knows that name could write to what is in an entry.
    """
    status = original.path.lstat()
    return not original.shared and status.st_nlink == 1 and status.st_dev == root.stat().st_dev


def refuse_renaming(candidate: Candidate, entry: Path) -> None:
    """Refuse a directory whose file would have to get another name.

    Raises DownloaderError: POLICY.
    """
    for path in _renames(candidate, entry):
        raise DownloaderError(
            ExitCode.POLICY,
            f"{path} would have to be called model.gguf to be found by servers",
            "Let it be renamed with llmkube-downloader adopt --move; nothing else is changed.",
        )


def _renames(candidate: Candidate, entry: Path) -> dict[Path, Path]:
    """Map the files of a directory that have another name as an entry to that name."""
    places = {file.path: _place_in(entry, candidate, file) for file in candidate.files}
    return {path: place for path, place in places.items() if path != place}


def _place_in(entry: Path, candidate: Candidate, file: Original) -> Path:
    return entry / candidate.names[file.name]


@contextmanager
def _renamed(renames: dict[Path, Path]) -> Iterator[None]:
    """Give files other names, and their old ones again when the block fails."""
    for old, new in renames.items():
        old.rename(new)
    try:
        yield
    except BaseException:
        for old, new in renames.items():
            with suppress(OSError):
                new.rename(old)
        raise


def _described(candidate: Candidate, proofs: dict[str, Proof]) -> tuple[Manifest, bytes]:
    """Return the manifest of an entry, and the SHA-256 states of all its files."""
    states = b"".join(state for file in candidate.files for state in proofs[file.name].states)
    source = candidate.source
    records = (
        FileRecord(
            path=candidate.names[file.name],
            origin=file.name,
            size=file.size,
            sha256=proofs[file.name].sha256,
            verified="sha256" if file.sha256 else "size",
        )
        for file in candidate.files
    )
    manifest = Manifest(
        key=candidate.key,
        source=candidate.title,
        selection=Selection(source.files, source.include, source.exclude) if source else Selection(),
        revision=candidate.revision,
        files=tuple(records),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        tool=f"llmkube-downloader {__version__}",
        checkpoints=hashlib.sha256(states).hexdigest() if states else None,
    )
    return manifest, states


def _sync_directories(entry: Path, candidate: Candidate) -> None:
    folders = {parent for file in candidate.files for parent in _place_in(entry, candidate, file).parents}
    for folder in sorted((folder for folder in folders if folder.is_relative_to(entry)), reverse=True):
        sync_directory(folder)


def _remove_empty(folder: Path, top: Path) -> None:
    while folder != top and folder.is_relative_to(top):
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def _being_adopted(entry: Path) -> DownloaderError:
    return DownloaderError(ExitCode.POLICY, f"somebody else gave {entry} a manifest meanwhile", "Start again.")
