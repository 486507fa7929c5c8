"""Which entry stands for a key, and whether it is whole. It is the way of a warm start: mind what it imports.

A manifest is JSON in ASCII. Its last line but the closing brace is its checksum, the SHA-256 of all bytes before that
line.
"""

from __future__ import annotations

from posix import listdir, stat

from llmkube_downloader.light import loads, sha256

TYPE_CHECKING = False  # typing itself takes too long to import
if TYPE_CHECKING:
    from typing import Any

FORMAT_VERSION = 1
MANIFEST_NAME = ".llmkube.json"

_DIGITS, _HEX = frozenset("0123456789"), frozenset("0123456789abcdef")
_KEY_DIGITS, _GENERATION_DIGITS, _SEQUENCE_DIGITS = 16, 8, 8
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


def key_of(name: str) -> str | None:
    """Return the key of an entry whose directory has a name: ``<key>``, or for a later generation ``<key>-<8 digits>``.

    None, when no entry has such a name.
    """
    key, dash, generation = name.partition("-")
    if len(key) != _KEY_DIGITS or (dash and len(generation) != _GENERATION_DIGITS):
        return None
    return key if _HEX.issuperset(key + generation) else None


def names_of(root: str, key: str) -> list[str]:
    """Return what the entry of a key may be called, what new pods should use first: as its refs say, the highest first.

    The key itself, the first generation, is always among the names; that they are there is not said.

    Raises OSError: when the refs can not be read.
    """
    try:
        refs = listdir(f"{root}/.llmkube/refs/{key}")
    except FileNotFoundError:
        refs = []
    names = [name for number, name in sorted(map(_ref, refs), reverse=True) if number and key_of(name) == key]
    return list(dict.fromkeys([*names, key]))


def manifest_of(directory: str) -> dict[str, Any]:
    """Return the fields of an entry's manifest.

    Raises OSError: when it can not be read; and what check_manifest raises.
    """
    # Unbuffered, because it is read in one piece; without pathlib, because that takes long to import.
    with open(f"{directory}/{MANIFEST_NAME}", "rb", buffering=0) as file:  # noqa: PTH123
        return check_manifest(file.read())


def problem_of(directory: str, key: str, own_key: str, files: list[tuple[str, int]]) -> str:
    """Return why an entry is not what its manifest says; empty, when it is complete.

    - own_key, files: what the manifest says; paths with their sizes in bytes.

    Raises OSError: when that can not be told.
    """
    if own_key != key:
        return f"its manifest is that of {own_key}"
    for path, expected in files:
        try:
            size = stat(f"{directory}/{path}").st_size
        except (FileNotFoundError, NotADirectoryError):
            return f"{path} is missing"
        if size != expected:
            return f"{path} has {size} bytes instead of {expected}"
    return ""


def is_untidy(root: str, key: str) -> bool:
    """Return whether the dead may have left something of a key, or somebody works on it.

    Raises OSError: when that can not be told.
    """
    state = f"{root}/.llmkube"
    for directory in (f"{state}/staging/{key}", f"{state}/trash"):
        try:
            if listdir(directory):
                return True
        except FileNotFoundError:  # noqa: PERF203 - two of them
            continue
    try:
        stat(f"{state}/leases/{key}/build")
    except FileNotFoundError:
        return False
    return True


def seal(body: bytes) -> bytes:
    """Return a manifest: what precedes its checksum, which ends in a comma and a line feed, and the checksum."""
    return body + _SEAL % sha256(body).encode("ascii")


def check_manifest(data: bytes) -> dict[str, Any]:
    """Return the fields of a manifest.

    Raises DamagedManifestError: when the bytes are something else.
    Raises NewerManifestError: when a newer version of llmkube wrote them.
    """
    try:
        fields = loads(data.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise DamagedManifestError("the manifest can not be parsed") from error
    version = fields.get("formatVersion") if type(fields) is dict else None
    if type(version) is int and version > FORMAT_VERSION:
        raise NewerManifestError(version)
    if seal(data[:-_SEAL_BYTES]) != data:
        raise DamagedManifestError("the manifest does not have its own checksum")
    if version != FORMAT_VERSION or not _is_whole(fields):
        raise DamagedManifestError("the manifest lacks a field")
    return dict(fields)


def _ref(name: str) -> tuple[str, str]:
    """Return the number and the entry's name of a ref, ``<8 digits>-<entry>``; an empty number, when it is none."""
    number, _, entry = name.partition("-")
    return (number, entry) if len(number) == _SEQUENCE_DIGITS and _DIGITS.issuperset(number) else ("", name)


def _is_whole(fields: dict[str, Any]) -> bool:
    """Return whether every field is there, with the type it has to have, and no other."""
    if not _fits(fields, _FIELDS) or fields["selection"].keys() != {"files", "include", "exclude"}:
        return False
    lists = fields["selection"].values()
    if not all(type(lines) is list and all(type(line) is str for line in lines) for lines in lists):
        return False
    return all(type(file) is dict and _fits(file, _FILE_FIELDS) for file in fields["files"])


def _fits(values: dict[str, Any], types: dict[str, tuple[type, ...]]) -> bool:
    return values.keys() == types.keys() and all(type(values[name]) in allowed for name, allowed in types.items())
