"""Files that are there already: a mounted directory of models, or one file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sources.interface import Plan, RemoteFile
from llmkube_downloader.sources.selection import checked_path, select

if TYPE_CHECKING:
    from llmkube_downloader.key import Source


class FileOrigin:
    """Copies a file, or a directory of files, from the local file system."""

    def resolve(self, source: Source) -> Plan:
        """List what is there. The path is taken as written, without percent decoding."""
        place = _place(source)
        try:
            return self._plan(source, place)
        except OSError as error:
            raise _unreadable(error) from error

    def _plan(self, source: Source, place: Path) -> Plan:
        if not stat.S_ISDIR(place.stat().st_mode):
            return Plan(None, (_remote(place, checked_path(place.name)),))
        paths = [str(file.relative_to(place)) for file in _files_below(place)]
        return Plan(None, tuple(_remote(place / path, checked_path(path)) for path in select(paths, source)))


class _FileBody:
    """The bytes of a local file."""

    delimited = True

    def __init__(self, path: Path) -> None:
        try:
            # Without O_NONBLOCK, opening a pipe in the place of a file would wait for ever.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            self.size: int | None = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise _unreadable(error) from error

    def readinto(self, buffer: memoryview) -> int:
        try:
            return os.readv(self._descriptor, [buffer])
        except OSError as error:
            raise _unreadable(error) from error

    def close(self) -> None:
        os.close(self._descriptor)


def _place(source: Source) -> Path:
    if not source.location.startswith("/"):
        raise DownloaderError(
            ExitCode.USAGE, f"{source.display} is no absolute path", "Write file:///path with three slashes."
        )
    return Path(source.location)


def _files_below(place: Path) -> list[Path]:
    """Return the files of a directory; links to files count as what they lead to, as in a hub's local cache."""
    found = []
    for directory, _, names in os.walk(place, onerror=_raise):
        found += [Path(directory) / name for name in names if (Path(directory) / name).is_file()]
    return found


def _raise(error: OSError) -> None:
    raise error


def _remote(file: Path, path: str) -> RemoteFile:
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DownloaderError(
            ExitCode.POLICY, f"{file} is neither a file nor a directory", "Give a file or a directory."
        )
    return RemoteFile(path, status.st_size, None, lambda: _FileBody(file))


def _unreadable(error: OSError) -> DownloaderError:
    code = ExitCode.AUTH if isinstance(error, PermissionError) else ExitCode.ORIGIN_UNAVAILABLE
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        code = ExitCode.NOT_FOUND
    return DownloaderError(
        code, f"{error.filename} can not be read: {error.strerror}", "Check the path, its permissions and its mount."
    )
