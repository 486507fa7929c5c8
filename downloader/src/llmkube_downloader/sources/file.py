"""Files that are there already: a mounted directory of models, or one file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.sources.interface import Plan, RemoteFile, Span
from llmkube_downloader.sources.selection import checked_path, refuse_selection, select
from llmkube_downloader.sources.shards import check_shards, is_first_shard, with_shards
from llmkube_downloader.transfer.retry import changed

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkube_downloader.key import Source
    from llmkube_downloader.sources.interface import Body


class FileOrigin:
    """Copies a file, or a directory of files, from the local file system."""

    def resolve(self, source: Source) -> Plan:
        """List what is there. The path is taken as written, without percent decoding."""
        return plan_of(source, _place(source))


def plan_of(source: Source, place: Path, within: Path | None = None) -> Plan:
    """Return the plan to copy a file or a directory.

    - source: what of a directory is wanted.
    - place: absolute path of the file or directory.
    - within: the directory that links must not lead out of; None where they may.

    Raises DownloaderError: NOT_FOUND, AUTH or ORIGIN_UNAVAILABLE, when it can not be read; POLICY, when it is neither
    file nor directory or a link leads out; and what select raises.
    """
    try:
        return Plan(None, tuple(_remote(file, path, within) for path, file in _wanted(source, place).items()))
    except OSError as error:
        raise _unreadable(error) from error


def _wanted(source: Source, place: Path) -> dict[str, Path]:
    """Map the paths of the wanted files to where they lie."""
    if stat.S_ISDIR(place.stat().st_mode):
        paths = {str(file.relative_to(place)): file for file in _files_below(place)}
        wanted = select({path: file.stat().st_size for path, file in paths.items()}, source)
        return {checked_path(path): paths[path] for path in wanted}
    refuse_selection(source)
    if not is_first_shard(place.name):
        return {checked_path(place.name): place}
    beside = os.listdir(place.parent)  # noqa: PTH208 - names are wanted, not paths
    check_shards([place.name], beside, str(place.parent))
    return {name: place.parent / name for name in sorted(with_shards(place.name, beside))}


class _FileBody:
    """The bytes of a local file."""

    delimited = True

    def __init__(self, path: Path, span: Span) -> None:
        try:
            # Without O_NONBLOCK, opening a pipe in the place of a file would wait for ever.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            status = os.fstat(self._descriptor)
        except OSError as error:
            raise _unreadable(error) from error
        self._path = path
        self.total: int | None = status.st_size
        self.validator: str | None = _validator(status)
        self.start = span.start
        self._end = status.st_size if span.end is None else min(span.end, status.st_size)
        self.size: int | None = max(0, self._end - self.start)
        self._place = self.start

    def readinto(self, buffer: memoryview) -> int:
        try:
            count = os.preadv(self._descriptor, [buffer[: max(0, self._end - self._place)]], self._place)
            validator = _validator(os.fstat(self._descriptor))
        except OSError as error:
            error.filename = self._path
            raise _unreadable(error) from error
        if validator != self.validator:
            raise changed(f"{self._path} was written to while it was copied")
        self._place += count
        return count

    def close(self) -> None:
        os.close(self._descriptor)

    def abort(self) -> None:
        """Nothing waits for a file."""


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


def _remote(file: Path, path: str, within: Path | None) -> RemoteFile:
    if within is not None and not file.resolve().is_relative_to(within.resolve()):
        raise DownloaderError(
            ExitCode.POLICY,
            f"{file} is a link that leads out of {within}",
            "Put the file itself there, or leave it out with --exclude.",
        )
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DownloaderError(
            ExitCode.POLICY, f"{file} is neither a file nor a directory", "Give a file or a directory."
        )
    return RemoteFile(path, status.st_size, None, open_local(file), _validator(status))


def open_local(file: Path) -> Callable[[Span], Body]:
    """Return what opens a span of a local file, for RemoteFile.open."""
    return lambda span: _FileBody(file, span)


def _validator(status: os.stat_result) -> str:
    """Return what changes when somebody writes to the file or replaces it."""
    return f'"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"'


def _unreadable(error: OSError) -> DownloaderError:
    code = ExitCode.AUTH if isinstance(error, PermissionError) else ExitCode.ORIGIN_UNAVAILABLE
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        code = ExitCode.NOT_FOUND
    return DownloaderError(
        code, f"{error.filename} can not be read: {error.strerror}", "Check the path, its permissions and its mount."
    )
