"""The scripts through which Helm runs the plugin: what they find, make, remember, and say when they can not."""

from __future__ import annotations

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import releases
import yaml
from helm_homes import HELMS, PLUGIN, call, checkout, script, tree, user

pytestmark = pytest.mark.slow


LAUNCHER = PLUGIN / "bin" / "llmkube"


@pytest.fixture
def environment(tmp_path: Path, plugin_cache: Path) -> dict[str, str]:
    """A user who has an environment already, which takes a while to make."""
    return user(tmp_path, plugin_cache)


@pytest.mark.parametrize("variable", HELMS)
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


def test_the_manifest_for_git_urls_differs_only_in_its_paths() -> None:
    own, root = ((folder / "plugin.yaml").read_text() for folder in (PLUGIN, releases.REPOSITORY))

    assert yaml.safe_load(root.replace("$HELM_PLUGIN_DIR/plugin/", "$HELM_PLUGIN_DIR/")) == yaml.safe_load(own)


def test_the_manifest_has_the_version_of_the_package() -> None:
    from llmkube_plugin import __version__

    assert yaml.safe_load((PLUGIN / "plugin.yaml").read_text())["version"] == __version__
    assert f'version = "{__version__}"' in (PLUGIN / "pyproject.toml").read_text()


class TestTheLauncher:
    def test_nothing_is_written_beside_the_plugin(self, environment: dict[str, str], plugin_cache: Path) -> None:
        before = tree(PLUGIN)

        call(environment, str(LAUNCHER), "--version")

        assert tree(PLUGIN) == before
        assert list((plugin_cache / "llmkube" / "plugin-venv").glob("*/.complete"))

    def test_a_start_needs_no_other_program_than_the_shell_and_cmp(
        self, environment: dict[str, str], tmp_path: Path
    ) -> None:
        call(environment, str(LAUNCHER), "--version")
        for name in ("sh", "cmp"):
            (tmp_path / name).symlink_to(str(shutil.which(name)))

        call({**environment, "PATH": str(tmp_path)}, str(LAUNCHER), "--version")

    def test_an_environment_whose_python_is_gone_is_made_anew(self, tmp_path: Path, wheels: Path) -> None:
        home = user(tmp_path, tmp_path / "cache")
        launcher = str(checkout(tmp_path / "clone", wheels) / "plugin" / "bin" / "llmkube")
        call(home, launcher, "--version")
        python = next((tmp_path / "cache").glob("llmkube/plugin-venv/*/bin/python"))
        python.unlink()

        call(home, launcher, "--version")

        assert python.exists()

    def test_what_another_copy_of_the_plugin_uses_stays(self, tmp_path: Path, wheels: Path) -> None:
        home = user(tmp_path, tmp_path / "cache")
        one, other = (checkout(tmp_path / name, wheels) / "plugin" / "bin" / "llmkube" for name in ("a", "b"))
        call(home, str(one), "--version")
        call(home, str(other), "--version")
        tidy = str(tmp_path / "cache" / "llmkube" / "plugin-venv" / "tidy")

        shutil.rmtree(tmp_path / "a")
        call(home, tidy)
        call(home, str(other), "--version")
        shutil.rmtree(tmp_path / "b")
        call(home, tidy)

        assert not list((tmp_path / "cache").iterdir())

    def test_first_runs_at_the_same_time_make_one_environment(
        self, environment: dict[str, str], tmp_path: Path, wheels: Path
    ) -> None:
        prepare = checkout(tmp_path / "clone", wheels) / "plugin" / "bin" / "prepare"
        fresh = {**environment, "XDG_CACHE_HOME": str(tmp_path / "fresh")}

        with ThreadPoolExecutor() as pool:
            runs = list(pool.map(lambda _: call(fresh, str(prepare)), range(3)))

        told = "".join(run.stderr for run in runs)
        assert told.count("(2 of 2)") == 1
        assert told.count("helm llmkube: ready.") == 3

    def test_the_users_own_python_packages_are_not_in_the_way(
        self, environment: dict[str, str], tmp_path: Path
    ) -> None:
        (tmp_path / "click.py").write_text("raise RuntimeError('the wrong click')")

        call({**environment, "PYTHONPATH": str(tmp_path)}, str(LAUNCHER), "--help")

    def test_a_python_that_is_too_old_is_named(self, environment: dict[str, str], tmp_path: Path) -> None:
        old = script(tmp_path / "old-python", "exit 1")

        told = call({**environment, "LLMKUBE_PYTHON": str(old)}, str(LAUNCHER), code=1).stderr

        assert told == f"helm llmkube: LLMKUBE_PYTHON={old} is no Python 3.10 or newer.\n"

    def test_without_any_python_the_way_out_is_named(self, environment: dict[str, str], tmp_path: Path) -> None:
        for name in ("sh", "dirname"):
            (tmp_path / name).symlink_to(f"/bin/{name}" if name == "sh" else "/usr/bin/dirname")
        bare = {**environment, "PATH": str(tmp_path), "LLMKUBE_PYTHON": ""}

        told = call(bare, str(LAUNCHER), code=1).stderr

        assert told.startswith("helm llmkube: no Python 3.10 or newer found on PATH.")

    def test_a_name_on_path_that_refuses_to_run_is_passed_over(
        self, environment: dict[str, str], tmp_path: Path
    ) -> None:
        script(tmp_path / "python3", "echo 'no version chosen' >&2; exit 127")
        script(tmp_path / "python3.11", f'exec {sys.executable} "$@"')
        path = f"{tmp_path}:/usr/bin:/bin"

        call({**environment, "PATH": path, "LLMKUBE_PYTHON": ""}, str(LAUNCHER), "--version")

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
