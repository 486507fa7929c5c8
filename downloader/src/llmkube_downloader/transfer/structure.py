"""Does a file begin and end like what its name says? An error page with the right status does not."""

from __future__ import annotations

import json
import struct
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from llmkube_downloader.errors import DownloaderError, ExitCode
from llmkube_downloader.transfer.gguf import promised_bytes

if TYPE_CHECKING:
    from typing import BinaryIO

HEAD_BYTES = 512

_GGUF_MAGIC = b"GGUF"
_GGUF_HEADER = struct.Struct("<4sIQQ")
_GGUF_VERSIONS = (2, 3)
# The least that a tensor's description and a metadata pair take: lengths, types and offsets without any text.
_GGUF_TENSOR_BYTES = 24
_GGUF_PAIR_BYTES = 13
_SAFETENSORS_LENGTH = struct.Struct("<Q")
_SAFETENSORS_LONGEST_HEADER = 100_000_000
_PAGE_STARTS = (b"<!doctype html", b"<html", b"<?xml")
_PAGE_SUFFIXES = (".html", ".htm", ".xml", ".svg")
_SHOWN_CHARACTERS = 120


def check_start(path: str, head: bytes) -> None:
    """Refuse a file by its first bytes, before the rest of it is received.

    - path: the remote path, whose suffix says what the file should be.
    - head: the first HEAD_BYTES bytes, or all if there are less.

    Raises DownloaderError: INTEGRITY.
    """
    suffix = PurePosixPath(path).suffix.lower()
    if suffix == ".gguf" and not head.startswith(_GGUF_MAGIC):
        raise _garbage(path, "is no GGUF file", head)
    if suffix not in _PAGE_SUFFIXES and head.lstrip().lower().startswith(_PAGE_STARTS):
        raise _garbage(path, "is a web page", head)


def check_whole(path: str, file: BinaryIO, size: int) -> None:
    """Refuse a received file whose header does not fit its size.

    - path: the remote path, whose suffix says what the file should be.
    - file: its bytes.
    - size: how many there are.

    Raises DownloaderError: INTEGRITY.
    Raises OSError: when the file can not be read.
    """
    suffix = PurePosixPath(path).suffix.lower()
    checks = {".gguf": _gguf_problem, ".safetensors": _safetensors_problem}
    file.seek(0)
    problem = checks[suffix](file, size) if suffix in checks else ""
    if problem:
        file.seek(0)
        raise _garbage(path, problem, file.read(HEAD_BYTES))


def _gguf_problem(file: BinaryIO, size: int) -> str:
    header = file.read(_GGUF_HEADER.size)
    if len(header) < _GGUF_HEADER.size:
        return "ends within its GGUF header"
    _, version, tensors, pairs = _GGUF_HEADER.unpack(header)
    if version not in _GGUF_VERSIONS:
        return f"has GGUF version {version}, known are {' and '.join(map(str, _GGUF_VERSIONS))}"
    if _GGUF_HEADER.size + tensors * _GGUF_TENSOR_BYTES + pairs * _GGUF_PAIR_BYTES > size:
        return f"is shorter than the {tensors} tensors and {pairs} metadata pairs that its GGUF header promises"
    file.seek(0)
    try:
        promised = promised_bytes(file, size)
    except (ValueError, struct.error) as error:
        return f"has a GGUF header that can not be parsed ({error})"
    return f"has {size} bytes, its GGUF header promises {promised}" if size < promised else ""


def _safetensors_problem(file: BinaryIO, size: int) -> str:
    prefix = file.read(_SAFETENSORS_LENGTH.size)
    if len(prefix) < _SAFETENSORS_LENGTH.size:
        return "ends within its safetensors header"
    (length,) = _SAFETENSORS_LENGTH.unpack(prefix)
    if not 2 <= length <= min(size - len(prefix), _SAFETENSORS_LONGEST_HEADER):
        return f"has a safetensors header of impossible length {length}"
    try:
        ends = _tensor_ends(json.loads(file.read(length)))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return "has a safetensors header that can not be parsed"
    promised = len(prefix) + length + max(ends, default=0)
    return "" if promised == size else f"has {size} bytes, its safetensors header promises {promised}"


def _tensor_ends(header: dict[str, Any]) -> list[int]:
    return [int(tensor["data_offsets"][1]) for name, tensor in header.items() if name != "__metadata__"]


def _garbage(path: str, problem: str, head: bytes) -> DownloaderError:
    text = "".join(character for character in head.decode("ascii", "replace") if character.isprintable())
    return DownloaderError(
        ExitCode.INTEGRITY,
        f"{path} {problem}; it begins with {text[:_SHOWN_CHARACTERS]!r}",
        "Check that the source is the file itself and not a page about it, and that no login is asked for.",
    )
