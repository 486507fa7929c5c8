"""The launcher: it answers only what is certain, and then as the full command line would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click
import pytest
from building import manifest_of
from launching import MODEL, SOURCE, launched, put
from test_key import ACCEPTED, REFUSED
from weights import gguf, sha256

from llmkube_downloader import launch
from llmkube_downloader.commands.fetching import fetch_command
from llmkube_downloader.errors import DownloaderError
from llmkube_downloader.key import parse_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from command_line import Run

TREE = "hf://org/repo"
SPACE = SimpleNamespace(f_blocks=1000, f_bavail=100, f_frsize=4096)


@pytest.fixture(autouse=True)
def _the_same_moment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let both ways see one time and one amount of free space, and write relative paths where nobody minds."""
    for module in (launch, time):
        monkeypatch.setattr(module, "monotonic", lambda: 0.0)
    for module in (launch, os):
        monkeypatch.setattr(module, "statvfs", lambda _: SPACE)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def entry(root: Path) -> Path:
    """The entry of SOURCE."""
    return put(root, parse_source(SOURCE), {"model.gguf": MODEL})


@pytest.fixture
def tree(root: Path) -> Path:
    """The entry of TREE, with more files than a short report can name."""
    files = {f"folder/number-{number:03}.json": b"{}" * number for number in range(1, 200)}
    return put(root, parse_source(TREE), files)


def both(run: Run, *arguments: str | Path) -> str | None:
    """Return what the launcher answers; the full command line says the same, in the report too, if it is anything."""
    reports = [Path(str(argument)[9:]) for argument in arguments if str(argument).startswith("--report=")]
    output = launched(*arguments)
    if output is not None:
        written = [path.read_bytes() for path in reports]
        done = run(*arguments)
        assert (done.code, done.out, done.err) == (0, output, "")
        assert [path.read_bytes() for path in reports] == written
    return output


# What it answers.


@pytest.mark.parametrize("output", [[], ["-o", "text"], ["--output=json"], ["-o", "json"]], ids=" ".join)
@pytest.mark.parametrize("source", [SOURCE, TREE])
@pytest.mark.usefixtures("entry", "tree")
def test_a_hit_is_answered_as_the_full_command_line_answers_it(
    run: Run, root: Path, tmp_path: Path, source: str, output: list[str]
) -> None:
    answer = both(run, "fetch", source, "--root", root, f"--report={tmp_path}/report", *output)
    assert answer
    assert str(root / parse_source(source).key) in answer
    assert len((tmp_path / "report").read_bytes()) <= 4096


SIMPLE = [
    ["fetch", "--root", "{root}", SOURCE],
    ["fetch", SOURCE, "--root={root}/"],
    ["fetch", "hf://org/repo", "--root", "{root}", "--revision", "v1", "--file=q4/tiny.gguf"],
    ["fetch", SOURCE, "--root", "{root}", "--sha256", sha256(MODEL)],
    ["fetch", SOURCE, "--root", "{root}", "--sha256", f"model.gguf={sha256(MODEL).upper()}"],
    ["fetch", SOURCE, "--root", "{root}", "--allow-http", "*", "--allow-http", "a.example,b.example"],
    ["fetch", SOURCE, "--root", "{root}", "--lock-wait", "2h", "--stall-timeout=60", "--expect-size", "5Gi"],
    ["fetch", SOURCE, "--root", "{root}", "--connections", "64", "--limit-rate", "50M", "--budget", "1000"],
    ["fetch", SOURCE, "--root", "{root}", "--refresh", "never", "--upstream", "/a", "--mirror", "https://b.example"],
]


@pytest.mark.parametrize("arguments", SIMPLE, ids=lambda arguments: " ".join(arguments)[:100])
@pytest.mark.usefixtures("entry")
def test_the_flags_of_pods_do_not_slow_a_hit_down(run: Run, root: Path, arguments: list[str]) -> None:
    assert both(run, *(argument.replace("{root}", str(root)) for argument in arguments))


def test_the_environment_of_pods_does_not_slow_a_hit_down(
    run: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = parse_source(TREE, revision="v1", include=("*.json", "a b*"), exclude=("*.bin",), files=("c.txt",))
    put(root, source, {"a.json": b"{}", "c.txt": b""})
    environment = {
        "ROOT": f"{root}",
        "REPORT": f"{tmp_path}/report",
        "SOURCE": TREE,
        "REVISION": "v1",
        "INCLUDE": "*.json\n\na b*\n",
        "EXCLUDE": "*.bin",
        "FILE": "c.txt",
        "SHA256": f"a.json={sha256(b'{}')}\nc.txt={sha256(b'')}",
        "ALLOW_HTTP": "mirror.example",
        "OUTPUT": "json",
        "LOCK_WAIT": "",
        "CREDENTIALS": "/var/run/secrets/llmkube",
        "SERVICE_HOST": "10.0.0.1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"LLMKUBE_{name}", value)
    answer = both(run, "fetch")
    assert answer
    assert json.loads(answer)["key"] == source.key
    assert both(run, "fetch", TREE, "--include", "*.json") is None


@pytest.mark.parametrize("vector", ACCEPTED + REFUSED, ids=lambda vector: vector["name"])
def test_a_vector_has_its_key(vector: dict[str, Any]) -> None:
    flags = {"--revision": [vector["revision"]] if "revision" in vector else []}
    flags |= {f"--{name.removesuffix('s')}": vector.get(name, []) for name in ("files", "include", "exclude")}
    arguments = [argument for name, values in flags.items() for value in values for argument in (name, value)]
    given = launch._given(["fetch", vector["source"], *arguments], {})
    if vector.get("error"):
        if given is not None:
            with pytest.raises(DownloaderError):
                launch._key(given)
    elif "" in arguments:
        assert given is None
    else:
        assert given
        assert launch._key(given) == vector["key"]


@pytest.mark.usefixtures("entry")
def test_a_root_is_shown_as_the_full_command_line_shows_it(run: Run, root: Path) -> None:
    (root.parent / "linked").symlink_to(root)
    answered = [f"{root}/", f"{root}//", f"{root.parent}/linked"]
    left = [f"{root}/.", f"{root}/../models", f"/{root}", f"//{root}", f"{root.parent}//models", "../models"]
    assert all(both(run, "fetch", SOURCE, "--root", given) for given in answered)
    assert not any(both(run, "fetch", SOURCE, "--root", given) for given in left)


@pytest.mark.usefixtures("tree")
def test_the_hash_of_one_file_is_none_of_many(root: Path) -> None:
    first = sha256(b"{}")
    assert launched("fetch", TREE, "--root", root, "--sha256", f"folder/number-001.json={first}")
    assert launched("fetch", TREE, "--root", root, "--sha256", first) is None


@pytest.mark.usefixtures("entry")
def test_the_latest_complete_generation_is_the_answer(run: Run, root: Path) -> None:
    source = parse_source(SOURCE)
    newest = put(root, source, {"model.gguf": gguf(2000)}, f"{source.key}-0000000b")
    refs = root / ".llmkube" / "refs" / source.key
    refs.mkdir(parents=True)
    for name in (f"00000002-{source.key}-0000000b", f"00000003-{source.key}-0000000c"):
        (refs / name).touch()
    assert (both(run, "fetch", SOURCE, "--root", root) or "").endswith(f"/{source.key}-0000000b\n")
    (newest / "model.gguf").unlink()
    assert launched("fetch", SOURCE, "--root", root) is None
    shutil.rmtree(newest)
    assert (both(run, "fetch", SOURCE, "--root", root) or "").endswith(f"/{source.key}\n")


# What it leaves to the full command line.


def test_every_flag_of_fetch_is_known() -> None:
    options = [parameter for parameter in fetch_command.params if isinstance(parameter, click.Option)]
    assert launch._ACCEPTED.keys() == {launch._SOURCE, *(option.opts[-1] for option in options)}
    assert {option.opts[-1] for option in options if option.multiple} == launch._REPEATABLE


VALUES = [
    *("", " ", "0", "1", "64", "65", "007", "1.5", "-1", "+1", "1e3", "1_000", "\u0663", "\u00b2", "9" * 30),
    *("90s", "5m", "12h", "30d", "0s", "5 s", "5S", "s", "5Gi", "5gi", "5G", "5GB", "5i", "5ii", "5GG", "Gi", "5Gi "),
    *("never", "on-change", "always", "Never", "text", "json", "JSON", "yaml", "true", "a,b", "*"),
    *("--root", "-o", "-", "--", "-h", "--help", "--version", "--nonsense", "--root=/"),
    *("a" * 64, "A" * 64, "g" * 64, f"={'a' * 64}", f"a={'a' * 64}", f"model.gguf={sha256(MODEL)}", sha256(MODEL)),
    *(
        f"0{sha256(MODEL)}",
        f"={sha256(MODEL)}",
        f"{sha256(MODEL)}=",
        f"=={sha256(MODEL)}",
        f"q4/tiny.gguf={sha256(MODEL)}",
    ),
    *(
        "/",
        "//",
        ".",
        "/dev/null/x",
        "//dev/null/x",
        "/dev/null/..",
        "report",
        "line\nfeed",
        "v1",
        "main",
        "m\u00f6del",
    ),
]


@pytest.mark.parametrize("flag", sorted(launch._ACCEPTED.keys() - {launch._SOURCE}))
@pytest.mark.usefixtures("entry")
def test_where_the_launcher_answers_at_all_it_answers_like_the_full_command_line(
    run: Run, root: Path, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    arguments = ["fetch", SOURCE] + ([] if flag == "--root" else ["--root", str(root)])
    for value in VALUES:
        for given in ([flag, value], [f"{flag}={value}"], [flag, value, flag, value]):
            both(run, *arguments, *given)
        monkeypatch.setenv("LLMKUBE_" + flag[2:].upper().replace("-", "_"), value)
        both(run, *arguments)
        monkeypatch.delenv("LLMKUBE_" + flag[2:].upper().replace("-", "_"))


UNKNOWN = [
    [],
    ["--help"],
    ["list", "--root", "{root}"],
    ["key", SOURCE],
    ["verify", "--root", "{root}"],
    ["key", SOURCE, "--root", "{root}", "--allow-http", "fetch"],
    ["-o", "json", "fetch", SOURCE, "--root", "{root}"],
    ["fetch", "--root", "{root}"],
    ["fetch", SOURCE],
    ["fetch", SOURCE, "--root"],
    ["fetch", SOURCE, TREE, "--root", "{root}"],
    ["fetch", SOURCE, "--root", "{root}", "--help"],
    ["fetch", SOURCE, "--root", "{root}", "--nonsense"],
    ["fetch", SOURCE, "--root", "{root}", "--nonsense", "7"],
    ["fetch", SOURCE, "--root", "{root}", "-ojson"],
    ["fetch", SOURCE, "--root", "{root}", "--refresh", "always"],
    ["fetch", SOURCE, "--root", "{root}", "--refresh", "on-change"],
    ["fetch", SOURCE, "--root", "{root}", "--sha256", "0" * 64],
    ["fetch", SOURCE, "--root", "{root}", "--sha256", f"other.gguf={sha256(MODEL)}"],
    ["fetch", SOURCE, "--root", "{root}/.."],
    ["fetch", "ftp://org/repo", "--root", "{root}"],
    ["fetch", SOURCE, "--root", "{root}", "--report", "/nowhere/at/all"],
    ["fetch", "--", SOURCE, "--root", "{root}"],
]


@pytest.mark.parametrize("arguments", UNKNOWN, ids=lambda arguments: " ".join(arguments)[:100] or "nothing")
@pytest.mark.usefixtures("entry")
def test_what_is_not_certain_is_left_to_the_full_command_line(root: Path, arguments: list[str]) -> None:
    assert launched(*(argument.replace("{root}", str(root)) for argument in arguments)) is None


@pytest.mark.usefixtures("entry")
def test_a_flag_in_the_environment_is_as_good_as_one_on_the_command_line(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert launched("fetch", SOURCE, "--root", root)
    monkeypatch.setenv("LLMKUBE_REFRESH", "always")
    assert launched("fetch", SOURCE, "--root", root) is None
    assert launched("fetch", SOURCE, "--root", root, "--refresh", "never")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no entry": shutil.rmtree,
    "no manifest": lambda entry: (entry / ".llmkube.json").unlink(),
    "a truncated manifest": lambda entry: os.truncate(entry / ".llmkube.json", 100),
    "a changed manifest": lambda entry: (entry / ".llmkube.json").write_bytes(
        (entry / ".llmkube.json").read_bytes().replace(b"c0ffee", b"coffee").replace(b'"v1"', b'"v2"')
    ),
    "a newer manifest": lambda entry: (entry / ".llmkube.json").write_bytes(b'{"formatVersion": 2}'),
    "a missing file": lambda entry: (entry / "model.gguf").unlink(),
    "a shorter file": lambda entry: os.truncate(entry / "model.gguf", 999),
    "a longer file": lambda entry: os.truncate(entry / "model.gguf", 1001),
    "the manifest of another key": lambda entry: (entry / ".llmkube.json").write_bytes(
        manifest_of({"model.gguf": MODEL}).dump()
    ),
    "a file in its place": lambda entry: [entry.rename(entry.with_name("away")), entry.write_bytes(MODEL)],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_an_entry_that_is_not_whole_is_left_to_the_full_command_line(
    root: Path, entry: Path, damage: Callable[[Path], object]
) -> None:
    assert launched("fetch", SOURCE, "--root", root)
    damage(entry)
    assert launched("fetch", SOURCE, "--root", root) is None


def test_of_many_files_the_last_one_counts_too(root: Path, tree: Path) -> None:
    assert launched("fetch", TREE, "--root", root)
    os.truncate(tree / "folder" / "number-199.json", 1)
    assert launched("fetch", TREE, "--root", root) is None


def test_a_name_that_may_be_shown_in_two_ways_is_left_to_the_full_command_line(tmp_path: Path) -> None:
    root = tmp_path / "m\u00f6dels"
    put(root, parse_source(SOURCE), {"model.gguf": MODEL})
    assert launched("fetch", SOURCE, "--root", root) is None
    assert launched("fetch", SOURCE, "--root", root, "-o", "json")


def test_a_reader_that_goes_away_is_no_reason_for_a_traceback(root: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "llmkube_downloader", "key", SOURCE]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(writing)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
