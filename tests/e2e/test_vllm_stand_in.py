"""A Hugging Face folder is served too: through `runtime.name: custom`, by a CPU server that takes vLLM's arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.provider import Cluster
from e2e.kit import Space, report
from fakehub import FakeHub
from images.build import MLX_SERVER
from models.safetensors import write_safetensors

pytestmark = pytest.mark.cluster


@pytest.fixture
def folder_model(stage: Cluster, hub_root: Path) -> str:
    """A safetensors repository on the hub, and the image that serves it on the node."""
    write_safetensors(hub_root / "acme" / "folder" / "main", mib=2)
    stage.load([MLX_SERVER])
    return "hf://acme/folder"


def test_a_safetensors_repository_is_fetched_whole_and_served(space: Space, hub: FakeHub, folder_model: str) -> None:
    space.install(
        "folder",
        model__source=folder_model,
        runtime__name="custom",
        runtime__image=space.image(MLX_SERVER),
        runtime__args=["$(LLMKUBE_MODEL_PATH)", "--port", "8080", "--served-model-name", "folder"],
        runtime__threads=None,
        runtime__contextSize=None,
    )
    assert space.chat("folder").strip()
    paths = {file["path"] for file in report(space.pods("folder", "server")[0])["files"]}
    assert paths == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
