"""The flags that the chart gives servers are theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.rendering import CONTRACT, SERVING, Object, Renderer, nested

KNOWN: dict[str, dict[str, Any]] = yaml.safe_load((CONTRACT / "runtime-flags.yaml").read_text("utf-8"))
OWN_VARIABLES = {"HOME", "LLMKUBE_MODEL_PATH"}
COMMON: dict[str, Any] = {
    "runtime.contextSize": 4096,
    "runtime.parallel": 2,
    "runtime.kvCacheType": "fp8",
    "runtime.apiKey.existingSecret": "keys",
    "runtime.chatTemplate.configMap": "templates",
}
PYTHON = {
    **COMMON,
    "model.source": "hf://org/repo",
    "runtime.tensorParallel": 2,
    "runtime.pipelineParallel": 2,
    "runtime.quantization": "fp8",
    "runtime.dtype": "bfloat16",
    "runtime.gpuMemoryUtilization": 0.8,
    "runtime.trustRemoteCode": True,
    "runtime.draftModel": {"source": "hf://org/draft"},
    "runtime.draftTokens": 5,
    "runtime.loraAdapters": {"german": {"source": "hf://org/german"}},
    "runtime.loader.strategy": "prefetch",
}
TGI = set(PYTHON) - {"runtime.pipelineParallel", "runtime.draftModel", "runtime.draftTokens", "runtime.loader.strategy"}
EVERYTHING: dict[str, dict[str, Any]] = {
    "llamacpp": {
        **COMMON,
        "runtime.kvCacheType": "q8_0",
        "runtime.threads": 2,
        "runtime.gpuLayers": "all",
        "runtime.mmproj": {"source": "hf://org/repo/mmproj.gguf"},
        "runtime.draftModel": {"source": "hf://org/repo/draft.gguf"},
        "runtime.draftTokens": 5,
        "runtime.loraAdapters": {name: {"source": f"hf://org/repo/{name}.gguf"} for name in ("dutch", "german")},
        "runtime.loader.mmap": False,
    },
    "vllm": PYTHON,
    "sglang": {**PYTHON, "runtime.loader.mmap": False},
    "tgi": {path: PYTHON[path] for path in TGI - {"runtime.chatTemplate.configMap"}},
}


def _server(chart: Renderer, runtime: str, changes: dict[str, Any]) -> Object:
    objects = chart.objects(nested({**SERVING, "runtime.name": runtime, **changes}))
    deployment = next(manifest for manifest in objects if manifest["kind"] == "Deployment")
    server: Object = deployment["spec"]["template"]["spec"]["containers"][0]
    return server


def _variants(runtime: str) -> list[dict[str, Any]]:
    """Return values that together use every flag: a server has one task."""
    tasks = ["generate"] if runtime == "tgi" else ["generate", "embed", "rerank"]
    return [{**EVERYTHING[runtime], "runtime.task": task} for task in tasks]


@pytest.mark.parametrize("runtime", KNOWN)
def test_a_runtime_uses_the_flags_that_were_looked_up_and_no_others(chart: Renderer, runtime: str) -> None:
    used = {
        text.partition("=")[0]
        for changes in _variants(runtime)
        for text in _server(chart, runtime, changes)["args"]
        if text.startswith("--")
    }
    assert used == set(KNOWN[runtime]["flags"])


@pytest.mark.parametrize("runtime", KNOWN)
def test_a_runtime_uses_the_variables_that_were_looked_up_and_no_others(chart: Renderer, runtime: str) -> None:
    used = {variable["name"] for variable in _server(chart, runtime, EVERYTHING[runtime])["env"]}
    assert used - OWN_VARIABLES == set(KNOWN[runtime]["variables"])


@pytest.mark.parametrize("runtime", KNOWN)
def test_the_image_is_of_the_version_that_was_looked_up(chart: Renderer, runtime: str) -> None:
    source = {"model.source": EVERYTHING[runtime].get("model.source", SERVING["model.source"])}
    tag = _server(chart, runtime, source)["image"].rpartition(":")[2]
    assert KNOWN[runtime]["version"] in tag


def _ask_llamacpp(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Ask llama.cpp's own parser; no core is dumped should it end by a signal."""
    command = [sys.executable, str(Path(__file__).with_name("llamacpp_parser.py")), *arguments]
    given = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=given)


@pytest.mark.parametrize("changes", _variants("llamacpp"), ids=lambda changes: changes["runtime.task"])
def test_llamacpp_itself_takes_all_the_chart_says(chart: Renderer, tmp_path: Path, changes: dict[str, Any]) -> None:
    server = _server(chart, "llamacpp", changes)
    template = tmp_path / "chat-template.jinja"
    template.write_text("{{ messages }}")
    told = [text.replace("/etc/llmkube/chat-template/chat-template.jinja", str(template)) for text in server["args"]]
    variables = {variable["name"]: variable["value"] for variable in server["env"] if "value" in variable}
    done = _ask_llamacpp(told, **variables, LLAMA_API_KEY="secret")
    assert done.returncode == 0, done.stderr
    understood = json.loads(done.stdout)
    adapters = told[told.index("--lora") + 1].split(",")
    assert understood == {
        "model": variables["LLMKUBE_MODEL_PATH"],
        "context": 4096,
        "parallel": 2,
        "port": 8080,
        "embedding": changes["runtime.task"] != "generate",
        "keys": ["secret"],
        "adapters": adapters,
        "drafts": ["NONE", "DRAFT_SIMPLE"],
        "loading": "NONE",
    }
    assert len(adapters) == 2


@pytest.mark.parametrize(
    "wrong", [["--spec-draft-modell", "a.gguf"], ["--cache-type-k", "fp8"], ["--ctx-size"], ["--spec-type", "draft"]]
)
def test_llamacpp_itself_refuses_what_is_not_its_own(wrong: list[str]) -> None:
    assert _ask_llamacpp(["--model", "a.gguf", *wrong]).returncode != 0
