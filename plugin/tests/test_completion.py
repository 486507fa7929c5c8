"""What is offered at a press of TAB."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import releases
import yaml

from llmkube_plugin.completion import complete
from tools import plugin_completion

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fake_kubernetes import FakeKubernetes

COMPLETE = str(releases.REPOSITORY / "plugin" / "plugin.complete")
SCRIPT = "from llmkube_plugin.completion import main; main()"
PYTHON = (sys.executable, "-c", SCRIPT)


@pytest.fixture
def offered(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Complete for the user of the cluster."""
    monkeypatch.setattr(os, "environ", environment)


def press_tab(environment: dict[str, str], *words: str, by: Sequence[str] = PYTHON) -> list[str]:
    """Return the lines that Helm is given; the last word is the one that is being typed."""
    done = subprocess.run([*by, *words], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("path", ["completion.yaml", "plugin/completion.yaml"])
def test_shells_know_all_verbs_without_starting_the_plugin(path: str) -> None:
    assert (releases.REPOSITORY / path).read_text() == plugin_completion.text(), "run `make docs`"


def test_shells_know_all_options_without_starting_python() -> None:
    written = (releases.REPOSITORY / "plugin/bin/options.tsv").read_text()
    # In a process of its own, as click remembers of each command how it was first asked for help.
    asked = "import sys; from tools import plugin_completion; sys.stdout.write(plugin_completion.options())"

    known = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout

    assert written == known, "run `make docs`"


def test_options_are_offered_with_a_word_on_each_before_there_is_an_environment(tmp_path: Path) -> None:
    nothing_there = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path)}

    lines = press_tab(nothing_there, "cache", "clear", "--d", by=[COMPLETE])

    assert lines == [
        "--dir\tWork on this directory instead of a cluster. Needs llmkube-downloader.",
        "--dry-run\tOnly show what would be removed.",
        ":4",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["-"],
        ["--v"],
        ["cache", "-"],
        ["cache", "clear", "-"],
        ["cache", "clear", "key", "--model", "web", "--yes", "--"],
        ["cache", "list", "-o", "json", "--filter", "size>1Gi", "-"],
        ["cache", "list", "--sort=name", "--"],
        ["catalog", "show", "--o"],
        ["report", "file", "--s"],
    ],
)
def test_the_options_offered_are_those_that_the_command_takes(words: list[str], environment: dict[str, str]) -> None:
    offered = press_tab(environment, *words, by=[COMPLETE])

    assert offered == press_tab(environment, *words)
    assert len(offered) > 1


def test_helms_own_options_are_left_to_helm(environment: dict[str, str]) -> None:
    lines = press_tab(environment, "cache", "list", "-")

    assert {"-n", "--namespace", "--kube-context", "--kubeconfig"}.isdisjoint(line.split("\t")[0] for line in lines)


def test_choices_are_offered(environment: dict[str, str]) -> None:
    assert {"table", "json", "name"} < set(press_tab(environment, "cache", "list", "-o", ""))


def test_releases_claims_keys_and_sources_are_those_of_the_cluster(
    cluster: FakeKubernetes, environment: dict[str, str]
) -> None:
    cluster.add(*releases.serving())

    assert press_tab(environment, "cache", "preload", "w") == [f"web\t{releases.TINY}", ":4"]
    assert press_tab(environment, "cache", "verify", "--claim", "") == ["web-model-cache\trelease web", ":4"]
    assert press_tab(environment, "cache", "clear", "") == [f"{releases.TINY_KEY}\t{releases.TINY}", ":4"]
    assert press_tab(environment, "cache", "clear", "--model", "") == [
        f"web\t{releases.TINY}",
        f"{releases.TINY}\t{releases.TINY_KEY}",
        ":4",
    ]


def test_the_namespace_that_helm_names_is_asked(cluster: FakeKubernetes, environment: dict[str, str]) -> None:
    press_tab({**environment, "HELM_NAMESPACE": "team-a"}, "cache", "clear", "")

    assert {asked.path.split("/namespaces/")[1].split("/")[0] for asked in cluster.asked} == {"team-a"}


def test_contexts_are_those_of_kubeconfig(environment: dict[str, str]) -> None:
    assert press_tab(environment, "cache", "list", "--context", "") == ["test\tcluster fake", ":4"]


def test_namespaces_are_those_of_the_cluster(
    cluster: FakeKubernetes, environment: dict[str, str], offered: None
) -> None:
    cluster.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a", "namespace": ""}})

    assert [item.value for item in complete(["cache", "list", "-n"], "")] == ["team-a"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing shows what a process was started with")
@pytest.mark.parametrize("option", ["-n", "--namespace", "--kube-context"])
def test_an_option_that_helm_does_not_hand_over_is_completed_all_the_same(
    option: str, cluster: FakeKubernetes, environment: dict[str, str]
) -> None:
    cluster.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "test", "namespace": ""}})
    # As Helm does: what it asks is started without the option that lacks its value.
    helm = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SCRIPT!r}, 'cache', 'list', ''])"
    line = [sys.executable, "-c", helm, "__complete", "llmkube", "cache", "list", option, ""]

    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[0].split("\t")[0] == "test"


def test_only_folders_are_offered_for_a_directory(environment: dict[str, str]) -> None:
    assert press_tab(environment, "cache", "list", "--dir", "") == [":16"]


def test_what_goes_wrong_offers_nothing_and_says_nothing(cluster: FakeKubernetes, environment: dict[str, str]) -> None:
    cluster.refuse("list", "pods", 403, "no")

    assert press_tab(environment, "cache", "clear", "") == [":4"]
    assert press_tab({**environment, "KUBECONFIG": "/nonexistent"}, "cache", "clear", "") == [":4"]
    assert press_tab(environment, "no", "such", "verb") == [":4"]


def test_every_model_of_the_catalog_can_be_completed() -> None:
    from llmkube_plugin.completion_values import VALUES
    from llmkube_plugin.installation import CATALOG

    ids = [model["id"] for model in yaml.safe_load(CATALOG.read_text())["models"]]

    assert list(VALUES["CATALOG-ID"]({})) == ids
