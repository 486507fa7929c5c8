"""Every example, and all that chart-testing installs, is accepted by a real API server, which knows every field."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from apiserver.client import Api
from chart.rendering import Renderer, parsed
from chart.samples import SAMPLES

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("values", SAMPLES.values(), ids=SAMPLES.keys())
def test_what_is_rendered_can_be_applied(
    api: Api, chart: Renderer, space: Callable[[], str], values: dict[str, Any]
) -> None:
    namespace = space()
    text = chart.text(values)
    # The pod of `helm test` is looked at with its identity, which a dry run of the same objects does not leave there.
    identities = [each for each in parsed(text) if each["kind"] == "ServiceAccount"]
    _apply(api, namespace, yaml.safe_dump_all(identities))
    done = _apply(api, namespace, text, "--dry-run=server")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def _apply(api: Api, namespace: str, manifests: str, *flags: str) -> subprocess.CompletedProcess[str]:
    where = ["--kubeconfig", str(api.running.kubeconfig), "--namespace", namespace]
    command = [str(api.running.tools / "kubectl"), *where, "apply", *flags, "--filename", "-"]
    return subprocess.run(command, input=manifests, capture_output=True, text=True, check=False)
