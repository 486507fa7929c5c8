"""Clusters of kind and of the user. Docker can not be had in every run, so `kind` and `docker` are recorded here."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import provider
from images.build import BASE, PAUSE, archive, build

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
        "docker": """case "$1" in
network) echo "fc00:f853:ccd:e793::1 172.18.0.1 ";;
build) cp "$5/Dockerfile" "$XDG_CACHE_HOME/Dockerfile";;
save) touch "$3";;
esac""",
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
    provider.up("dev").load([PAUSE])
    assert calls.read_text().splitlines()[-1] == "kind load image-archive /cache/image.tar --name llmkube-dev"


def test_a_users_cluster_is_used_as_it_is_and_left_alone(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTEXT", "mine")
    cluster = provider.up("demo")
    cluster.load([])
    provider.down("demo")
    assert (cluster.context, cluster.host_address) == ("mine", "127.0.0.1")
    assert all("config view" in line for line in calls.read_text().splitlines())


def test_images_for_a_users_cluster_go_to_the_users_registry(
    calls: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONTEXT", "mine")
    monkeypatch.setenv("REGISTRY", "registry.example.com/team")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(provider, "build", lambda _: [Path("/cache/image.tar")])
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    cluster = provider.up("demo")
    cluster.load([PAUSE])
    assert cluster.reference(PAUSE) == "registry.example.com/team/pause:test"
    assert calls.read_text().splitlines()[-3:] == [
        f"docker load --quiet --input {archive(PAUSE)}",
        "docker tag llmkube.local/pause:test registry.example.com/team/pause:test",
        "docker push --quiet registry.example.com/team/pause:test",
    ]


def test_who_is_not_root_builds_images_with_docker(
    calls: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    build([BASE])
    made = calls.read_text().splitlines()
    assert made[0].startswith("docker build --quiet --tag llmkube.local/base:test ")
    assert "docker.io/library/debian:bookworm-slim" in (tmp_path / "Dockerfile").read_text()
    assert archive(BASE).exists()


def test_an_unknown_choice_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTEXT", raising=False)
    monkeypatch.setenv("LLMKUBE_TEST_CLUSTER", "minikube")
    with pytest.raises(RuntimeError, match="LLMKUBE_TEST_CLUSTER=minikube is not known: local, kind or context:<name>"):
        provider.up("dev")
