"""Can a directory hold a cache, and is what lies there healthy? Everything is looked at, nothing is changed."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager
from time import time
from typing import TYPE_CHECKING, Any

from llmkube_downloader.doctor.contents import examine
from llmkube_downloader.doctor.finding import Finding, Level, fine, of_error, problem, warning
from llmkube_downloader.doctor.mounts import judge, kind_of
from llmkube_downloader.doctor.origin import ask
from llmkube_downloader.doctor.probes import try_out
from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.report import SCHEMA, usage_json
from llmkube_downloader.store.disk import file_server_now, identity, storage_errors
from llmkube_downloader.store.layout import Layout, nonce
from llmkube_downloader.store.mounts import mount_of
from llmkube_downloader.store.volume import unwritable, usage
from llmkube_downloader.units import human_duration, human_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmkube_downloader.key import Source
    from llmkube_downloader.store.mounts import Mount

_DIRECTORY, _ACCESS, _SPACE, _FILES, _CLOCK = "directory", "access", "space", "number of files", "clock"
_SCARCE = 0.05
_CLOCK_SECONDS = 60.0


def diagnose(root: Path, source: Source | None = None, allow_http: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return what is to be said about the directory of a cache, as ``doctor -o json`` shows it.

    - source: a source whose origin is asked, too.
    - allow_http: hosts that may be asked without encryption.
    """
    if not root.is_dir():
        return _report(root, None, [_absent(root)])
    mount = mount_of(root)
    findings = [judge(mount, root), *_writing(root, mount)]
    findings += [finding for check in (_space, _number_of_files) for finding in check(root)]
    findings += examine(Layout(root))
    if source is not None:
        findings += ask(source, Layout(root), allow_http)
    return _report(root, mount, findings)


def exit_code(report: dict[str, Any]) -> int:
    """Return what the process ends with: the code of the first problem."""
    codes = [finding["code"] for finding in report["findings"] if finding["level"] == Level.PROBLEM.value]
    return int(codes[0]) if codes else ExitCode.OK


def _report(root: Path, mount: Mount | None, findings: list[Finding]) -> dict[str, Any]:
    try:
        volume = usage_json(usage(root)) if root.is_dir() else None
    except DownloaderError:
        volume = None
    return {
        "schema": SCHEMA,
        "root": str(root),
        "user": identity(),
        "fileSystem": kind_of(mount) if mount else None,
        "mountPoint": mount.point if mount else None,
        "volume": volume,
        "findings": [finding.to_json() for finding in findings],
    }


def _absent(root: Path) -> Finding:
    action = "Mount the volume there, or give the directory of the cache with --root."
    return problem(_DIRECTORY, "there is no such directory", root, action, ExitCode.NOT_FOUND)


def _writing(root: Path, mount: Mount | None) -> list[Finding]:
    """Return what only somebody who writes can find out."""
    if mount is not None and mount.read_only:
        return [_read_only(root)]
    try:
        with _private_directory(root) as directory:
            return [_writable(root), *try_out(directory), _clock(root, directory)]
    except OSError as error:
        return [_read_only(root) if error.errno == errno.EROFS else of_error(_ACCESS, root, unwritable(error, root))]


@contextmanager
def _private_directory(root: Path) -> Iterator[Path]:
    """Yield an empty directory, and leave nothing of it."""
    directory = root / f".llmkube.doctor.{nonce()}"
    directory.mkdir()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _read_only(root: Path) -> Finding:
    action = "Nothing, where entries are only read; to fetch, mount the volume writable."
    return warning(_ACCESS, "mounted read-only: entries can be read, nothing can be fetched", root, action)


def _writable(root: Path) -> Finding:
    status = root.stat()
    owner = f"it belongs to {status.st_uid}:{status.st_gid} with mode {status.st_mode & 0o7777:04o}"
    return fine(_ACCESS, f"can be written by {identity()}; {owner}", root)


def _clock(root: Path, directory: Path) -> Finding:
    """Compare the clock of this machine with that of the one that gives files their times."""
    try:
        apart = abs(file_server_now(directory) - time())
    except OSError as error:
        return warning(_CLOCK, f"can not be compared: {error.strerror}", root, "Check the health of the volume.")
    what = f"{human_duration(apart)} apart from that of the file server"
    if apart < _CLOCK_SECONDS:
        return fine(_CLOCK, what, root)
    action = "Set both clocks by NTP. The cache never compares them, but certificates and tokens depend on this one."
    return warning(_CLOCK, what, root, action)


def _space(root: Path) -> list[Finding]:
    try:
        space = usage(root)
    except DownloaderError as error:
        return [of_error(_SPACE, root, error)]
    if not space.total:
        return [fine(_SPACE, "the file system does not say", root)]
    what = f"{human_size(space.free)} free of {human_size(space.total)}"
    return [_of_share(_SPACE, what, root, space.free, space.total)]


def _number_of_files(root: Path) -> list[Finding]:
    """Return whether files can be made; many file systems have no limit and say zero."""
    with storage_errors(f"asking {root} how many files it may hold"):
        status = os.statvfs(root)
    if not status.f_files:
        return []
    return [_of_share(_FILES, f"{status.f_favail} of {status.f_files} left", root, status.f_favail, status.f_files)]


def _of_share(check: str, what: str, root: Path, free: int, total: int) -> Finding:
    action = "Remove entries that are not needed (llmkube-downloader list, then remove), or enlarge the claim."
    if not free:
        return problem(check, what, root, action, ExitCode.NO_SPACE)
    return warning(check, what, root, action) if free < total * _SCARCE else fine(check, what, root)
