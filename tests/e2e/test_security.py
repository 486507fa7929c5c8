"""What a pod of a release can not do."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from e2e.kit import Space
from fakehub import FakeHub

pytestmark = pytest.mark.cluster

_TRY_TO_WRITE = """
import pathlib, sys
try:
    pathlib.Path(sys.argv[1], "intruder").write_text("x")
except OSError as error:
    print(error.strerror)
"""


@pytest.fixture
def served(space: Space) -> Space:
    space.install("small", model__source="hf://acme/small/model-f16.gguf")
    return space


def test_the_server_can_not_write_to_the_cache(served: Space) -> None:
    key = served.pods("small", "server")[0]["metadata"]["labels"]["llmkube.dev/key"]
    for folder in ("/models", f"/models/{key}"):
        said = served.kubectl("exec", "deployment/small", "-c", "server", "--", "python3", "-c", _TRY_TO_WRITE, folder)
        assert said.strip() == "Read-only file system"


def test_nothing_runs_as_root_or_holds_a_token_of_the_cluster(served: Space) -> None:
    for pod in served.get("pods"):
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert not [volume for volume in pod["spec"]["volumes"] if "projected" in volume]
    identity = "import os; print(os.getuid(), os.path.exists('/var/run/secrets/kubernetes.io'))"
    said = served.kubectl("exec", "deployment/small", "-c", "server", "--", "python3", "-c", identity)
    assert said.split() == ["10001", "False"]


def test_the_release_may_do_nothing_in_the_cluster(served: Space) -> None:
    account = f"system:serviceaccount:{served.name}:small"
    verbs = served.cluster.kubectl("auth", "can-i", "--list", "--as", account, "--namespace", served.name)
    assert "pods" not in verbs
    assert "secrets" not in verbs


def test_a_gated_model_is_fetched_with_a_token_that_shows_up_nowhere_else(
    space: Space, hub: FakeHub, token: str, volume_text: Callable[[str, str], str]
) -> None:
    space.kubectl("create", "secret", "generic", "hub", f"--from-literal=HF_TOKEN={token}")
    space.install("gated", model__source="hf://acme/gated/model-f16.gguf", model__existingSecret="hub")
    assert space.chat("gated").strip()
    # The preload may have waited for the fetch of the server, and uses the token as well.
    space.kubectl("wait", "--for=condition=Complete", "job", "--all", "--timeout=90s")

    sent = {record.listener for record in hub.requests if record.authorization}
    assert sent == {"hub"}
    environment = "import os, pathlib; print(dict(os.environ), list(pathlib.Path('/var/run/secrets').glob('**/*')))"
    seen = space.kubectl("exec", "deployment/gated", "-c", "server", "--", "python3", "-c", environment)
    seen += space.kubectl("logs", "--selector=llmkube.dev/release=gated", "--all-containers", "--prefix")
    seen += json.dumps([space.get(kind) for kind in ("pods", "jobs", "deployments", "events", "configmaps")])
    seen += volume_text(space.name, "gated-model-cache")
    assert token not in seen
    assert "/var/run/secrets/llmkube" not in space.kubectl("exec", "deployment/gated", "-c", "server", "--", "mount")
