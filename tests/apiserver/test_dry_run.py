"""Every example, and all that chart-testing installs, is accepted by a real API server, which knows every field."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from apiserver.client import Api
from chart.rendering import Renderer
from chart.samples import SAMPLES

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("values", SAMPLES.values(), ids=SAMPLES.keys())
def test_what_is_rendered_can_be_applied(
    api: Api, chart: Renderer, space: Callable[[], str], values: dict[str, Any]
) -> None:
    where = ["--kubeconfig", str(api.running.kubeconfig), "--namespace", space()]
    command = [str(api.running.tools / "kubectl"), *where, "apply", "--dry-run=server", "--filename", "-"]
    done = subprocess.run(command, input=chart.text(values), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
