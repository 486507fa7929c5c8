"""A cache without a model, made by Helm from the chart."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import releases
import yaml
from fake_kubernetes import HELD, Script

from llmkube_plugin import helm
from llmkube_plugin.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fake_kubernetes import FakeKubernetes

    from conftest import Run

CHART = str(releases.REPOSITORY / "charts" / "llmkube")
MOUNTED = Script([releases.job_pod(releases.ended(), "Succeeded", "init")])


class Helm:
    """Stands for Helm: renders with the real one, and installs into the tests' cluster."""

    def __init__(self, cluster: FakeKubernetes) -> None:
        self.installed: list[list[str]] = []
        self.values: dict[str, Any] = {}
        self._cluster = cluster
        self._run = helm.run

    def __call__(self, verb: str, arguments: Sequence[str], values: str, doing: str) -> str:
        if verb != "install":
            return self._run(verb, arguments, values, doing)
        self.installed.append(list(arguments))
        self.values = json.loads(values)
        known = ("Job", "CronJob", "PersistentVolumeClaim")
        for item in yaml.safe_load_all(self._run("template", arguments, values, doing)):
            if item and item["kind"] in known:
                self._cluster.create(item)
        return ""


@pytest.fixture
def installer(cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> Helm:
    stand_in = Helm(cluster)
    monkeypatch.setattr(helm, "run", stand_in)
    cluster.plays = lambda _: MOUNTED
    return stand_in


def test_it_makes_what_a_cache_only_release_of_the_chart_makes(run: Run, installer: Helm) -> None:
    result = run("cache", "create", "models", "--size", "500Gi", "--dry-run", "-o", "json")

    document = json.loads(result.stdout)
    known = [item for item in document["manifests"] if item["kind"] in ("Job", "CronJob", "PersistentVolumeClaim")]
    assert known == releases.release("models", modelCache={"size": "500Gi"})
    assert document["claim"] == "models-model-cache"
    assert installer.installed == []


def test_the_release_is_installed_where_the_user_works(
    run: Run, installer: Helm, cluster: FakeKubernetes, kubeconfig: Path
) -> None:
    result = run("cache", "create", "models", "--size", "500Gi", "-n", "default", "--context", "test")

    assert result.exit_code == 0, result.output
    place = ["--namespace", "default", "--kube-context", "test", "--kubeconfig", str(kubeconfig)]
    assert installer.installed == [["models", CHART, *place]]
    assert installer.values == {"modelCache": {"size": "500Gi"}}
    assert result.stdout == "release models in namespace default: cache models-model-cache, 500Gi\n"
    assert "preload SOURCE --cache models-model-cache -n default" in result.stderr
    assert "modelCache.mode=existingClaim,modelCache.claimName=models-model-cache" in result.stderr
    assert cluster.all("persistentvolumeclaims")[0]["metadata"]["name"] == "models-model-cache"


@pytest.mark.parametrize(
    ("options", "values", "claim"),
    [
        (["--size", "1Gi", "--shared"], {"mode": "shared", "create": True, "size": "1Gi"}, "llmkube-model-cache"),
        (["--claim", "mine"], {"mode": "existingClaim", "claimName": "mine"}, "mine"),
        (
            ["--size", "1Gi", "--storage-class", "fast", "--access-mode", "ReadWriteMany"],
            {"size": "1Gi", "storageClass": "fast", "accessMode": "ReadWriteMany"},
            "models-model-cache",
        ),
    ],
)
def test_options_are_values_of_the_chart(
    run: Run, installer: Helm, options: list[str], values: dict[str, Any], claim: str
) -> None:
    result = run("cache", "create", "models", *options, "-o", "name")

    assert result.stdout == f"{claim}\n", result.output
    assert installer.values == {"modelCache": values}


@pytest.mark.usefixtures("installer")
def test_dry_run_prints_values_to_commit(run: Run, cluster: FakeKubernetes) -> None:
    result = run("cache", "create", "models", "--size", "500Gi", "--dry-run")

    assert yaml.safe_load(result.stdout) == {"modelCache": {"size": "500Gi"}}
    assert "  PersistentVolumeClaim models-model-cache\n" in result.stderr
    assert cluster.asked == []


def test_all_other_values_are_passed_on(run: Run, installer: Helm, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("commonLabels: {team: a}\n")
    more = ["-f", str(file), "--set", "modelCache.keep=false"]

    document = json.loads(run("cache", "create", "m", "--size", "1Gi", *more, "--dry-run", "-o", "json").stdout)

    [claim] = [item for item in document["manifests"] if item["kind"] == "PersistentVolumeClaim"]
    assert claim["metadata"]["labels"]["team"] == "a"
    assert "helm.sh/resource-policy" not in claim["metadata"]["annotations"]
    run("cache", "create", "m", "--size", "1Gi", *more, "--chart-version", "1.2.3", "--no-wait")
    assert installer.installed[0][-6:] == ["--values", str(file), *more[2:], "--version", "1.2.3"]


def test_what_keeps_the_claim_from_being_mounted_is_told(run: Run, installer: Helm, cluster: FakeKubernetes) -> None:
    pending = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": "no class"}]}
    cluster.plays = lambda _: Script([pending, None])

    result = run("cache", "create", "models", "--size", "1Gi", "--timeout", "0s")

    assert result.exit_code == 1
    assert "it can not be scheduled: no class" in result.stderr
    assert installer.installed


@pytest.mark.usefixtures("installer")
def test_a_claim_that_can_not_be_used_is_told_with_what_to_do(run: Run, cluster: FakeKubernetes) -> None:
    report = releases.failed(15, "volume", "/models can not be written", "Set podSecurityContext.fsGroup.")
    failed = releases.job_pod(releases.ended(15, report), "Failed", "init")
    cluster.plays = lambda _: Script([failed], job_status={"conditions": [{"type": "Failed", "status": "True"}]})

    result = run("cache", "create", "models", "--size", "1Gi")

    assert result.exit_code == 1
    assert "claim models-model-cache can not be used: /models can not be written" in result.stderr
    assert "Set podSecurityContext.fsGroup." in result.stderr


def test_no_wait_waits_for_nothing(run: Run, installer: Helm, cluster: FakeKubernetes) -> None:
    cluster.plays = lambda _: Script([HELD])

    assert run("cache", "create", "models", "--size", "1Gi", "--no-wait").exit_code == 0
    assert len(installer.installed) == 1


def test_a_release_that_is_there_is_not_touched(run: Run, installer: Helm, cluster: FakeKubernetes) -> None:
    cluster.add(*releases.serving("web"))

    result = run("cache", "create", "web", "--size", "1Gi")

    assert result.exit_code == 1
    assert "release web in namespace default exists already" in result.stderr
    assert installer.installed == []


def test_nor_is_the_claim_of_another(run: Run, installer: Helm, cluster: FakeKubernetes) -> None:
    cluster.add(*releases.release("team", modelCache={"size": "1Gi", "mode": "shared", "create": True}))

    result = run("cache", "create", "models", "--size", "1Gi", "--shared")

    assert "claim llmkube-model-cache in namespace default exists already, made by release team" in result.stderr
    assert "--claim llmkube-model-cache" in result.stderr
    assert installer.installed == []


def test_a_claim_that_a_release_of_the_name_left_is_used_again(
    run: Run, installer: Helm, cluster: FakeKubernetes
) -> None:
    left = releases.of_kind(releases.release("models", modelCache={"size": "1Gi"}), "PersistentVolumeClaim")
    cluster.add(left)

    assert run("cache", "create", "models", "--size", "1Gi").exit_code == 0
    assert len(installer.installed) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--size", "1Gi", "--set", f"model.source={releases.TINY}"], "makes a cache without one"),
        (["--size", "1Gi", "--set", "modelCache.mode=ephemeral"], "modelCache.mode"),
        (["--size", "a lot"], "rendering"),
        ([], "modelCache.size"),
        (["--size", "1Gi", "--chart", "/nonexistent"], "/nonexistent"),
    ],
)
def test_what_makes_no_cache_is_refused(run: Run, installer: Helm, arguments: list[str], told: str) -> None:
    result = run("cache", "create", "models", *arguments)

    assert result.exit_code == 1
    assert told in result.stderr
    assert installer.installed == []


def test_another_chart_makes_no_cache(run: Run, installer: Helm, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: other, version: 1.0.0}")

    result = run("cache", "create", "models", "--chart", str(tmp_path))

    assert f"the chart {tmp_path} makes no cache of these values" in result.stderr
    assert installer.installed == []


def test_a_claim_of_the_user_has_its_size_already(run: Run) -> None:
    result = run("cache", "create", "models", "--claim", "mine", "--size", "1Gi")

    assert result.exit_code == 2
    assert "are for a new one" in result.stderr


def test_without_a_chart_it_says_how_to_name_one(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("llmkube_plugin.installation.CHART", tmp_path)

    assert "Name the chart with --chart" in run("cache", "create", "models", "--size", "1Gi").stderr


def test_without_helm_it_says_so(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HELM_BIN")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "helm is not on PATH" in run("cache", "create", "models", "--size", "1Gi").stderr


def test_the_helm_that_runs_the_plugin_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELM_BIN", "/opt/helm")

    assert helm.find_helm() == "/opt/helm"
    with pytest.raises(PluginError, match="/opt/helm can not be run"):
        helm.run("template", [], "", "rendering")
    assert os.environ["HELM_BIN"] == "/opt/helm"
