"""A preload Job gets another name when, and only when, its pod changes: most of a Job can not be changed in place."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from chart.rendering import CHART, SERVING, Renderer, nested
from chart.samples import AROUND

OTHER_POD: dict[str, dict[str, Any]] = {
    "source": {"model.source": "hf://org/repo/other.gguf"},
    "hash": {"model.sha256": "0" * 64},
    "image": {"downloader.image.tag": "v9"},
    "credentials": {"model.existingSecret": "hub"},
    "environment": {"downloader.env": {"HTTPS_PROXY": "http://proxy:3128"}},
    "mirror": {"downloader.hfEndpoint": "https://hub.example.com"},
    "identity": {"serviceAccount.name": "models"},
    "pull secrets": {"global.imagePullSecrets": ["registry"]},
    "registry": {"global.imageRegistry": "registry.example.com"},
    "mirrors": {"model.mirrors": ["https://hub.example.com"]},
    "refresh": {"model.refresh": "on-change"},
    "bandwidth": {"downloader.limitRate": "50M"},
    "patience": {"downloader.stallTimeout": "30s"},
    "proxy": {"downloader.proxy.https": "http://proxy:3128"},
    "authorities": {"downloader.caBundle.configMap": "authorities"},
    "priority": {"downloader.priorityClassName": "low"},
    "placement": {"server.nodeSelector": {"gpu": "yes"}},
    "kind of GPU": {"server.gpu.vendor": "nvidia"},
    "kind of GPU among the resources": {"server.resources": {"limits": {"amd.com/gpu": 1}}},
    "security context": {"podSecurityContext.fsGroup": 2000},
}
SAME_POD: dict[str, dict[str, Any]] = {
    "number of tries": {"preload.backoffLimit": 1},
    "deadline": {"preload.activeDeadlineSeconds": 60},
    "removal": {"preload.ttlSecondsAfterFinished": 60},
    "size of the claim": {"modelCache.size": "30Gi"},
    "server's resources": {"server.resources": {"limits": {"memory": "8Gi"}}},
    "schedule": {"preload.schedule": "@daily", "downloader.timeZone": "Etc/UTC"},
    "verification": {"modelCache.verify": {"schedule": "@daily", "repair": True}},
    "prune": {"modelCache.prune": {"schedule": "@daily", "unused": True}, "modelCache.hold": True},
    "hold's resources": {"modelCache.hold": True, "downloader.holdResources": {"limits": {"memory": "64Mi"}}},
    "server's grace period": {"server.terminationGracePeriodSeconds": 5},
    "labels and annotations of all objects": {"commonLabels": {"a": "b"}, "commonAnnotations": {"a": "b"}},
    "labels and annotations of the server": {"server.podLabels": {"a": "b"}, "server.podAnnotations": {"a": "b"}},
    "what is around the server": AROUND,
    "autoscaler": {"server.autoscaling": {"enabled": True, "metrics": [{"type": "Pods"}]}},
    "Service": {"server.service.type": "LoadBalancer"},
    "runtime": {"runtime.args": ["--flash-attn", "on"]},
    "another server": {"runtime.name": "custom", "runtime.image.repository": "a", "runtime.image.tag": "b"},
    "key of clients": {"runtime.apiKey.existingSecret": "keys"},
    "chat template": {"runtime.chatTemplate.inline": "{{ messages }}"},
    "warming up": {"runtime.loader.warm": True},
}


GPUS: list[dict[str, Any]] = [
    {"server.gpu.vendor": "nvidia"},
    {"server.gpu.vendor": "nvidia", "server.gpu.count": 8},
    {"server.gpu.vendor": "nvidia", "server.gpu.count": 0},
    {"server.resources": {"limits": {"nvidia.com/gpu": 2}}},
]


def _job_name(chart: Renderer, changes: dict[str, Any] | None = None) -> str:
    objects = chart.objects(nested({**SERVING, **(changes or {})}))
    (name,) = (manifest["metadata"]["name"] for manifest in objects if manifest["kind"] == "Job")
    return str(name)


@pytest.mark.parametrize("changes", OTHER_POD.values(), ids=OTHER_POD.keys())
def test_another_pod_is_another_job(chart: Renderer, changes: dict[str, Any]) -> None:
    assert _job_name(chart, changes) != _job_name(chart)


@pytest.mark.parametrize("changes", SAME_POD.values(), ids=SAME_POD.keys())
def test_the_same_pod_is_the_same_job(chart: Renderer, changes: dict[str, Any]) -> None:
    assert _job_name(chart, changes) == _job_name(chart)


def test_what_is_loaded_beside_the_model_has_jobs_of_its_own(chart: Renderer) -> None:
    beside = {"runtime.loraAdapters": {"german": {"source": "hf://org/repo/german.gguf"}}}
    objects = chart.objects(nested({**SERVING, **beside}))
    names = {str(manifest["metadata"]["name"]) for manifest in objects if manifest["kind"] == "Job"}
    assert len(names) == 2
    assert _job_name(chart) in names


def test_another_number_of_gpus_is_the_same_job_because_downloads_hold_none(chart: Renderer) -> None:
    assert len({_job_name(chart, gpus) for gpus in GPUS}) == 1


def test_a_new_chart_version_makes_no_new_job(chart: Renderer, tmp_path: Path) -> None:
    copy = tmp_path / "llmkube"
    shutil.copytree(CHART, copy)
    definition = (copy / "Chart.yaml").read_text("utf-8")
    (copy / "Chart.yaml").write_text(definition.replace("\nversion: 0.1.0", "\nversion: 0.1.1"))
    newer = Renderer(chart.helm, copy)
    assert "llmkube-0.1.1" in newer.text(nested(SERVING))
    assert _job_name(newer) == _job_name(chart)


def test_a_comment_in_a_template_makes_no_new_job(chart: Renderer, tmp_path: Path) -> None:
    copy = tmp_path / "llmkube"
    shutil.copytree(CHART, copy)
    template = copy / "templates" / "_preload.tpl"
    template.write_text(template.read_text("utf-8").replace("template:\n", "# A comment.\ntemplate:\n"))
    newer = Renderer(chart.helm, copy)
    assert "# A comment." in newer.text(nested(SERVING))
    assert _job_name(newer) == _job_name(chart)


def test_a_signed_url_that_is_signed_anew_is_the_same_entry(chart: Renderer) -> None:
    keys = set()
    for signature in ("abc", "def"):
        source = f"https://bucket.example.com/tiny.gguf?X-Amz-Signature={signature}"
        objects = chart.objects(nested({**SERVING, "model.source": source}))
        keys |= {manifest["metadata"]["labels"].get("llmkube.dev/key") for manifest in objects} - {None}
    assert len(keys) == 1
