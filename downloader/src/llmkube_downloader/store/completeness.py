"""Whether an entry is whole. It is the way of a warm start, so it imports next to nothing; mind that.

A manifest is JSON in ASCII. Its last line but the closing brace is its checksum, the SHA-256 of all bytes before that
line.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing itself is too slow to import
if TYPE_CHECKING:
    from typing import Any, NoReturn

FORMAT_VERSION = 1
MANIFEST_NAME = ".llmkube.json"

_SEAL = b' "selfSha256": "%s"\n}\n'
_SEAL_BYTES = len(_SEAL % bytes(64))
_TEXT, _TEXT_OR_NULL = (str,), (str, type(None))
_FIELDS: dict[str, tuple[type, ...]] = {
    "formatVersion": (int,),
    "key": _TEXT,
    "source": _TEXT,
    "selection": (dict,),
    "revision": _TEXT_OR_NULL,
    "created": _TEXT,
    "tool": _TEXT,
    "checkpoints": _TEXT_OR_NULL,
    "files": (list,),
    "selfSha256": _TEXT,
}
_FILE_FIELDS: dict[str, tuple[type, ...]] = {
    "path": _TEXT,
    "origin": _TEXT,
    "size": (int,),
    "sha256": _TEXT,
    "verified": _TEXT,
    "validator": _TEXT_OR_NULL,
}


class DamagedManifestError(ValueError):
    """The bytes are no manifest, or not the one that was written."""


class NewerManifestError(ValueError):
    """A newer version of llmkube wrote the manifest; it is never taken for damage.

    - version: that of its format.
    """

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


def seal(body: bytes) -> bytes:
    """Return a manifest: what precedes its checksum, which ends in a comma and a line feed, and the checksum."""
    return body + _SEAL % sha256(body).encode("ascii")


def check_manifest(data: bytes) -> dict[str, Any]:
    """Return the fields of a manifest.

    Raises DamagedManifestError: when the bytes are something else.
    Raises NewerManifestError: when a newer version of llmkube wrote them.
    """
    body = _parse(data)
    version = body.get("formatVersion")
    if type(version) is int and version > FORMAT_VERSION:
        raise NewerManifestError(version)
    if seal(data[:-_SEAL_BYTES]) != data:
        raise DamagedManifestError("the manifest does not have its own checksum")
    if version != FORMAT_VERSION or not _is_whole(body):
        raise DamagedManifestError("the manifest lacks a field")
    return body


def sha256(data: bytes) -> str:
    """Return a SHA-256 as 64 hexadecimal digits. ``hashlib`` does the same, but takes milliseconds to import."""
    try:
        module = __import__("_sha2" if sys.version_info >= (3, 12) else "_sha256")
    except ImportError:
        import hashlib as module
    return str(module.sha256(data).hexdigest())


class _Context:
    """How the JSON of a manifest is read: without fractions, of which it has none."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_int = int

    @staticmethod
    def parse_float(text: str) -> NoReturn:
        raise DamagedManifestError(f"the manifest holds {text}")

    parse_constant = parse_float


def _parse(data: bytes) -> dict[str, Any]:
    try:
        body = _json(data.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise DamagedManifestError("the manifest can not be parsed") from error
    if type(body) is not dict:
        raise DamagedManifestError("the manifest can not be parsed")
    return body


def _json(text: str) -> Any:
    """Return what a JSON text says. Only half of ``json`` is in C, and the other half is slow to import."""
    try:
        from _json import make_scanner
    except ImportError:
        import json

        context = _Context
        return json.loads(text, parse_float=context.parse_float, parse_constant=context.parse_constant)
    try:
        value, end = make_scanner(_Context)(text, 0)  # type: ignore[arg-type] # any object with these attributes will do
    except StopIteration as error:
        raise ValueError("nothing there") from error
    if text[end:].strip():
        raise ValueError("more than one value")
    return value


def _is_whole(body: dict[str, Any]) -> bool:
    """Return whether every field is there, with the type it has to have, and no other."""
    if not _fits(body, _FIELDS) or body["selection"].keys() != {"files", "include", "exclude"}:
        return False
    lists = body["selection"].values()
    if not all(type(lines) is list and all(type(line) is str for line in lines) for lines in lists):
        return False
    return all(type(file) is dict and _fits(file, _FILE_FIELDS) for file in body["files"])


def _fits(values: dict[str, Any], fields: dict[str, tuple[type, ...]]) -> bool:
    return values.keys() == fields.keys() and all(type(values[name]) in fields[name] for name in fields)
