"""What all tests of the plugin share."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import yaml
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))

import click
import documents
import releases
from clinic import Clinic, healthy
from fake_kubernetes import FakeKubernetes

from llmkube_plugin.cli import cli
from llmkube_plugin.output import Output
from terminal import Terminal, plugin
from tools import plugin_package

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from click.testing import Result


@pytest.fixture(autouse=True)
def _documents_are_as_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold every document that a command prints against the schema."""
    printed = Output.document

    def checked(self: Output, document: Mapping[str, Any], names: Iterable[str]) -> None:
        documents.check(documents.command_name(click.get_current_context()), document)
        printed(self, document, names)

    monkeypatch.setattr(Output, "document", checked)


class Run(Protocol):
    def __call__(self, *arguments: str, answer: str | None = None) -> Result: ...


class Open(Protocol):
    def __call__(self, *arguments: str, columns: int = 80, output: Path | None = None) -> Terminal: ...


_NOT_OF_THE_USER = ("HELM_NAMESPACE", "HELM_KUBECONTEXT", "HELM_KUBEAPISERVER", "HELM_DEBUG", "NO_COLOR")


@pytest.fixture(scope="session")
def plugin_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache folder of users of the installed plugin: one for all tests, as what is made in it takes a while."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the plugin, with the wheels for the Python that runs this."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    folder = tmp_path_factory.mktemp("package")
    pack = [sys.executable, str(releases.REPOSITORY / "tests" / "tools" / "plugin_package.py"), "--into", str(folder)]
    subprocess.run([*pack, "--python", python, "--platform", plugin_package.this_platform()], check=True)
    return next(folder.glob("llmkube-*.tgz"))


@pytest.fixture(scope="session")
def wheels(archive: Path) -> Path:
    """The folder of the wheels in the package."""
    with tarfile.open(archive) as tar:
        tar.extractall(archive.parent, filter="data")
    return archive.parent / "llmkube" / "plugin" / "wheels"


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    fake = FakeKubernetes()
    yield fake
    fake.close()


@pytest.fixture
def kubeconfig(cluster: FakeKubernetes, tmp_path: Path) -> Path:
    """Write a kubeconfig with the context `test` for the cluster."""
    content = {
        "clusters": [{"name": "fake", "cluster": {"server": cluster.url}}],
        "users": [{"name": "me", "user": {"token": "canary-token"}}],
        "contexts": [{"name": "test", "context": {"cluster": "fake", "user": "me"}}],
        "current-context": "test",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def run(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the plugin as its user would, and return what it printed."""
    for name in _NOT_OF_THE_USER:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setenv("HELM_BIN", releases.helm())

    def invoke(*arguments: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(cli, arguments, input=answer, catch_exceptions=False)

    return invoke


@pytest.fixture
def environment(kubeconfig: Path) -> dict[str, str]:
    """The environment of a user of the cluster, for the plugin in a process of its own."""
    theirs = {name: value for name, value in os.environ.items() if name not in _NOT_OF_THE_USER}
    return {**theirs, "KUBECONFIG": str(kubeconfig)}


@pytest.fixture
def terminal(environment: dict[str, str]) -> Iterator[Open]:
    """Run the plugin in a terminal, as its user would."""
    with contextlib.ExitStack() as stack:

        def opened(*arguments: str, columns: int = 80, output: Path | None = None) -> Terminal:
            return stack.enter_context(Terminal(plugin(*arguments), environment, columns=columns, output=output))

        yield opened


@pytest.fixture
def clinic(run: Run, cluster: FakeKubernetes, tmp_path: Path) -> Clinic:
    """A cluster that has all that a release needs, and a doctor to look at it."""
    healthy(cluster)
    return Clinic(run, cluster, tmp_path)
