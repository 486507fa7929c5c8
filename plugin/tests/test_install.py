"""`helm plugin install` from wherever one can, update and uninstall, by real Helms."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import releases
from helm_homes import HELMS, PLUGIN, call, checkout, commit, only_click, tree, unverified, user

from cluster.provider import tools_folder
from gitops.web import serve
from tools import plugin_package

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path, plugin_cache: Path) -> dict[str, str]:
    """A user who has an environment already, which takes a while to make."""
    return user(tmp_path, plugin_cache)


def works(home: dict[str, str], helm: str, folder: Path) -> None:
    """Run the plugin as Helm has installed it: on a directory, which takes the downloader, and at a press of TAB."""
    folder.mkdir()

    assert "No entries found in" in call(home, helm, "llmkube", "cache", "list", "--dir", str(folder)).stderr
    assert call(home, helm, "llmkube", "--help").stdout.startswith("Usage: helm llmkube [OPTIONS]")
    assert "clear\n" in call(home, helm, "__complete", "llmkube", "cache", "cl").stdout
    assert "--dry-run\t" in call(home, helm, "__complete", "llmkube", "cache", "clear", "--dr").stdout


@pytest.mark.parametrize("variable", HELMS)
class TestEachHelm:
    @pytest.mark.parametrize("folder", [PLUGIN, releases.REPOSITORY], ids=["plugin/", "clone"])
    def test_installs_it_from_a_directory(
        self, variable: str, folder: Path, home: dict[str, str], tmp_path: Path
    ) -> None:
        helm = releases.helm(variable)

        told = call(home, helm, "plugin", "install", str(folder))

        assert "helm llmkube: ready." in told.stdout + told.stderr
        works(home, helm, tmp_path / "models")
        assert "llmkube" in call(home, helm, "plugin", "list").stdout

    def test_installs_it_from_git(self, variable: str, home: dict[str, str], tmp_path: Path) -> None:
        helm = releases.helm(variable)

        with git_server(checkout(tmp_path / "repository"), tmp_path) as url:
            call(home, helm, "plugin", "install", url, *unverified(helm))

        works(home, helm, tmp_path / "models")

    def test_installs_it_from_a_web_server(
        self, variable: str, home: dict[str, str], tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        helm = releases.helm(variable)
        monkeypatch.setitem(SimpleHTTPRequestHandler.extensions_map, ".tgz", "application/gzip")  # Helm 3 goes by it

        with serve(archive.parent, "127.0.0.1") as url:
            call(home, helm, "plugin", "install", f"{url}/{archive.name}", *unverified(helm))

        works(home, helm, tmp_path / "models")

    def test_updates_it_from_git_with_its_packages(self, variable: str, tmp_path: Path, wheels: Path) -> None:
        helm, home = releases.helm(variable), user(tmp_path, tmp_path / "cache")
        repository = checkout(tmp_path / "repository", wheels)
        with git_server(repository, tmp_path) as url:
            call(home, helm, "plugin", "install", url, *unverified(helm))
            before = environments(tmp_path / "cache")
            call(home, helm, "llmkube", "--version")
            (repository / "plugin" / "src" / "llmkube_plugin" / "__init__.py").write_text('__version__ = "0.2.0"\n')
            (repository / "plugin" / "requirements.txt").write_text(f"# changed\n{only_click()}")
            commit(repository)

            call(home, helm, "plugin", "update", "llmkube")

            assert call(home, helm, "llmkube", "--version").stdout == "0.2.0\n"
        after = environments(tmp_path / "cache")
        assert len(before) == len(after) == 1
        assert before != after

    def test_uninstalls_it_without_leaving_anything(self, variable: str, tmp_path: Path, wheels: Path) -> None:
        helm, home = releases.helm(variable), user(tmp_path, tmp_path / "cache")
        (tmp_path / "cache").mkdir()
        clone = checkout(tmp_path / "clone", wheels)
        call(home, helm, "plugin", "install", str(clone / "plugin"))
        assert environments(tmp_path / "cache")

        call(home, helm, "plugin", "uninstall", "llmkube")

        assert tree(tmp_path / "cache") == set()
        assert not list((tmp_path / "HELM_DATA_HOME" / "plugins").iterdir())
        assert (clone / "plugin" / "bin" / "llmkube").exists()

    def test_without_any_network_it_is_installed_from_the_package(
        self, variable: str, archive: Path, tmp_path: Path
    ) -> None:
        helm = releases.helm(variable)
        (tmp_path / "home").mkdir()
        (tmp_path / "models").mkdir()
        if unverified(helm):
            source = str(archive)
        else:  # Helm 3 installs no archive from a disk
            with tarfile.open(archive) as tar:
                tar.extractall(tmp_path, filter="data")
            source = str(tmp_path / "llmkube")
        line = f"{helm} plugin install {source} {' '.join(unverified(helm))}"
        steps = f"{line} && {helm} llmkube cache list --dir {tmp_path}/models && {helm} plugin uninstall llmkube"
        alone = {"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"], "LLMKUBE_PYTHON": sys.executable}

        told = call(alone, "unshare", *([] if os.geteuid() == 0 else ["-r"]), "-n", "sh", "-c", steps)

        assert "No entries found in" in told.stderr
        assert not (tmp_path / "home" / ".cache" / "llmkube").exists()


def test_helm_4_installs_it_from_a_registry(home: dict[str, str], archive: Path, tmp_path: Path) -> None:
    helm = releases.helm()
    with registry() as address:
        push(archive, address, "acme/llmkube", "0.1.0")

        call(home, helm, "plugin", "install", f"oci://{address}/acme/llmkube:0.1.0", "--plain-http", "--verify=false")

    works(home, helm, tmp_path / "models")


def test_the_same_files_are_packed_to_the_same_bytes(wheels: Path, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    for wheel in sorted(wheels.iterdir(), reverse=True):  # copied in another order, at another time, by somebody else
        (tmp_path / "wheels" / wheel.name).write_bytes(wheel.read_bytes())
        (tmp_path / "wheels" / wheel.name).chmod(0o600)

    plugin_package.pack(tmp_path / "one.tgz", wheels)
    plugin_package.pack(tmp_path / "another.tgz", tmp_path / "wheels")

    assert (tmp_path / "one.tgz").read_bytes() == (tmp_path / "another.tgz").read_bytes()


def test_the_package_holds_nothing_that_is_not_locked(archive: Path) -> None:
    locks = [PLUGIN / "requirements.txt", releases.REPOSITORY / "requirements" / "plugin-package.txt"]
    locked = "".join(lock.read_text() for lock in locks)
    with tarfile.open(archive) as tar:
        wheels = [(member.name, tar.extractfile(member)) for member in tar if member.name.endswith(".whl")]

        assert len(wheels) > 20
        for name, file in wheels:
            assert file
            assert f"sha256:{hashlib.sha256(file.read()).hexdigest()}" in locked, name


def test_a_python_that_the_package_has_nothing_for_is_named(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    for wheel in (tmp_path / "llmkube" / "plugin" / "wheels").glob("pyyaml-*"):
        wheel.unlink()

    told = call(user(tmp_path, tmp_path / "cache"), str(tmp_path / "llmkube" / "plugin" / "bin" / "prepare"), code=1)

    assert "the package of the plugin has no Python packages for Python 3." in told.stderr
    assert "LLMKUBE_PYTHON" in told.stderr


def environments(cache: Path) -> list[Path]:
    """Return the environments in a user's cache folder that were made to their end."""
    return list(cache.glob("llmkube/plugin-venv/*/.complete"))


@contextmanager
def git_server(repository: Path, folder: Path) -> Iterator[str]:
    """Serve a repository and yield its URL."""
    (folder / "served" / "git").mkdir(parents=True)
    (folder / "served" / "git" / "llmkube.git").symlink_to(repository / ".git")
    with serve(folder / "served", "127.0.0.1") as url:
        yield f"{url}/git/llmkube.git"


@contextmanager
def registry() -> Iterator[str]:
    """Run a registry and yield its address."""
    crane = tools_folder(["flux"]) / "crane"
    line = [str(crane), "registry", "serve", "--address", "127.0.0.1:0"]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        try:
            said = process.stderr.readline()
            yield f"127.0.0.1:{said.split('port ')[1].split()[0]}"
        finally:
            process.kill()


def push(archive: Path, address: str, repository: str, tag: str) -> None:
    """Push a plugin as `oras push --artifact-type application/vnd.helm.plugin.v1+json` does."""
    connection = http.client.HTTPConnection(address)

    def put(path: str, content: bytes, kind: str) -> None:
        connection.request("PUT", path, content, {"Content-Type": kind})
        answer = connection.getresponse()
        assert answer.status == 201, answer.read()
        answer.read()

    def blob(content: bytes, kind: str, **annotations: str) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        connection.request("POST", f"/v2/{repository}/blobs/uploads/")
        answer = connection.getresponse()
        answer.read()
        put(f"{answer.headers['Location']}?digest={digest}", content, "application/octet-stream")
        return {"mediaType": kind, "digest": digest, "size": len(content), "annotations": annotations}

    title = {"org.opencontainers.image.title": archive.name}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.helm.plugin.v1+json",
        "config": blob(b"{}", "application/vnd.oci.empty.v1+json"),
        "layers": [blob(archive.read_bytes(), "application/vnd.oci.image.layer.v1.tar", **title)],
    }
    put(f"/v2/{repository}/manifests/{tag}", json.dumps(manifest).encode(), str(manifest["mediaType"]))
    connection.close()
