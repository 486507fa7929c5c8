"""What `helm llmkube doctor` examines, prints and ends with; what each check says is in the files beside this one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import releases
import yaml
from click.testing import CliRunner
from clinic import FINE, claim, limit_range, node, owned, quota, storage_class

from llmkube_plugin.cli import cli
from llmkube_plugin.doctor import checks, directory, online

if TYPE_CHECKING:
    from pathlib import Path

    from clinic import Clinic

    from conftest import Run

MISSING = {"modelCache__storageClass": "fast"}


def test_a_release_that_needs_nothing_is_fine(clinic: Clinic) -> None:
    said = clinic.about()

    assert said.count("\n") == 1
    assert said.endswith("manifests.yaml in namespace default: nothing found\n")


def test_nothing_in_the_cluster_is_changed(clinic: Clinic) -> None:
    clinic.about(**MISSING)

    assert {asked.method for asked in clinic.cluster.asked} == {"GET"}


def test_a_problem_ends_with_1_and_a_warning_with_0(clinic: Clinic) -> None:
    bad = clinic.run("doctor", "--manifests", str(clinic.manifests(**MISSING)))
    odd = clinic.run("doctor", "--manifests", str(clinic.manifests(imagePullSecrets=[{"name": "none"}])))

    assert (bad.exit_code, bad.stdout.splitlines()[-1].rpartition(": ")[2]) == (1, "1 problem")
    assert (odd.exit_code, odd.stdout.splitlines()[-1].rpartition(": ")[2]) == (0, "1 warning")


def test_the_worst_stands_first_and_all_are_counted(clinic: Clinic) -> None:
    """The check that finds the note runs before the one that finds the problem."""
    clinic.cluster.add(storage_class("standard", default=True, allowVolumeExpansion=False))

    said = clinic.about(imagePullSecrets=[{"name": "none"}], server__priorityClassName="urgent")

    assert re.findall("^[A-Z]+(?= )", said, re.MULTILINE) == ["PROBLEM", "WARNING", "NOTE"]
    assert said.endswith(": 1 problem, 1 warning, 1 note\n")


def test_programs_get_the_same_as_a_document(clinic: Clinic) -> None:
    (finding,) = clinic.findings(**MISSING)

    assert finding == {
        "severity": "problem",
        "check": "storage-class",
        "objects": [{"kind": "PersistentVolumeClaim", "name": "web-model-cache"}],
        "what": "It names the storage class fast, which does not exist. There are: standard (default).",
        "causes": "The claim stays Pending, and so do all pods that mount it: "
        "`helm install --wait` ends with its timeout.",
        "action": None,
        "value": {"path": "modelCache.storageClass", "example": "standard"},
    }


def test_the_names_of_the_checks_that_found_something(clinic: Clinic) -> None:
    assert (
        clinic.run("doctor", "--manifests", str(clinic.manifests(**MISSING)), "-o", "name").stdout == "storage-class\n"
    )


def test_wide_says_what_was_looked_at_and_is_fine(clinic: Clinic) -> None:
    said = clinic.about("-o", "wide", **MISSING)

    (fine,) = [line for line in said.splitlines() if line.startswith("fine: ")]
    assert set(fine.removeprefix("fine: ").split(", ")) == {check.name for check in checks.CHECKS} - {"storage-class"}


class TestAnInstallToCome:
    """Values are rendered by the helm that runs the plugin."""

    @pytest.fixture(autouse=True)
    def helm(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HELM_BIN", releases.helm())

    def test_values_are_rendered(self, clinic: Clinic, tmp_path: Path) -> None:
        (tmp_path / "values.yaml").write_text(json.dumps(FINE))

        result = clinic.run(
            "doctor", "chat", "-f", str(tmp_path / "values.yaml"), "--set", "modelCache.storageClass=fast"
        )

        assert "PROBLEM storage-class: PersistentVolumeClaim chat-model-cache\n" in result.stdout
        assert result.stdout.endswith("\nrelease chat to come in namespace default: 1 problem\n")

    def test_the_value_that_is_named_settles_it(self, clinic: Clinic, tmp_path: Path) -> None:
        (tmp_path / "values.yaml").write_text(json.dumps(FINE))
        clinic.cluster.add(node("node-1", taints=[{"key": "team", "effect": "NoSchedule"}]))
        given = ["doctor", "-f", str(tmp_path / "values.yaml"), "-o", "json"]

        (finding,) = json.loads(clinic.run(*given).stdout)["findings"]
        value = f"{finding['value']['path']}={json.dumps(finding['value']['example'])}"
        settled = clinic.run(*given, "--set-json", value)

        assert finding["check"] == "taints"
        assert json.loads(settled.stdout)["findings"] == []

    def test_what_the_chart_refuses_is_said_in_its_own_words(self, clinic: Clinic) -> None:
        result = clinic.run("doctor", "--set", "model.source=http://models.example.com/a.gguf,model.size=1Gi")

        assert result.exit_code == 1
        assert 'add "models.example.com" to downloader.allowHttp' in result.stderr
        assert "--debug" not in result.stderr

    def test_another_chart_can_be_named(self, clinic: Clinic, tmp_path: Path) -> None:
        result = clinic.run("doctor", "--chart", str(tmp_path))

        assert result.exit_code == 1
        assert "Chart.yaml" in result.stderr

    def test_without_helm_the_way_out_is_named(self, clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HELM_BIN")
        monkeypatch.setenv("PATH", "")

        told = clinic.run("doctor", "--set", "a=b").stderr

        assert "helm is not on PATH, and the chart is rendered with it\nInstall Helm 3.18 or newer, " in told
        assert told.endswith("put it on PATH, or name its path in HELM_BIN.\n")

    def test_without_a_chart_the_way_out_is_named(self, clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("llmkube_plugin.installation.CHART", clinic.folder)

        told = clinic.run("doctor", "--set", "a=b").stderr

        assert "installed without the llmkube chart\nName the chart with --chart" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "is no YAML"),
        ("- a\n- b", "holds no object of the llmkube chart"),
        ("{apiVersion: v1, kind: Secret, metadata: {name: a}}", "holds no object of the llmkube chart"),
        ("", "holds no object of the llmkube chart"),
    ],
)
def test_what_is_no_manifest_of_ours_is_refused(run: Run, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "file").write_text(text)

    result = run("doctor", "--manifests", str(tmp_path / "file"))

    assert result.exit_code == 1
    assert told in result.stderr
    assert "helm template" in result.stderr


def test_manifests_come_through_a_pipe(clinic: Clinic) -> None:
    result = clinic.run("doctor", "--manifests", "-", answer=clinic.manifests(**MISSING).read_text())

    assert "PROBLEM storage-class" in result.stdout


def test_objects_that_the_release_brings_are_not_missed(clinic: Clinic) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hf"}, "stringData": {"HF_TOKEN": "x"}}

    assert clinic.findings(model={**FINE["model"], "existingSecret": "hf"}, extraObjects={"hf": secret}) == []


def test_an_upgrade_of_what_is_there_is_fine(clinic: Clinic) -> None:
    clinic.cluster.add(owned(claim("web-model-cache")))

    assert clinic.findings() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--manifests", "x", "web"),
        ("--manifests", "x", "--set", "a=b"),
        ("--dir", "x", "web"),
        ("--dir", "x", "-f", "y"),
    ],
    ids=" ".join,
)
def test_what_means_nothing_together_is_refused(run: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "x").touch()

    assert run("doctor", *(str(tmp_path / each) if each == "x" else each for each in arguments)).exit_code == 2


def test_a_node_that_has_not_said_what_it_offers_is_no_end(clinic: Clinic) -> None:
    fresh = node("fresh")
    fresh["status"] = {}
    clinic.cluster.add(fresh)

    assert clinic.findings(modelCache__mode="ephemeral") == []


class TestRights:
    """What may not be read does not hide the rest."""

    def test_a_note_names_verb_resource_and_namespace(self, clinic: Clinic) -> None:
        clinic.cluster.refuse("list", "nodes", 403, "no")
        clinic.cluster.refuse("list", "resourcequotas", 403, "no")

        said = clinic.about(**MISSING)

        assert (
            "NOTE rights: nodes\n"
            "  You may not list nodes of the cluster. Not looked at: binding-mode, image, node-resources, "
            "node-room, node-selector, nodes, taints.\n"
            "  Ask for a ClusterRole with the verb list on nodes.\n"
        ) in said
        assert (
            "NOTE rights: resourcequotas\n"
            "  You may not list resourcequotas in namespace default. Not looked at: quota, quota-demands.\n"
            "  Ask for a Role with the verb list on resourcequotas.\n"
        ) in said
        assert "PROBLEM storage-class" in said

    def test_a_user_who_may_read_nothing_gets_notes_only(self, clinic: Clinic) -> None:
        everything = {plural for plural, _, _ in clinic.cluster.objects} | {"pods", "persistentvolumeclaims", "secrets"}
        for plural in (*everything, "storageclasses", "csidrivers", "networkpolicies", "services", "deployments"):
            clinic.cluster.refuse("list", plural, 403, "no")
            clinic.cluster.refuse("get", plural, 403, "no")

        found = clinic.findings(model={**FINE["model"], "existingSecret": "hf"}, server__priorityClassName="urgent")

        assert {each["check"] for each in found} == {"rights", "priority-class"}

    def test_what_could_not_be_looked_at_is_not_called_fine(self, clinic: Clinic) -> None:
        clinic.cluster.refuse("list", "resourcequotas", 403, "no")

        (fine,) = (line for line in clinic.about("-o", "wide").splitlines() if line.startswith("fine: "))

        assert "limit-range" in fine
        assert "quota" not in fine

    def test_a_claim_that_may_not_be_seen_is_not_missed(self, clinic: Clinic) -> None:
        clinic.cluster.add(claim("mine"))
        clinic.cluster.refuse("list", "persistentvolumeclaims", 403, "no")

        (finding,) = clinic.findings(modelCache__mode="existingClaim", modelCache__claimName="mine")

        assert finding["what"].startswith("You may not list persistentvolumeclaims in namespace default. ")
        assert "claim-missing" in finding["what"]

    def test_a_claim_that_may_have_its_volume_needs_no_class(self, clinic: Clinic) -> None:
        clinic.cluster.add(owned(claim("web-model-cache", storageClassName="fast")))
        clinic.cluster.refuse("list", "persistentvolumeclaims", 403, "no")

        assert {each["check"] for each in clinic.findings(**MISSING)} == {"rights"}

    @pytest.mark.parametrize("plural", ["persistentvolumeclaims", "pods"])
    def test_what_a_quota_counts_already_is_not_counted_again(self, clinic: Clinic, plural: str) -> None:
        full = quota({"requests.storage": "1Gi", "pods": "1"}, {"requests.storage": "1Gi", "pods": "1"})
        clinic.cluster.add(owned(claim("web-model-cache")), full)
        clinic.cluster.refuse("list", plural, 403, "no")

        assert {each["check"] for each in clinic.findings()} == {"rights"}

    def test_limits_that_may_not_be_read_are_not_taken_for_none(self, clinic: Clinic) -> None:
        clinic.cluster.add(quota({"requests.cpu": "8"}, {"requests.cpu": "0"}), limit_range(type="Container"))
        clinic.cluster.refuse("list", "limitranges", 403, "no")

        assert {each["check"] for each in clinic.findings()} == {"rights"}

    def test_a_claim_outside_of_a_limit_may_be_there_for_long(self, clinic: Clinic) -> None:
        clinic.cluster.add(limit_range(type="PersistentVolumeClaim", max={"storage": "1Mi"}))
        clinic.cluster.refuse("list", "persistentvolumeclaims", 403, "no")

        assert {each["check"] for each in clinic.findings()} == {"rights"}

    def test_a_class_that_only_a_volume_made_by_hand_has_may_be_there(self, clinic: Clinic) -> None:
        clinic.cluster.refuse("list", "persistentvolumes", 403, "no")

        found = {each["check"]: each["severity"] for each in clinic.findings(**MISSING)}

        assert found == {"storage-class": "warning", "rights": "note"}

    def test_one_right_less_is_one_note_more(self, clinic: Clinic) -> None:
        clinic.cluster.refuse("get", "secrets", 403, "no")

        (finding,) = clinic.findings(model={**FINE["model"], "existingSecret": "hf"})

        assert finding["what"] == "You may not get secrets in namespace default. Not looked at: secret, token."


class TestADirectory:
    @pytest.fixture(autouse=True)
    def no_cluster(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")

    def test_the_downloader_looks_at_it(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(cli, ["doctor", "--dir", str(tmp_path)], catch_exceptions=False)

        assert f"NOTE volume: {tmp_path}\n  capabilities: all that a cache needs of a file system" in result.stdout

    def test_what_is_wrong_there_is_a_problem(self, tmp_path: Path) -> None:
        key = "0123456789abcdef"
        (tmp_path / key).mkdir()
        (tmp_path / key / ".llmkube.json").write_text("{")

        result = CliRunner().invoke(cli, ["doctor", "--dir", str(tmp_path)], catch_exceptions=False)

        assert result.exit_code == 1
        assert f"PROBLEM volume: {tmp_path}\n  entries: " in result.stdout
        assert "The downloader ends with exit code 13 (integrity)." in result.stdout


def test_the_page_and_the_table_of_checks_agree() -> None:
    page = (releases.REPOSITORY / "docs" / "plugin-doctor.md").read_text()

    listed = re.findall(r"^\| `([a-z-]+)` \| ", page.partition("## The checks")[2], re.MULTILINE)
    assert listed == [*(check.name for check in checks.CHECKS), online.CHECK, checks.RIGHTS, directory.CHECK]


def test_the_values_that_the_page_names_are_the_charts() -> None:
    values = yaml.safe_load((releases.REPOSITORY / "charts" / "llmkube" / "values.yaml").read_text())
    page = (releases.REPOSITORY / "docs" / "plugin-doctor.md").read_text().partition("## The checks")[2]

    named = set(re.findall(r"`([a-z]+[A-Za-z]*(?:\.[A-Za-z]+)+)`", page))
    assert len(named) > 20
    for path in named - {"requests.storage"}:
        place = values
        for part in path.split("."):
            place = place if place == {} else place[part]
