"""A claim that has become too small is asked to grow by `modelCache.size`, where its storage class allows that.

What is shown is what the API server says to it. That the bytes follow is up to the storage, which here has no sizes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.kit import Space

pytestmark = pytest.mark.cluster

VALUES: dict[str, Any] = {"model__source": "hf://acme/small/model-f16.gguf", "server__replicas": 0}


@pytest.fixture
def growing(space: Space) -> Iterator[str]:
    """A storage class like the default one, whose claims may grow."""
    default = json.loads(space.cluster.kubectl("get", "storageclass", "local-path", "--output", "json"))
    name = f"growing-{space.name}"
    metadata = {"name": name, "annotations": {"defaultVolumeType": "local"}}
    rest = {key: default[key] for key in ("apiVersion", "kind", "provisioner", "volumeBindingMode", "reclaimPolicy")}
    space.cluster.apply(rest | {"metadata": metadata, "allowVolumeExpansion": True})
    yield name
    space.cluster.kubectl("delete", "storageclass", name)


def test_a_larger_size_is_asked_of_the_same_claim(either: Space, growing: str) -> None:
    either.install("small", modelCache__storageClass=growing, modelCache__size="16Mi", **VALUES)
    before = either.get("pvc", "small-model-cache")
    jobs = [job["metadata"]["uid"] for job in either.get("jobs")]
    either.install("small", modelCache__storageClass=growing, modelCache__size="32Mi", **VALUES)
    after = either.get("pvc", "small-model-cache")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"]["resources"]["requests"]["storage"] == "32Mi"
    assert after["spec"]["volumeName"] == before["spec"]["volumeName"]
    assert [job["metadata"]["uid"] for job in either.get("jobs")] == jobs


def test_a_class_that_does_not_grow_refuses_readably_and_keeps_everything(either: Space) -> None:
    either.install("small", modelCache__size="16Mi", **VALUES)
    refused = either.install("small", modelCache__size="32Mi", check=False, **VALUES)
    assert refused.code != 0
    assert "small-model-cache" in refused.err
    assert "the storageclass that provisions the pvc must support resize" in refused.err
    claim = either.get("pvc", "small-model-cache")
    assert claim["spec"]["resources"]["requests"]["storage"] == "16Mi"
    either.install("small", modelCache__size="16Mi", **VALUES)  # taken back, the release is well again


def test_a_claim_never_shrinks(space: Space, growing: str) -> None:
    space.install("small", modelCache__storageClass=growing, modelCache__size="32Mi", **VALUES)
    refused = space.install("small", modelCache__storageClass=growing, modelCache__size="16Mi", check=False, **VALUES)
    assert refused.code != 0
    assert "field can not be less than" in refused.err
