"""TAB in real shells, with the completion that Helm writes for them and the plugin installed by it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import releases
from helm_homes import HELMS, PLUGIN, call, user

from terminal import Terminal

if TYPE_CHECKING:
    from fake_kubernetes import FakeKubernetes

pytestmark = pytest.mark.slow

# How a shell is started without anybody's settings, and what its user has in them.
TYPED_IN = {
    "bash": (
        ["bash", "--norc", "-i"],
        "source /usr/share/bash-completion/bash_completion; source <(helm completion bash)",
    ),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -u -D; source <(helm completion zsh)"),
}


@pytest.fixture(params=HELMS)
def home(
    request: pytest.FixtureRequest, tmp_path: Path, plugin_cache: Path, cluster: FakeKubernetes, kubeconfig: Path
) -> dict[str, str]:
    """A user of the cluster who has installed the plugin, and whose `helm` is Helm 4 or Helm 3."""
    cluster.add(*releases.serving())
    home = user(tmp_path, plugin_cache)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "helm").symlink_to(Path(releases.helm(request.param)).resolve())
    home |= {"PATH": f"{tmp_path / 'bin'}:{home['PATH']}", "KUBECONFIG": str(kubeconfig), "HOME": str(tmp_path)}
    call(home, "helm", "plugin", "install", str(PLUGIN))
    return home


@pytest.mark.parametrize("shell", TYPED_IN)
def test_tab_completes_verbs_options_and_values(shell: str, home: dict[str, str]) -> None:
    command, settings = TYPED_IN[shell]
    assert shutil.which(shell), f"install {shell}"

    with Terminal(command, home, columns=200) as terminal:
        terminal.send(f"{settings}; PS1='% '; echo ready-$((40 + 2))\n")
        terminal.until("ready-42")
        terminal.send("helm llmkube cache cle\t")
        terminal.until("clear ")
        terminal.send("--dry\t")
        terminal.until("--dry-run ")
        terminal.send("--model we\t")
        terminal.until("web ")
        terminal.send(f"{releases.TINY_KEY[:5]}\t")
        terminal.until(f"{releases.TINY_KEY} ")


def test_fish_is_offered_verbs_options_and_values_with_descriptions(home: dict[str, str]) -> None:
    def offered(line: str) -> list[str]:
        asked = f"helm completion fish | source; complete --do-complete '{line}'"
        return call(home, "fish", "--no-config", "--command", asked).stdout.splitlines()

    assert offered("helm llmkube cache cle") == ["clear"]
    assert offered("helm llmkube cache clear --dry") == ["--dry-run\tOnly show what would be removed."]
    assert offered("helm llmkube cache clear --model we") == [f"web\t{releases.TINY}"]
    assert offered(f"helm llmkube cache clear {releases.TINY_KEY[:5]}") == [f"{releases.TINY_KEY}\t{releases.TINY}"]
    assert offered("helm llmkube cache list --context te") == ["test\tcluster fake"]
