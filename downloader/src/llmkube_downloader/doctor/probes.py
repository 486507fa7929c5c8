"""Trying on a small scale what a cache does all the time, in a private directory that is removed again."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkube_downloader.doctor.finding import Finding, Level, fine, problem
from llmkube_downloader.errors import ExitCode
from llmkube_downloader.store.disk import create_exclusively, names_in, write_durably

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CHECK = "capabilities"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
# The volume is in trouble, which says nothing of what it could do otherwise.
_TROUBLE = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.ESHUTDOWN, errno.EROFS)
_DATA = b"probe"
_LONGEST_NAME = "n" * 255
_ODD_NAME = "an odd name, mödel-模型"
_OTHER_VOLUME = "Use a volume with another file system, such as ext4, xfs, NFS or CephFS."
_DURABLE = "Let nothing but caches of what can be fetched again lie here: after a power cut, names may be missing."
_NAMES = "Models whose files have such names can not be stored here: exclude these files, or use another volume."


@dataclass(frozen=True)
class _Probe:
    """Something that a cache needs.

    - what: what is tried.
    - run: tries it in an empty directory and returns what is wrong, or nothing. An OSError is wrong, too.
    - level: how bad it is when it does not work.
    - action: what to do then.
    """

    what: str
    run: Callable[[Path], str]
    level: Level = Level.PROBLEM
    action: str = _OTHER_VOLUME


def try_out(directory: Path) -> list[Finding]:
    """Return what does not work in a directory, which is left with whatever the probes made."""
    found = [finding for number, probe in enumerate(_PROBES) if (finding := _try(probe, directory / str(number)))]
    return found or [fine(_CHECK, f"all that a cache needs of a file system ({len(_PROBES)} probes)", directory.parent)]


def _try(probe: _Probe, place: Path) -> Finding | None:
    try:
        place.mkdir()
        wrong = probe.run(place)
    except OSError as error:
        return _failed(probe, error)
    if not wrong:
        return None
    code = ExitCode.FILE_SYSTEM if probe.level is Level.PROBLEM else ExitCode.OK
    return Finding(probe.level, _CHECK, f"{probe.what}: {wrong}", probe.what, probe.action, code)


def _failed(probe: _Probe, error: OSError) -> Finding:
    what = f"{probe.what}: {error.strerror}"
    if error.errno in _NO_SPACE:
        return problem(_CHECK, what, probe.what, "Free space on the volume, or enlarge the claim.", ExitCode.NO_SPACE)
    if error.errno in _TROUBLE:
        return problem(_CHECK, what, probe.what, "Check the health of the volume.", ExitCode.VOLUME)
    code = ExitCode.FILE_SYSTEM if probe.level is Level.PROBLEM else ExitCode.OK
    return Finding(probe.level, _CHECK, what, probe.what, probe.action, code)


def _file_exclusively(place: Path) -> str:
    os.close(create_exclusively(place / "file"))
    try:
        os.close(create_exclusively(place / "file"))
    except FileExistsError:
        return ""
    return "a file that is there can be created once more, so two pods would believe that they came first"


def _directory_exclusively(place: Path) -> str:
    (place / "directory").mkdir()
    try:
        (place / "directory").mkdir()
    except FileExistsError:
        return ""
    return "a directory that is there can be created once more"


def _write_durably(place: Path) -> str:
    write_durably(place / "file", _DATA)
    return "" if (place / "file").read_bytes() == _DATA else "what was written is not what is read"


def _write_in_place(place: Path) -> str:
    descriptor = create_exclusively(place / "file")
    try:
        os.pwrite(descriptor, _DATA * 2, 0)
        os.pwrite(descriptor, _DATA, len(_DATA) - 1)
        os.ftruncate(descriptor, 2 * len(_DATA) - 1)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    expected = _DATA[:-1] + _DATA
    return "" if (place / "file").read_bytes() == expected else "what was written is not what is read"


def _rename_file(place: Path) -> str:
    write_durably(place / "old", _DATA)
    (place / "old").rename(place / "new")
    return "" if names_in(place) == ["new"] else "both names are there, or none"


def _rename_directory(place: Path) -> str:
    (place / "old").mkdir()
    write_durably(place / "old" / "file", _DATA)
    (place / "old").rename(place / "new")
    moved = names_in(place) == ["new"] and names_in(place / "new") == ["file"]
    return "" if moved else "it did not move whole"


def _keep_full_directory(place: Path) -> str:
    for name in ("new", "there"):
        (place / name).mkdir()
        write_durably(place / name / name, _DATA)
    try:
        (place / "new").rename(place / "there")
    except OSError:
        return "" if names_in(place / "there") == ["there"] else "a refused rename removed what was there"
    return "a rename replaces a directory with files in it, so an entry could vanish under its readers"


def _sync_directory(place: Path) -> str:
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return ""


def _long_name(place: Path) -> str:
    os.close(create_exclusively(place / _LONGEST_NAME))
    return "" if names_in(place) == [_LONGEST_NAME] else "the name comes back as another one"


def _odd_name(place: Path) -> str:
    os.close(create_exclusively(place / _ODD_NAME))
    return "" if names_in(place) == [_ODD_NAME] else "the name comes back as another one"


def _case(place: Path) -> str:
    os.close(create_exclusively(place / "name"))
    try:
        os.close(create_exclusively(place / "NAME"))
    except FileExistsError:
        return "NAME is taken for name"
    return ""


_PROBES = (
    _Probe("creating files exclusively", _file_exclusively),
    _Probe("creating directories exclusively", _directory_exclusively),
    _Probe("writing and syncing files", _write_durably),
    _Probe("changing files in place", _write_in_place),
    _Probe("renaming files", _rename_file),
    _Probe("renaming directories", _rename_directory),
    _Probe("keeping full directories", _keep_full_directory),
    _Probe("syncing directories", _sync_directory, Level.WARNING, _DURABLE),
    _Probe("names of 255 bytes", _long_name, Level.WARNING, _NAMES),
    _Probe("names with spaces and letters of any language", _odd_name, Level.WARNING, _NAMES),
    _Probe("telling capitals from small letters", _case, Level.WARNING, _NAMES),
)
