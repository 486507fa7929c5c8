"""A claim that has become too small grows by `modelCache.size`, where its storage class allows that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.local.disks import DISK, MINIMUM_MIB
from e2e.kit import Space, report
from fakehub import FakeHub
from models.gguf import write_gguf

pytestmark = pytest.mark.cluster

SMALL: dict[str, Any] = {"model__source": "hf://acme/small/model-f16.gguf"}
GROWING: dict[str, Any] = {"modelCache__storageClass": DISK}
BEFORE, AFTER = f"{MINIMUM_MIB}Mi", f"{2 * MINIMUM_MIB}Mi"
ADDED = MINIMUM_MIB * 2**20
# What the server's own container sees of its volume.
LOOK = """
import json, os
volume = os.statvfs("/models")
print(json.dumps([volume.f_blocks * volume.f_frsize, os.stat(os.environ["LLMKUBE_MODEL_PATH"]).st_ino]))
"""


@pytest.fixture
def large(hub_root: Path) -> Iterator[str]:
    """A model that a disk of the size BEFORE has no room for."""
    file = hub_root / "acme/large/main/model-f16.gguf"
    file.parent.mkdir(parents=True)
    write_gguf(file, mib=MINIMUM_MIB - 50)
    yield "hf://acme/large/model-f16.gguf"
    file.unlink()
    file.parent.rmdir()


def test_the_volume_of_a_running_server_grows_and_nothing_else_happens(either: Space, hub: FakeHub) -> None:
    either.install("small", modelCache__size=BEFORE, **SMALL, **GROWING)
    either.kubectl("wait", "--for=condition=Complete", "job", "--all", "--timeout=90s")
    (size, weights), running = _look(either), _identities(either)
    hub.requests.clear()

    either.install("small", modelCache__size=AFTER, **SMALL, **GROWING)
    _wait_for_capacity(either, AFTER)
    assert _look(either) == [size + ADDED, weights]
    assert _identities(either) == running
    assert list(hub.requests) == []
    assert either.chat("small").strip()

    either.restart("small")
    seen = report(either.pods("small", "server")[0])
    assert seen["result"] == "hit"
    assert seen["volume"]["total"] == size + ADDED


def test_a_model_that_did_not_fit_is_served_once_its_volume_has_grown(space: Space, large: str) -> None:
    space.install("large", wait=False, model__source=large, modelCache__size=BEFORE, **GROWING)
    space.kubectl("wait", "--for=condition=Failed", "job", "--all", "--timeout=90s")
    (refused,) = space.pods("large", "preload")
    assert report(refused)["error"]["name"] == "no-space"

    space.kubectl("delete", "job", "--all")  # what has failed stays as it is, and Helm would wait for it
    space.install("large", model__source=large, modelCache__size=AFTER, **GROWING)
    assert space.chat("large").strip()


def test_a_volume_that_nobody_uses_grows_as_soon_as_somebody_does(space: Space) -> None:
    space.install("small", modelCache__size=BEFORE, **SMALL, **GROWING)
    size, weights = _look(space)
    space.install("small", modelCache__size=BEFORE, server__replicas=0, **SMALL, **GROWING)
    space.install("small", modelCache__size=AFTER, server__replicas=0, **SMALL, **GROWING)
    space.install("small", modelCache__size=AFTER, **SMALL, **GROWING)
    _wait_for_capacity(space, AFTER)
    assert _look(space) == [size + ADDED, weights]


def test_a_class_that_does_not_grow_refuses_readably_and_keeps_everything(either: Space) -> None:
    either.install("small", modelCache__size="16Mi", server__replicas=0, **SMALL)
    refused = either.install("small", modelCache__size="32Mi", server__replicas=0, check=False, **SMALL)
    assert refused.code != 0
    assert "small-model-cache" in refused.err
    assert "the storageclass that provisions the pvc must support resize" in refused.err
    claim = either.get("pvc", "small-model-cache")
    assert claim["spec"]["resources"]["requests"]["storage"] == "16Mi"
    either.install("small", modelCache__size="16Mi", server__replicas=0, **SMALL)  # taken back, all is well again


def test_a_claim_never_shrinks(space: Space) -> None:
    space.install("small", modelCache__size=AFTER, server__replicas=0, **SMALL, **GROWING)
    refused = space.install("small", modelCache__size=BEFORE, server__replicas=0, check=False, **SMALL, **GROWING)
    assert refused.code != 0
    assert "field can not be less than" in refused.err


def _look(space: Space) -> Any:
    """The volume's size in bytes, and the inode of the weights on it."""
    inside = ["exec", "deployment/small", "--container", "server", "--"]
    return json.loads(space.kubectl(*inside, "python3", "-c", LOOK))


def _identities(space: Space) -> Any:
    """What must not be made anew: the claim, its volume, the Jobs, the server and its container."""
    claim = space.get("pvc", "small-model-cache")
    (server,) = space.pods("small", "server")
    return {
        "claim": claim["metadata"]["uid"],
        "volume": claim["spec"]["volumeName"],
        "jobs": sorted(job["metadata"]["uid"] for job in space.get("jobs")),
        "server": server["metadata"]["uid"],
        "containers": [status["containerID"] for status in server["status"]["containerStatuses"]],
    }


def _wait_for_capacity(space: Space, size: str) -> None:
    """Waits until the kubelet says that the file system has the size of the claim."""
    grown = f"--for=jsonpath={{.status.capacity.storage}}={size}"
    space.kubectl("wait", grown, "pvc/small-model-cache", "--timeout=300s")
