"""The plugin as Helm installs and runs it, in Helm homes of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import releases
import yaml

pytestmark = pytest.mark.slow

PLUGIN = releases.REPOSITORY / "plugin"
# HELM_PLUGINS is not among them: Helm 4 looks there for plugins, and yet installs directories below HELM_DATA_HOME.
HOMES = ("HELM_DATA_HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME")


def helms() -> list[str]:
    """Return the variables that name the programs to test with: Helm 4, and Helm 3 where it is there too."""
    return ["HELM", *(["HELM3"] if os.environ.get("HELM3") else [])]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the user's cache folder: one for all tests, as the environment in it takes a while to make."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def environment(tmp_path: Path, cache: Path) -> dict[str, str]:
    """Return the environment of a user who has never used Helm."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HELM_", "LLMKUBE_", "KUBE"))}
    homes = {name: str(tmp_path / name) for name in HOMES}
    return {**kept, **homes, "XDG_CACHE_HOME": str(cache), "LLMKUBE_PYTHON": sys.executable}


def call(environment: dict[str, str], *line: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("variable", helms())
@pytest.mark.parametrize("source", ["directory", "git"])
def test_helm_installs_and_runs_it(variable: str, source: str, environment: dict[str, str], tmp_path: Path) -> None:
    helm = releases.helm(variable)
    (tmp_path / "models").mkdir()
    if source == "git":
        url = f"file://{checkout(tmp_path / 'repository')}"
        verify = [] if call(environment, helm, "version", "--short").stdout.startswith("v3") else ["--verify=false"]
        installed = call(environment, helm, "plugin", "install", url, *verify)
    else:
        installed = call(environment, helm, "plugin", "install", str(PLUGIN))

    shown = call(environment, helm, "llmkube", "cache", "list", "--dir", str(tmp_path / "models"))
    usage = call(environment, helm, "llmkube", "--help")

    assert "helm llmkube: ready." in installed.stdout + installed.stderr
    assert "No entries found in" in shown.stderr
    assert usage.stdout.startswith("Usage: helm llmkube [OPTIONS]")
    assert "llmkube" in call(environment, helm, "plugin", "list").stdout


@pytest.mark.parametrize("variable", helms())
def test_what_helm_takes_out_of_the_arguments_arrives(
    variable: str, environment: dict[str, str], tmp_path: Path, kubeconfig: Path
) -> None:
    helm = releases.helm(variable)
    call(environment, helm, "plugin", "install", str(PLUGIN))
    given = ["-n", "team-a", "--kubeconfig", str(kubeconfig)]

    found = call(environment, helm, "llmkube", "cache", "list", *given)
    wrong = call(environment, helm, "llmkube", "--kube-context", "no", "cache", "list", *given, code=1)

    assert "No entries found in namespace team-a" in found.stderr
    assert "has no context 'no'" in wrong.stderr


def checkout(path: Path) -> Path:
    """Make a repository of what a clone of ours would hold."""
    listed = ["git", "-C", str(releases.REPOSITORY), "ls-files", "-co", "--exclude-standard", "-z"]
    names = subprocess.run([*listed, "plugin", "plugin.yaml", "downloader"], capture_output=True, check=True).stdout
    for name in names.decode().split("\0")[:-1]:
        original, copy = releases.REPOSITORY / name, path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(original.read_bytes())
        copy.chmod(original.stat().st_mode)
    git = ["git", "-C", str(path), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "all"], check=True)
    return path


def test_the_manifest_for_git_urls_differs_only_in_its_paths() -> None:
    own, root = ((folder / "plugin.yaml").read_text() for folder in (PLUGIN, releases.REPOSITORY))

    assert yaml.safe_load(root.replace("$HELM_PLUGIN_DIR/plugin/", "$HELM_PLUGIN_DIR/")) == yaml.safe_load(own)


def test_the_manifest_has_the_version_of_the_package() -> None:
    from llmkube_plugin import __version__

    assert yaml.safe_load((PLUGIN / "plugin.yaml").read_text())["version"] == __version__
    assert f'version = "{__version__}"' in (PLUGIN / "pyproject.toml").read_text()


class TestTheLauncher:
    def test_nothing_is_written_beside_the_plugin(self, environment: dict[str, str], cache: Path) -> None:
        before = tree(PLUGIN)

        call(environment, str(PLUGIN / "bin" / "llmkube"), "--version")

        assert tree(PLUGIN) == before
        assert list((cache / "llmkube" / "plugin-venv").glob("*/.complete"))

    def test_first_runs_at_the_same_time_make_one_environment(
        self, environment: dict[str, str], tmp_path: Path
    ) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(PLUGIN / "bin", copy / "bin")
        shutil.copytree(PLUGIN / "src", copy / "src")
        (copy / "requirements.txt").touch()  # nothing to install, which is fast
        fresh = {**environment, "XDG_CACHE_HOME": str(tmp_path / "fresh")}

        with ThreadPoolExecutor() as pool:
            runs = list(pool.map(lambda _: call(fresh, str(copy / "bin" / "prepare")), range(3)))

        told = "".join(run.stderr for run in runs)
        assert told.count("(2 of 2)") == 1
        assert told.count("helm llmkube: ready.") == 3

    def test_the_users_own_python_packages_are_not_in_the_way(
        self, environment: dict[str, str], tmp_path: Path
    ) -> None:
        (tmp_path / "click.py").write_text("raise RuntimeError('the wrong click')")

        call({**environment, "PYTHONPATH": str(tmp_path)}, str(PLUGIN / "bin" / "llmkube"), "--help")

    def test_a_python_that_is_too_old_is_named(self, environment: dict[str, str], tmp_path: Path) -> None:
        old = script(tmp_path / "old-python", "exit 1")

        told = call({**environment, "LLMKUBE_PYTHON": str(old)}, str(PLUGIN / "bin" / "llmkube"), code=1).stderr

        assert told == f"helm llmkube: LLMKUBE_PYTHON={old} is no Python 3.10 or newer.\n"

    def test_without_any_python_the_way_out_is_named(self, environment: dict[str, str], tmp_path: Path) -> None:
        for name in ("sh", "dirname"):
            (tmp_path / name).symlink_to(f"/bin/{name}" if name == "sh" else "/usr/bin/dirname")
        bare = {**environment, "PATH": str(tmp_path), "LLMKUBE_PYTHON": ""}

        told = call(bare, str(PLUGIN / "bin" / "llmkube"), code=1).stderr

        assert told.startswith("helm llmkube: no Python 3.10 or newer found on PATH.")

    def test_a_name_on_path_that_refuses_to_run_is_passed_over(
        self, environment: dict[str, str], tmp_path: Path
    ) -> None:
        script(tmp_path / "python3", "echo 'no version chosen' >&2; exit 127")
        script(tmp_path / "python3.11", f'exec {sys.executable} "$@"')
        path = f"{tmp_path}:/usr/bin:/bin"

        call({**environment, "PATH": path, "LLMKUBE_PYTHON": ""}, str(PLUGIN / "bin" / "llmkube"), "--version")

    def test_packages_that_can_not_be_installed_are_one_line_and_tried_again(
        self, environment: dict[str, str], tmp_path: Path
    ) -> None:
        offline = {**environment, "XDG_CACHE_HOME": str(tmp_path / "fresh"), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}

        told = call(offline, str(PLUGIN / "bin" / "prepare"), code=1).stderr.splitlines()

        assert told[-1].startswith("helm llmkube: the Python packages could not be installed. Check the network")
        assert "(ERROR: " in told[-1]
        assert not list((tmp_path / "fresh").glob("llmkube/plugin-venv/*/.complete"))

    def test_a_cache_folder_that_can_not_be_written_is_named(self, environment: dict[str, str], tmp_path: Path) -> None:
        (tmp_path / "file").touch()

        told = call(
            {**environment, "XDG_CACHE_HOME": str(tmp_path / "file")}, str(PLUGIN / "bin" / "prepare"), code=1
        ).stderr

        assert "can not write to" in told
        assert "Name another folder in XDG_CACHE_HOME." in told


def test_every_dependency_is_locked_with_its_hash() -> None:
    locked = (PLUGIN / "requirements.txt").read_text().lower()

    for package in ("plugin", "downloader"):
        project = (releases.REPOSITORY / package / "pyproject.toml").read_text()
        names = project.partition("\ndependencies = [")[2].partition("]")[0].split('"')[1::2]
        assert names
        for name in names:
            bare = name.partition(">=")[0].lower().replace("_", "-")
            assert f"\n{bare}==" in locked, name
    assert "--hash=sha256:" in locked
    assert "index-url" not in locked


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def tree(root: Path) -> set[str]:
    """Return the files below a folder, without Python's compiled ones."""
    return {str(path) for path in root.rglob("*") if "__pycache__" not in path.parts}
