"""Rows of the table: mounted sources, what is wrong with a whole model, and the volume that it is written to."""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fault_places import MODEL, NAME, OTHER, FilePlace
from fault_table import BODY, OFFSETS, SOURCES, Fault

from llmkube_downloader.errors import ExitCode
from llmkube_downloader.store import volume
from llmkube_downloader.store.beacon import Beacon
from llmkube_downloader.store.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from fault_places import Place

_FILE = ("file",)
_OK, _USAGE, _AUTH, _MISSING = ExitCode.OK, ExitCode.USAGE, ExitCode.AUTH, ExitCode.NOT_FOUND
_BAD, _FULL, _VOLUME, _AWAY = ExitCode.INTEGRITY, ExitCode.NO_SPACE, ExitCode.VOLUME, ExitCode.ORIGIN_UNAVAILABLE
_UNSUITABLE, _GONE, _POLICY = ExitCode.FILE_SYSTEM, ExitCode.DELETED_OR_LOCK_TIMEOUT, ExitCode.POLICY
# What a fetch of the small model takes when nothing goes wrong, and a few requests more.
_WELL = 24
_BLOCK = 64 * 1024
# A header that promises three tensors, which take more than there is.
_SHORT = MODEL[:8] + (3).to_bytes(8, "little") + MODEL[16:60]
_VERSION_9 = MODEL[:4] + (9).to_bytes(4, "little") + MODEL[8:]
_ERRORS_OF_WRITING = {errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.EIO: _VOLUME}
_ERRORS = {**_ERRORS_OF_WRITING, errno.EROFS: _VOLUME, errno.EACCES: _VOLUME}


def fails(call: str, where: str, number: int, nth: int = 1) -> Callable[[Place, str], None]:
    """Let a call fail for paths that match, from the nth time on.

    - call: a function of os, or ``mkdir`` or ``rename`` of Path.
    - number: the errno.
    """
    owner: Any = Path if call in ("mkdir", "rename") else os

    def arrange(place: Place, phase: str) -> None:
        genuine = getattr(owner, call)
        first = nth + OFFSETS.get(phase, 0) // _BLOCK
        numbers = itertools.count(1)

        def failing(target: Any, *arguments: Any, **settings: Any) -> Any:
            path = str(Path(f"/proc/self/fd/{target}").readlink() if isinstance(target, int) else target)
            if re.search(where, path) and next(numbers) >= first:
                raise OSError(number, os.strerror(number), path)
            return genuine(target, *arguments, **settings)

        place.trouble.setattr(owner, call, failing)

    return arrange


def _name(number: int) -> str:
    return errno.errorcode[number]


def _unlinked(place: FilePlace, _: str) -> None:
    place.path.unlink()
    place.on_mending(lambda: place.path.write_bytes(MODEL))


def _pipe(place: FilePlace, phase: str) -> None:
    _unlinked(place, phase)
    os.mkfifo(place.path)
    place.on_mending(place.path.unlink)


def _while_copied(change: Callable[[FilePlace], None]) -> Callable[[FilePlace, str], None]:
    """Do something to the source when the byte of the phase was read."""

    def arrange(place: FilePlace, phase: str) -> None:
        genuine = os.preadv
        done: list[bool] = []

        def preadv(descriptor: int, buffers: Any, offset: int) -> int:
            count = genuine(descriptor, buffers, offset)
            if place.is_source(descriptor) and offset <= OFFSETS[phase] < offset + count and not done:
                done.append(True)
                change(place)
            return count

        place.trouble.setattr(os, "preadv", preadv)

    return arrange


def _unreadable(number: int) -> Callable[[FilePlace, str], None]:
    """Let reading the source fail from the byte of the phase on."""

    def arrange(place: FilePlace, phase: str) -> None:
        genuine = os.preadv

        def preadv(descriptor: int, buffers: Any, offset: int) -> int:
            if place.is_source(descriptor) and offset + _BLOCK > OFFSETS[phase]:
                raise OSError(number, os.strerror(number))
            return genuine(descriptor, buffers, offset)

        place.trouble.setattr(os, "preadv", preadv)

    return arrange


def _holds(body: bytes) -> Callable[[Any, str], None]:
    return lambda place, _: place.holds(body)


def _occupied(place: Place, _: str) -> None:
    (place.root / place.key).mkdir()
    (place.root / place.key / "model.gguf").write_bytes(b"from another tool")
    place.on_mending(lambda: shutil.rmtree(place.root / place.key))


def _fetched_by_another(place: Place, _: str) -> None:
    leases = Layout(place.root).leases(place.key)
    leases.mkdir(parents=True)
    place.on_mending(Beacon(leases / "build").withdraw)


def _newer_format(place: Place, _: str) -> None:
    known = Layout(place.root).format.read_bytes()
    Layout(place.root).format.write_text('{"formatVersion": 99}')
    place.on_mending(lambda: Layout(place.root).format.write_bytes(known))


def _removed(place: Place, _: str) -> None:
    genuine = os.pwrite

    def pwrite(descriptor: int, data: Any, offset: int) -> int:
        shutil.rmtree(Layout(place.root).staging(place.key), ignore_errors=True)
        return genuine(descriptor, data, offset)

    place.trouble.setattr(os, "pwrite", pwrite)


def _small(place: Place, _: str) -> None:
    place.trouble.setattr(volume, "usage", lambda _: volume.Usage(total=10**6, free=5 * 10**5))


MOUNTED = [
    Fault("not there", ("resolve",), _FILE, _unlinked, _MISSING, "{file}"),
    Fault("pipe in its place", ("resolve",), _FILE, _pipe, _POLICY, "{file}"),
    Fault("may not be read", ("resolve",), _FILE, fails("open", f"mounted/{NAME}", errno.EACCES), _AUTH, "{file}"),
    *(
        Fault(
            f"{_name(number)} opening it",
            ("resolve",),
            _FILE,
            fails("open", f"mounted/{NAME}", number),
            _AWAY,
            "{file}",
        )
        for number in (errno.EIO, errno.ESTALE)
    ),
    *(
        Fault(f"{_name(number)} reading it", BODY, _FILE, _unreadable(number), _AWAY, "{file}")
        for number in (errno.EIO, errno.ESTALE)
    ),
    Fault(
        "cut off while it is copied",
        BODY,
        _FILE,
        _while_copied(lambda place: place.holds(MODEL[:1000])),
        _OK,
        twice=len(MODEL),
        body=MODEL[:1000],
    ),
    Fault(
        "written to while it is copied",
        BODY,
        _FILE,
        _while_copied(lambda place: place.holds(OTHER)),
        _OK,
        twice=len(MODEL),
        body=OTHER,
    ),
]

WHOLE = [
    Fault("no GGUF", ("first byte",), SOURCES, _holds(b"GGML" + MODEL[4:]), _BAD, "{name}", _WELL),
    Fault("unknown GGUF version", ("verify",), SOURCES, _holds(_VERSION_9), _BAD, "{name}", _WELL),
    Fault("cut off at its origin", ("verify",), SOURCES, _holds(_SHORT), _BAD, "{name}", _WELL),
    Fault("empty", ("verify",), SOURCES, _holds(b""), _BAD, "{name}", _WELL),
    Fault(
        "another SHA-256 than expected",
        ("verify",),
        ("http", "https", "file"),
        _holds(OTHER),
        _BAD,
        "{name}",
        _WELL,
        ("--sha256", "0" * 64),
    ),
]

PUBLISH = [
    Fault("files of another tool in its place", ("publish",), SOURCES, _occupied, _POLICY, "{entry}"),
    Fault(
        "fetched by another process",
        ("resolve",),
        SOURCES,
        _fetched_by_another,
        _GONE,
        "{key}",
        0,
        ("--lock-wait", "0"),
    ),
    Fault("volume of a newer version", ("resolve",), SOURCES, _newer_format, _USAGE, "{root}"),
    Fault("attempt removed", ("middle",), SOURCES, _removed, _GONE, "{root}", _WELL),
    Fault(
        "model larger than expected",
        ("resolve",),
        SOURCES,
        lambda *_: None,
        _POLICY,
        "{name}",
        3,
        ("--expect-size", "1k"),
    ),
]

VOLUME = [
    Fault("less space than the model takes", ("resolve",), SOURCES, _small, _FULL, "{root}", 3),
    *(
        Fault(
            f"{_name(number)} probing the volume",
            ("resolve",),
            SOURCES,
            fails("mkdir", "probe", number),
            code,
            "{root}",
        )
        for number, code in _ERRORS.items()
    ),
    *(
        Fault(
            f"{_name(number)} creating the file",
            ("volume",),
            SOURCES,
            fails("open", "files/model.gguf", number),
            code,
            "model.gguf",
            4,
        )
        for number, code in _ERRORS.items()
    ),
    *(
        Fault(
            f"{_name(number)} writing",
            BODY,
            SOURCES,
            fails("pwrite", "files/model.gguf", number),
            code,
            "{name}",
            _WELL,
        )
        for number, code in _ERRORS_OF_WRITING.items()
    ),
    *(
        Fault(
            f"{_name(number)} writing the journal",
            ("volume",),
            SOURCES,
            fails("write", "/journal/", number, nth=2),
            code,
            "{name}",
            _WELL,
        )
        for number, code in _ERRORS_OF_WRITING.items()
    ),
    *(
        Fault(
            f"{_name(number)} syncing",
            ("verify",),
            SOURCES,
            fails("fsync", "files/model.gguf", number),
            code,
            "{name}",
            _WELL,
        )
        for number, code in _ERRORS_OF_WRITING.items()
    ),
    *(
        Fault(
            f"{_name(number)} writing the manifest",
            ("publish",),
            SOURCES,
            fails("open", r"files/\.llmkube\.json", number),
            code,
            "{entry}",
            _WELL,
        )
        for number, code in _ERRORS_OF_WRITING.items()
    ),
    *(
        Fault(
            f"{_name(number)} publishing",
            ("publish",),
            SOURCES,
            fails("rename", "/files$", number),
            code,
            "{entry}",
            _WELL,
        )
        for number, code in {**_ERRORS, errno.EOPNOTSUPP: _UNSUITABLE}.items()
    ),
]
FAULTS_OF_VOLUMES = [*MOUNTED, *WHOLE, *PUBLISH, *VOLUME]
