"""What the chart renders is what the plugin and the downloader expect."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import yaml

from chart.rendering import CONTRACT, SERVING, Object, Renderer, containers, nested, pod_templates

LABELS: dict[str, Any] = yaml.safe_load((CONTRACT / "labels.yaml").read_text("utf-8"))
CODES: list[dict[str, Any]] = yaml.safe_load((CONTRACT / "exit-codes.yaml").read_text("utf-8"))
HASH = "0" * 64
# Only for the scheduler, see _labels.tpl: the plugin does not read it.
SCHEDULING = {"llmkube.dev/claim-hash"}


def _metadata(manifest: Object) -> list[Object]:
    return [manifest["metadata"], *(template["metadata"] for template in pod_templates(manifest))]


def _own_annotations(metadata: Object) -> dict[str, str]:
    annotations: dict[str, str] = metadata["annotations"]
    return {name: value for name, value in annotations.items() if name.startswith("llmkube.dev/")}


def test_every_object_and_pod_names_its_release_and_component(rendered: list[Object]) -> None:
    components = {*LABELS["components"], LABELS["testComponent"]}
    for manifest in rendered:
        for metadata in _metadata(manifest):
            assert metadata["labels"][LABELS["labels"]["release"]] == "chat", manifest["kind"]
            assert metadata["labels"][LABELS["labels"]["component"]] in components, manifest["kind"]


def test_the_chart_uses_no_label_or_annotation_of_its_own_that_the_contract_lacks(rendered: list[Object]) -> None:
    labels = {*LABELS["labels"].values(), *SCHEDULING}
    annotations = set(LABELS["annotations"].values())
    for manifest in rendered:
        for metadata in _metadata(manifest):
            assert {name for name in metadata["labels"] if name.startswith("llmkube.dev/")} <= labels
            used = {name for name in metadata.get("annotations", {}) if name.startswith("llmkube.dev/")}
            assert used <= annotations


def test_workloads_and_their_pods_say_the_same_about_key_and_claim(rendered: list[Object]) -> None:
    for manifest in rendered:
        if manifest["kind"] not in ("Deployment", "Job"):
            continue
        workload, pod = _metadata(manifest)
        key = LABELS["labels"]["key"]
        assert workload["labels"].get(key) == pod["labels"].get(key)
        assert _own_annotations(workload) == _own_annotations(pod)


def test_pods_mount_the_claim_they_name(rendered: list[Object]) -> None:
    for manifest in rendered:
        for template in pod_templates(manifest):
            volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
            place = volumes.get("model-source") or volumes["model-cache"]
            mounted = place.get("persistentVolumeClaim", {}).get("claimName")
            assert template["metadata"]["annotations"].get(LABELS["annotations"]["claim"]) == mounted


def test_containers_have_the_names_of_the_contract(rendered: list[Object]) -> None:
    for manifest in rendered:
        for container in containers(manifest):
            arguments = container.get("args", [""])
            if arguments[0] == "fetch":
                beside = f"{LABELS['containers']['fetch']}-"
                allowed = manifest["kind"] == "Deployment" and container["name"].startswith(beside)
                assert allowed or container["name"] == LABELS["containers"]["fetch"]
            if manifest["kind"] == "CronJob":
                is_pattern = manifest["spec"].get("suspend", False)
                assert (container["name"] == LABELS["containers"]["maintenance"]) == is_pattern, manifest["metadata"]


def test_only_who_uses_an_entry_afterwards_is_told_the_pods_uid(rendered: list[Object]) -> None:
    for manifest in rendered:
        for container in containers(manifest):
            told = LABELS["variables"]["podUID"] in {variable["name"] for variable in container.get("env", [])}
            says_so = container.get("args", [""])[0] in ("fetch", "hold")
            assert told == (says_so and manifest["kind"] == "Deployment"), container["name"]


def test_no_environment_variable_is_there_twice(rendered: list[Object]) -> None:
    for manifest in rendered:
        for container in containers(manifest):
            counts = Counter(variable["name"] for variable in container.get("env", []))
            assert [name for name, count in counts.items() if count > 1] == []


def test_no_object_is_there_twice(rendered: list[Object]) -> None:
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in rendered]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("sha256", "final_too"), [("", set()), (HASH, {13})], ids=["no hash given", "hash given"])
def test_preload_jobs_stop_at_once_on_the_codes_that_are_not_worth_a_retry(
    chart: Renderer, sha256: str, final_too: set[int]
) -> None:
    objects = chart.objects(nested({**SERVING, "model.sha256": sha256}))
    job = next(manifest for manifest in objects if manifest["kind"] == "Job")
    rules = job["spec"]["podFailurePolicy"]["rules"]
    codes = next(rule["onExitCodes"] for rule in rules if rule["action"] == "FailJob")
    final = {code["code"] for code in CODES if not code["retry"] and code["code"]} | final_too
    assert codes["values"] == sorted(final), "Kubernetes wants the values in order"
    assert codes["containerName"] == LABELS["containers"]["fetch"]
