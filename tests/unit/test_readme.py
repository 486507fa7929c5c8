"""README says what is so: its requirements, its examples and its commands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from llmkube_plugin.cli import main as plugin
from preflight import checks

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    shlex.split(line, comments=True) for block in BLOCKS for line in block.replace("\\\n", " ").splitlines() if line
]


def test_readme_asks_for_what_the_checks_ask_for() -> None:
    readme = (ROOT / "README.md").read_text()
    assert f"{(checks.MINIMUM_MEMORY >> 30) + 1} GiB of memory, {checks.MINIMUM_DISK >> 30} GiB of disk" in readme


def test_readme_shows_the_examples_as_they_are() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in ("argocd/application", "flux/git-repository"):
        example = list(yaml.safe_load_all((ROOT / "values-examples" / f"{name}.yaml").read_text()))
        blocks = [list(yaml.safe_load_all(block)) for block in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)]
        assert example in blocks, name


def test_the_installation_of_readme_renders() -> None:
    (install,) = [command for command in COMMANDS if command[:2] == ["helm", "install"]]
    helm = [os.environ.get("HELM", "helm"), "template", *install[2:]]
    rendered = subprocess.run(helm, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    kinds = {item["kind"] for item in yaml.safe_load_all(rendered) if item}
    assert kinds >= {"PersistentVolumeClaim", "Job", "Deployment", "Service"}
    assert "chat-model-cache" in rendered


@pytest.mark.parametrize("command", [command[2:] for command in COMMANDS if command[:2] == ["helm", "llmkube"]])
def test_the_plugin_understands_the_commands_of_readme(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["helm-llmkube", *command, "--help"])
    with pytest.raises(SystemExit) as ended:
        plugin()
    assert ended.value.code in (None, 0), capsys.readouterr().err


def test_the_targets_of_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z-]+)", README):
        assert f"\n{target}:" in makefile, target
