"""What the plugin's shell scripts decide by themselves: which environment is the right one still, and which goes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from helm_homes import PLUGIN, call, script, tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of the environments, in the cache folder of a user."""
    made = tmp_path / "cache" / "llmkube" / "plugin-venv"
    made.mkdir(parents=True)
    shutil.copy(PLUGIN / "bin" / "tidy", made / "tidy")
    return made


def plugin(folder: Path) -> Path:
    """Install a plugin, as far as the scripts look at it; return the folder of its scripts."""
    scripts = folder / "bin"
    scripts.mkdir(parents=True)
    script(scripts / "llmkube", "exit")
    shutil.copy(PLUGIN / "bin" / "python.sh", scripts / "python.sh")
    (folder / "requirements.txt").write_text("click==1\n")
    return scripts


def environment(home: Path, name: str, *users: Path, python: str = "") -> Path:
    """Make an environment, and note which plugins use it."""
    made = home / name
    (made / "bin").mkdir(parents=True)
    script(made / "bin" / "python", "exit")
    (made / "requirements.txt").write_text("click==1\n")
    (home / f"{name}.lock").touch()
    for each in users:
        notes = home / "at" / str(each).lstrip("/")
        notes.mkdir(parents=True)
        (notes / "note").write_text(f"{made}\n{python}\n")
    return made


class TestTidy:
    def test_only_what_no_plugin_uses_goes(self, home: Path, tmp_path: Path) -> None:
        used = environment(home, "a1", plugin(tmp_path / "a plugin"))
        environment(home, "a2", plugin(tmp_path / "of another lock file"))
        unused = environment(home, "b2")
        gone = environment(home, "c3", tmp_path / "uninstalled" / "bin")

        call({}, "/bin/sh", str(home / "tidy"))

        assert (used / "bin" / "python").exists()
        assert (home / "a1.lock").exists()
        assert not unused.exists()
        assert not gone.exists()
        assert sorted(each.name for each in home.iterdir()) == ["a1", "a1.lock", "a2", "a2.lock", "at", "tidy"]
        assert {note.parent.parent.name for note in home.rglob("note")} == {"a plugin", "of another lock file"}

    def test_one_that_two_plugins_use_goes_with_the_second(self, home: Path, tmp_path: Path) -> None:
        one, other = plugin(tmp_path / "one"), plugin(tmp_path / "other")
        shared = environment(home, "a1", one, other)

        shutil.rmtree(one)
        call({}, "/bin/sh", str(home / "tidy"))
        assert shared.exists()
        shutil.rmtree(other)
        call({}, "/bin/sh", str(home / "tidy"))

        assert tree(tmp_path / "cache") == set()

    def test_what_others_keep_beside_the_environments_stays(self, home: Path) -> None:
        environment(home, "a1")
        (home.parent / "logs").mkdir()

        call({}, "/bin/sh", str(home / "tidy"))

        assert [each.name for each in home.parent.iterdir()] == ["logs"]

    def test_it_removes_nothing_from_any_other_folder(self, tmp_path: Path) -> None:
        scripts = tmp_path / "clone" / "bin"
        shutil.copytree(PLUGIN / "bin", scripts)
        before = tree(scripts)

        call({}, "/bin/sh", str(scripts / "tidy"), code=1)

        assert tree(scripts) == before


class TestTheEnvironmentThatIsNoted:
    """Which the launcher takes without asking Python."""

    @pytest.fixture
    def scripts(self, home: Path, tmp_path: Path) -> Path:
        found = plugin(tmp_path / "plugin")
        environment(home, "a1", found, python="/usr/bin/python3")
        return found

    @staticmethod
    def taken(scripts: Path, home: Path, python: str = "/usr/bin/python3") -> bool:
        line = f'here={scripts}; . "$here/python.sh"; noted && echo "$environment" || echo none'
        cache = {"XDG_CACHE_HOME": str(home.parent.parent), "LLMKUBE_PYTHON": python, "PATH": "/usr/bin:/bin"}
        told = call(cache, "/bin/sh", "-euc", line).stdout.strip()
        assert told in ("none", str(home / "a1"))
        return told != "none"

    def test_is_taken_as_long_as_nothing_has_changed(self, scripts: Path, home: Path) -> None:
        assert self.taken(scripts, home)

    def test_is_not_when_the_plugin_needs_other_packages_now(self, scripts: Path, home: Path) -> None:
        (scripts.parent / "requirements.txt").write_text("click==2\n")

        assert not self.taken(scripts, home)

    def test_is_not_when_another_python_is_named_now(self, scripts: Path, home: Path) -> None:
        assert not self.taken(scripts, home, "/usr/bin/python3.12")

    def test_is_not_when_its_python_is_gone(self, scripts: Path, home: Path) -> None:
        (home / "a1" / "bin" / "python").unlink()

        assert not self.taken(scripts, home)

    def test_is_not_when_it_was_never_noted_for_this_folder(self, home: Path, scripts: Path, tmp_path: Path) -> None:
        assert not self.taken(plugin(tmp_path / "copy"), home)


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["cache", "clear", "--d"], False),
        (["cache", "clear", ""], True),
        (["cache", "list", "--output=j"], True),
        (["cache", "clear", "--", "-"], True),
        (["cache", "clear", "--model", "w"], True),
    ],
)
def test_completion_asks_python_for_all_but_the_names_of_options(
    words: list[str], asked: bool, home: Path, tmp_path: Path
) -> None:
    scripts = plugin(tmp_path / "plugin")
    for name in ("complete", "options.tsv"):
        shutil.copy(PLUGIN / "bin" / name, scripts / name)
    script(environment(home, "a1", scripts) / "bin" / "python", "echo asked")

    told = call({"XDG_CACHE_HOME": str(home.parent.parent), "PATH": "/usr/bin:/bin"}, str(scripts / "complete"), *words)

    assert (told.stdout == "asked\n") is asked
