"""The start of the command line. What a warm start can be answered with is answered here, all else by ``cli``.

A pod that starts from a filled cache waits for this, so nothing is imported that takes long, and only what is certain
is answered: a fetch with well-known flags of an entry that is there, whole, and meant to stay. Whatever is not, and
whatever goes wrong, is left to the full command line, which begins anew and has words for it.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # what signal is made of; signal itself imports enum
import sys
from posix import _exit, environ, listdir, statvfs, umask, write
from time import monotonic

from llmkube_downloader.key import parse_source
from llmkube_downloader.report import dump, fetch_json, write_report
from llmkube_downloader.store.completeness import is_untidy, manifest_of, names_of, problem_of

TYPE_CHECKING = False  # typing itself takes too long to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

# Every pod of the volume's group may remove what another one fetched.
_UMASK = 0o002
_TERMINATED = 143
_SOURCE = "SOURCE"
_MULTIPLES = frozenset(("", *(power + unit for power in "KMGTP" for unit in ("", "i"))))


def _is_root(value: str) -> bool:
    """Return whether a path is absolute, and nothing but a slash at its end has to be taken from it."""
    return value.startswith("/") and {"", ".", ".."}.isdisjoint(value.rstrip("/")[1:].split("/"))


def _is_hash(value: str) -> bool:
    """Return whether a value has the form ``[PATH=]HEX``; that it is compared with a hash proves the rest."""
    path = value[:-64]
    return len(value) == 64 or (len(path) > 1 and path.endswith("="))


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit() and int(value) > 0


def _is_duration(value: str) -> bool:
    return _is_number(value[:-1] if value.endswith(("s", "m", "h", "d")) else value)


def _is_size(value: str) -> bool:
    number = value.rstrip("KMGTPi")
    return _is_number(number) and value[len(number) :] in _MULTIPLES


# What the full command line accepts without a doubt, for each flag of fetch; a test compares the names. Where the entry
# is there, most of them do not matter, but a value that is wrong is said to be.
_ACCEPTED: dict[str, Callable[[str], bool]] = {
    _SOURCE: bool,
    "--root": _is_root,
    "--revision": bool,
    "--include": bool,
    "--exclude": bool,
    "--file": bool,
    "--sha256": _is_hash,
    "--allow-http": bool,
    "--refresh": lambda value: value == "never",
    "--verify-on-start": lambda value: value == "size",
    "--upstream": bool,
    "--mirror": bool,
    "--budget": _is_size,
    "--lock-wait": _is_duration,
    "--stall-timeout": _is_duration,
    "--connections": lambda value: _is_number(value) and int(value) <= 64,
    "--limit-rate": _is_size,
    "--expect-size": _is_size,
    "--link": bool,
    "--report": bool,
    "--output": lambda value: value in ("text", "json"),
}
_REPEATABLE = frozenset({"--include", "--exclude", "--file", "--sha256", "--upstream", "--mirror", "--allow-http"})


def main() -> NoReturn:
    """Run the command line and exit with the code that docs/downloader.md lists."""
    for number in (_signal.SIGTERM, _signal.SIGINT):
        # Process 1 of a container is deaf to both until it listens. There is nothing to be cleaned up yet.
        _signal.signal(number, lambda *_: _exit(_TERMINATED))
    umask(_UMASK)
    try:
        output = answer(sys.argv[1:], environ)
        while output:
            output = output[write(1, output) :]
    except Exception:  # whatever it is, the full command line meets it again
        output = None
    if output is not None:
        # The interpreter's own end takes as long as all of this.
        _exit(0)
    from llmkube_downloader.cli import main as full_command_line

    try:
        full_command_line()
    except SystemExit as ended:
        # Here it takes a tenth of a second.
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            raise ended from None
        _exit(int(ended.code or 0))


def answer(arguments: list[str], environment: dict[bytes, bytes]) -> bytes | None:
    """Return what standard output gets when a command line fetches what is there, and write the report it asks for.

    None, when it is for the full command line to answer. So is every exception.
    """
    began = monotonic()
    given = _given(arguments, environment)
    if given is None or not given.keys() >= {_SOURCE, "--root"}:
        return None
    root = given["--root"][0].rstrip("/")
    key = _key(given)
    if is_untidy(root, key):
        return None
    found = _find(root, key, environment.get(b"LLMKUBE_POD_UID", b"").decode("ascii"))
    if found is None or not _are_expected(found[1]["files"], given.get("--sha256", [])):
        return None
    entry, manifest = found
    work = {"fetched": 0, "reused": sum(file["size"] for file in manifest["files"]), "requests": 0}
    status = statvfs(root)
    volume = {"total": status.f_blocks * status.f_frsize, "free": status.f_bavail * status.f_frsize}
    report = fetch_json("hit", entry, manifest, work, monotonic() - began, volume)
    output = f"{_text(report, given)}\n".encode("ascii")
    for path in given.get("--link", []):
        from llmkube_downloader.link import link_entry

        link_entry(path, entry)
    for path in given.get("--report", []):
        write_report(path, report)
    return output


def _find(root: str, key: str, pod: str) -> tuple[str, dict[str, Any]] | None:
    """Return the path of the entry that new pods of a key use, and its manifest; None, when work is to be done."""
    for name in names_of(root, key):
        entry = f"{root}/{name}"
        try:
            manifest = manifest_of(entry)
        except FileNotFoundError:
            continue
        if problem_of(entry, key, manifest["key"], [(file["path"], file["size"]) for file in manifest["files"]]):
            return None
        return (entry, manifest) if not pod or _may_use(root, key, entry, pod) else None
    return None


def _key(given: dict[str, list[str]]) -> str:
    files, include, exclude = (tuple(given.get(name, ())) for name in ("--file", "--include", "--exclude"))
    revision = given.get("--revision", [""])[0]
    return parse_source(given[_SOURCE][0], revision=revision, files=files, include=include, exclude=exclude).key


def _may_use(root: str, key: str, entry: str, pod: str) -> bool:
    """Say that the pod uses an entry; return whether the entry was there then, and nobody meant to remove it."""
    from llmkube_downloader.store.user import finish, is_used

    if not pod.replace("-", "").isalnum() or not is_used(root, key, pod):
        return False
    # It may have been removed before the pod was known to use it. Reading a directory asks an NFS server for it, as
    # looking up a name does not.
    name = entry.rpartition("/")[2]
    if name not in listdir(root):
        return False
    finish(root, key, pod, name)
    return True


def _are_expected(files: list[dict[str, Any]], hashes: list[str]) -> bool:
    """Return whether every expected hash, ``[PATH=]HEX``, is that of a file."""
    known = {file[name]: file["sha256"] for name in ("origin", "path") for file in files}
    if len(files) == 1:
        known[""] = files[0]["sha256"]
    return all(known.get(expected[:-65]) == expected[-64:].lower() for expected in hashes)


def _text(report: dict[str, Any], given: dict[str, list[str]]) -> str:
    if given.get("--output") == ["json"]:
        return dump(report)
    from llmkube_downloader.text import fetch_text

    return fetch_text(report)


def _given(arguments: list[str], environment: dict[bytes, bytes]) -> dict[str, list[str]] | None:
    """Return the values of SOURCE and of the flags of ``fetch``; None, when they are not as simple as in pods."""
    if arguments[:1] != ["fetch"]:
        return None
    given: dict[str, list[str]] = {}
    rest = iter(arguments[1:])
    for argument in rest:
        name, equals, value = argument.partition("=")
        if not argument.startswith("-"):
            name, value = _SOURCE, argument
        elif not equals:
            name, value = "--output" if name == "-o" else name, next(rest, "")
        given.setdefault(name, []).append(value)
    for name in _ACCEPTED.keys() - given.keys():
        value = environment.get(b"LLMKUBE_" + name.lstrip("-").upper().replace("-", "_").encode(), b"").decode("ascii")
        if value:
            given[name] = [line for line in value.split("\n") if line] if name in _REPEATABLE else [value]
    return given if all(_is_accepted(name, values) for name, values in given.items()) else None


def _is_accepted(name: str, values: list[str]) -> bool:
    accepted = _ACCEPTED.get(name)
    if accepted is None or (len(values) > 1 and name not in _REPEATABLE):
        return False
    return all(map(accepted, values))
