"""What the tests of the chart share."""

from __future__ import annotations

import os
from typing import Any

import pytest
import yaml

from chart.rendering import SERVING, Object, Renderer, nested
from chart.samples import AROUND
from tools.render_examples import examples


@pytest.fixture(scope="session")
def helm() -> str:
    """The helm binary."""
    return os.environ.get("HELM", "helm")


@pytest.fixture(scope="session")
def chart(helm: str) -> Renderer:
    """The chart, ready to render."""
    return Renderer(helm)


def _typical_values() -> dict[str, dict[str, Any]]:
    """Values that together render every object of the chart, with every optional part."""
    everything = {
        **SERVING,
        "model.revision": "v1",
        "model.existingSecret": "hub",
        "imagePullSecrets": [{"name": "registry"}],
        "global.imagePullSecrets": ["shared"],
        "commonLabels": {"example.com/team": "a"},
        "commonAnnotations": {"example.com/team": "a"},
        "server.gpu.vendor": "nvidia",
        "server.gpu.count": 2,
        "server.resources": {"limits": {"memory": 34359738368, "cpu": None}, "requests": {}},
        "server.tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "server.resourceClaims": {"net": {"resourceClaimTemplateName": "rdma"}, "gone": None},
        "server.topologySpreadConstraints": [
            {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
        ],
        "server.lifecycle": {"preStop": {"sleep": {"seconds": 5}}, "postStart": None},
        "server.affinity": {"nodeAffinity": {}, "podAntiAffinity": None},
        "server.extraVolumes": [{"name": "extra", "emptyDir": {}}],
        "server.extraVolumeMounts": [{"name": "extra", "mountPath": "/extra"}],
        "server.extraContainers": [{"name": "beside", "image": "a"}],
        "server.extraInitContainers": [{"name": "before", "image": "a"}],
        "server.podLabels": {"example.com/pod": "a"},
        "server.podAnnotations": {"example.com/pod": "a"},
        "preload.models": {"other": {"source": "https://models.example.com/other.gguf", "existingSecret": "other"}},
        "server.env": {"HOME": "/home", "EXTRA": "1"},
        "downloader.env": {"HTTPS_PROXY": "http://proxy:3128", "HOME": "/home"},
        "downloader.hfEndpoint": "https://hub.example.com",
        "downloader.allowHttp": ["*"],
        "downloader.timeZone": "Etc/UTC",
        "downloader.connections": 8,
        "downloader.limitRate": "50M",
        "downloader.proxy.http": "http://proxy:3128",
        "downloader.caBundle.configMap": "authorities",
        "model.mirrors": ["https://hub.example.com"],
        "modelCache.hold": True,
        "modelCache.prune": {"schedule": "0 3 * * 0", "olderThan": "30d"},
        "modelCache.verify": {"schedule": "0 4 1 * *", "repair": True},
        "preload.schedule": "0 2 * * *",
        **AROUND,
    }
    beside = {
        "model.source": "hf://org/repo",
        "model.existingSecret": "hub",
        "runtime.name": "vllm",
        "runtime.draftModel": {"source": "hf://org/draft", "existingSecret": "other"},
        "runtime.draftTokens": 5,
        "runtime.loraAdapters": {"german": {"source": "hf://org/german"}, "De.X": {"source": "hf://org/x"}},
        "runtime.chatTemplate.inline": "{{ messages }}",
        "runtime.apiKey.existingSecret": "keys",
        "runtime.loader.warm": True,
    }
    values = {example.stem: yaml.safe_load(example.read_text("utf-8")) for example in examples()}
    return {
        **values,
        "everything": nested(everything),
        "much beside a model": nested({**SERVING, **beside}),
        "empty cache": nested({"modelCache.size": "1Gi"}),
    }


@pytest.fixture(scope="session", params=list(_typical_values().items()), ids=lambda item: item[0])
def rendered(request: pytest.FixtureRequest, chart: Renderer) -> list[Object]:
    """The objects of one typical set of values."""
    _, values = request.param
    return chart.objects(values)
