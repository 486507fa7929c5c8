"""The builder of tools: each built once per content, never half."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolchain import build, golang
from toolchain.catalog import SETS, TOOLS, Files, Tool

pytestmark = pytest.mark.slow

_MODULE = "module example.local/hello\n\ngo 1.26\n"
_PROGRAM = 'package main\n\nfunc main() { print("hello") }\n'


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """A tool of one file, in a checkout and a cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "HERE", tmp_path / "toolchain")
    monkeypatch.setattr(build, "NEEDED_BYTES", 1)
    module = tmp_path / "toolchain" / "hello"
    module.mkdir(parents=True)
    (module / "go.mod").write_text(_MODULE)
    (module / "main.go").write_text(_PROGRAM)
    tool = Tool("hello", "hello", "a greeting", {".": "hello"}, 1, links=("greet",))
    monkeypatch.setitem(TOOLS, "hello", tool)
    return tool


def test_a_tool_is_built_once_and_then_found(hello: Tool, capfd: pytest.CaptureFixture[str]) -> None:
    binary = build.ensure([hello.name])["hello"]
    assert subprocess.run([binary], capture_output=True, text=True, check=True).stderr == "hello"
    assert "[1/1] hello: a greeting, usually 1 s" in capfd.readouterr().err
    assert build.ensure([hello.name])["greet"].samefile(binary)
    assert capfd.readouterr().err == ""


@pytest.mark.timeout(120)
def test_what_is_built_is_found_while_another_run_builds(hello: Tool) -> None:
    build.ensure([hello.name])
    with build._locked():
        assert build.ensure([hello.name])["hello"].exists()


def test_another_content_is_another_build(hello: Tool) -> None:
    before = build.content_hash(hello)
    source = build.HERE / "hello" / "main.go"
    source.write_text(_PROGRAM.replace("hello", "good day"))
    assert build.content_hash(hello) != before


def test_a_build_that_fails_names_the_tool_and_its_log_and_leaves_no_half_tool(hello: Tool) -> None:
    (build.HERE / "hello" / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    with pytest.raises(
        build.BuildError, match=r"hello did not build; the whole log is in .*build-hello\.log(?s:.*)undefined: nonsense"
    ):
        build.ensure([hello.name])
    assert list(build.tool_dir(hello).parent.iterdir()) == []


def test_go_caches_of_a_build_do_not_stay(hello: Tool) -> None:
    build.ensure([hello.name])
    assert not (build.cache_root() / "go-build").exists()


def test_too_little_space_is_said_before_anything_is_built(hello: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "NEEDED_BYTES", 2**60)
    with pytest.raises(build.BuildError, match=r"needs .* GiB below .*, .* GiB are free; .*XDG_CACHE_HOME"):
        build.ensure([hello.name])


def test_a_tool_that_is_not_built_is_named(hello: Tool) -> None:
    with pytest.raises(build.BuildError, match="hello is not built yet; `make tools`"):
        build.binaries([hello.name])


def test_a_machine_without_go_gets_the_pinned_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    go = golang.find_go(tmp_path)
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith("go version go1.26.")
    assert golang.find_go(tmp_path) == go


def test_the_demo_builds_neither_helm_3_nor_the_checkers() -> None:
    assert not {"helm3", "ct", "helm-unittest"} & set(SETS["demo"])


def test_every_module_is_locked() -> None:
    folders = {Path(build.__file__).parent / tool.module for tool in TOOLS.values()}
    assert all((folder / "go.sum").stat().st_size > 0 for folder in folders)


def _requirements(module: str) -> list[str]:
    lines = (Path(build.__file__).parent / module / "go.mod").read_text("utf-8").splitlines()
    return [line.strip() for line in lines if line.startswith("\t")]


def test_files_of_modules_are_pinned_with_the_hash_of_their_content() -> None:
    for files in [tool for tool in TOOLS.values() if isinstance(tool, Files)]:
        pinned = {line.split()[0]: " ".join(line.split()[:2]) for line in _requirements(files.module)}
        locked = (Path(build.__file__).parent / files.module / "go.sum").read_text("utf-8")
        assert [name for name in files.files if f"{pinned[name]} h1:" not in locked] == []


@pytest.fixture
def crds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the pinned module of the definitions, with a cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "NEEDED_BYTES", 1)
    shutil.copytree(build.HERE / "crds", tmp_path / "toolchain" / "crds")
    monkeypatch.setattr(build, "HERE", tmp_path / "toolchain")
    return tmp_path / "toolchain" / "crds"


@pytest.mark.usefixtures("crds")
def test_files_of_modules_come_into_one_folder() -> None:
    folder = build.ensure(["crds"])["crds"]
    found = {document["spec"]["names"]["kind"] for path in folder.iterdir() for document in _documents(path)}
    assert found == {"HTTPRoute", "PodMonitor", "ServiceMonitor", "ScaledObject", "TriggerAuthentication"}
    assert not (build.cache_root() / "go-build").exists()


def test_a_module_with_other_content_than_was_locked_is_refused(crds: Path) -> None:
    locked = (crds / "go.sum").read_text("utf-8")
    (crds / "go.sum").write_text(re.sub(r"(keda/v2 \S+ h1:)....", r"\g<1>AAAA", locked), "utf-8")
    with pytest.raises(build.BuildError, match=r"crds did not build(?s:.*)checksum mismatch"):
        build.ensure(["crds"])
    assert list((build.cache_root() / "tools").iterdir()) == []


def test_a_module_that_can_not_be_had_is_named(crds: Path) -> None:
    text = (crds / "go.mod").read_text("utf-8")
    (crds / "go.mod").write_text(re.sub(r"keda/v2 \S+", "keda/v2 v2.0.1-none", text), "utf-8")
    with pytest.raises(build.BuildError, match=r"crds did not build(?s:.*)keda/v2@v2.0.1-none"):
        build.ensure(["crds"])


def _documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text("utf-8")) if document]
