"""What a pod of a release can not do."""

from __future__ import annotations

import pytest

from e2e.kit import Space

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
