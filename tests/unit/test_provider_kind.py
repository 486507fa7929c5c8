"""Clusters of kind and of the user. Docker can not be had in every run, so `kind` and `docker` are recorded here."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import provider

_PROGRAM = """#!/bin/sh
echo "{name} $*" >> {log}
{body}
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of the calls of kind, docker and kubectl, which answer as the real ones do."""
    log = tmp_path / "calls"
    bodies = {
        "kind": 'test "$1 $2" = "get clusters" && echo other; true',
        "docker": 'test "$1" = network && echo "fc00:f853:ccd:e793::1 172.18.0.1 "; true',
        "kubectl": 'case "$*" in *"config view"*) echo https://127.0.0.1:6443;; esac',
    }
    for name, body in bodies.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(_PROGRAM.format(name=name, log=log, body=body))
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv("CONTEXT", raising=False)
    return log


def test_kind_makes_a_cluster_whose_pods_reach_this_machine_at_the_gateway(
    calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMKUBE_TEST_CLUSTER", "kind")
    cluster = provider.up("dev")
    assert (cluster.context, cluster.host_address) == ("kind-llmkube-dev", "172.18.0.1")
    cluster.kubectl("get", "nodes")
    provider.down("dev")
    assert calls.read_text().splitlines() == [
        "kind get clusters",
        "kind create cluster --name llmkube-dev --wait 120s",
        "docker network inspect kind --format {{range .IPAM.Config}}{{.Gateway}} {{end}}",
        "kubectl --context kind-llmkube-dev get nodes",
        "kind delete cluster --name llmkube-dev",
    ]


def test_images_go_to_the_nodes_of_kind(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMKUBE_TEST_CLUSTER", "kind")
    monkeypatch.setattr(provider, "build", lambda _: [Path("/cache/image.tar")])
    provider.up("dev").load([])
    assert calls.read_text().splitlines()[-1] == "kind load image-archive /cache/image.tar --name llmkube-dev"


def test_a_users_cluster_is_used_as_it_is_and_left_alone(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTEXT", "mine")
    cluster = provider.up("demo")
    cluster.load([])
    provider.down("demo")
    assert (cluster.context, cluster.host_address) == ("mine", "127.0.0.1")
    assert all("config view" in line for line in calls.read_text().splitlines())


def test_an_unknown_choice_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTEXT", raising=False)
    monkeypatch.setenv("LLMKUBE_TEST_CLUSTER", "minikube")
    with pytest.raises(RuntimeError, match="LLMKUBE_TEST_CLUSTER=minikube is not known: local, kind or context:<name>"):
        provider.up("dev")
